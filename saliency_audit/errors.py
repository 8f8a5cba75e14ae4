"""The errors that a person can cause, and mend.

Each message names the file, row or parameter and says what to do. Anything
else that is raised is a bug. The class decides the exit code of a command.
"""

from __future__ import annotations


class AuditError(Exception):
    """Base of all errors caused by input; never raised itself."""


class ParameterError(AuditError, ValueError):
    """A parameter is unknown or out of its range; names it and the range."""


class DataError(AuditError):
    """Input data cannot be used; names the file or row and what to do."""


class ModelError(AuditError):
    """A model cannot be built, loaded or explained; names the model and why."""


class QualityError(AuditError):
    """A quality gate found what must not pass; names the rule, the rows and what to do."""
