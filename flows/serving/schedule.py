"""When and of what audits are made: deploy/serve.yaml, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows.history.releases import NAME
from flows.serving.alerts import Alerts
from saliency_audit.errors import ParameterError
from saliency_audit.naming import refuse_unknown_fields

#: Where a person says it.
FILE = Path("deploy/serve.yaml")
#: The name in Prefect of the flow that audits again.
AUDITS = "re-audit"


@dataclass(frozen=True)
class Schedule:
    """What `saliency-audit serve` serves.

    ``revision``: the branch, tag or commit that is audited, as it is when an audit starts;
    ``cron``: when, whatever happened, or None; ``timezone``: of it; ``watch_minutes``: between two
    looks at imports, watched files and raw data, or None; ``models``: folders and beginnings of
    addresses that new weights may come from, from the root of the clone; ``watch``: per classifier
    a file that holds its newest weights; ``push``: a git remote that gets each audit, or None;
    ``alerts``: of what one is told, and how.
    """

    revision: str = "main"
    cron: str | None = None
    timezone: str = "UTC"
    watch_minutes: float | None = None
    models: tuple[str, ...] = ()
    watch: Mapping[str, str] = field(default_factory=dict)
    push: str | None = None
    alerts: Alerts = field(default_factory=Alerts)

    def __post_init__(self) -> None:
        """Check the values; raises ParameterError."""
        if self.watch_minutes is not None and not self.watch_minutes > 0:
            raise ParameterError(f"watch_minutes is {self.watch_minutes}: give a number above 0")
        for name in self.watch:
            if not NAME.fullmatch(name):
                raise ParameterError(f"watch.{name}: give the name of a folder of classifiers/")


def read_schedule(root: Path, file: Path | None = None) -> Schedule:
    """Read when and of what audits are made; all defaults where there is no file.

    Raises ParameterError naming file and key for anything in it that is unknown or wrong.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    path = root / (file or FILE)
    try:
        raw = yaml.safe_load(path.read_text("utf-8")) or {}
    except FileNotFoundError:
        if file is not None:
            raise ParameterError(f"{file} is not there") from None
        return Schedule()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, Mapping):
        raise ParameterError(f"{path} holds no keys")
    refuse_unknown_fields(Schedule, raw, f"{path.name}: unknown key ")
    try:
        return TypeAdapter(Schedule).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ParameterError(f"{path.name}: {place}: {reason}".replace(": : ", ": ")) from None
