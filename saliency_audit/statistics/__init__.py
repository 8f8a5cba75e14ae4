"""Many numbers to one statement: quality of predictions, risk and coverage, resampling by group."""
