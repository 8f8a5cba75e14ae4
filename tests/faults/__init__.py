"""Faults injected for real into a miniature audit: `make faults` runs them all."""
