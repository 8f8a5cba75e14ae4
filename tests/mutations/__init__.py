"""Corruption entered into a small audit, and who notices: `make mutations` tries every kind."""
