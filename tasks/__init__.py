"""What the audit does: a module or a package per stage of dvc.yaml, and what stages share.

A stage reads Parquet, calls the library and writes Parquet. What belongs here
knows where files lie and which parameters a stage may read; it knows neither
DVC nor Prefect. What works on arrays alone is the library's.

Importing it fixes the threads of numpy's BLAS, which reads their number once.
"""

import os

# By default it takes as many as the machine has cores, and long sums then end in other bits.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
