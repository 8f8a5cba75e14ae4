"""What the audit does: one module per stage of dvc.yaml.

A stage reads Parquet, calls the library and writes Parquet. What belongs here
knows where files lie and which parameters a stage may read; it knows neither
DVC nor Prefect, and computes nothing that a library function could.
"""
