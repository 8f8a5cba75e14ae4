"""Results of trials, kept line by line, and the tables that they become."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .clean import Alarm
from .disk import DAMAGES, Found
from .kind import Kind
from .kinds import GROUPS, KINDS
from .trial import NOTICED, RATES, Result

#: In the order of the table's columns.
COLUMNS = tuple(sorted(RATES))
Known = Mapping[tuple[str, float], Result]


def read(path: Path, kind: type[Any], code: str) -> list[Any]:
    """Give the results of some code that are kept."""
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            result = kind(**json.loads(line))
        except (ValueError, TypeError):
            continue  # of another sort, or half a line of a series that was killed
        if result.code == code:
            found.append(result)
    return found


def add(path: Path, result: Any) -> None:
    """Keep a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(result), ensure_ascii=False) + "\n")


def rate_of(rate: float) -> str:
    return f"{rate:.0%}".replace("%", " %") if rate else "1 row"


def noticed(results: Iterable[Result]) -> str:
    """Say how many of the kinds that can be told were noticed.

    >>> noticed([])
    '0 of 0'
    """
    outcomes = [r.outcome in NOTICED for r in results if not KINDS[r.kind].untold]
    share = f" ({sum(outcomes) / len(outcomes):.1%})" if outcomes else ""
    return f"{sum(outcomes)} of {len(outcomes)}{share.replace('%', ' %')}"


def summary(known: Known) -> str:
    """Give a Markdown table: of each rate how many kinds were noticed, and how."""
    lines = [
        "| rate | kinds that can be told | noticed | stopped | warned | drifted | unseen |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rate in COLUMNS:
        some = [r for r in known.values() if r.rate == rate and not KINDS[r.kind].untold]
        counts = Counter(r.outcome for r in some)
        unseen = len(some) - sum(counts[name] for name in NOTICED)
        cells = [len(some), noticed(some), *(counts[name] for name in NOTICED), unseen]
        lines.append(f"| {rate_of(rate)} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def table(known: Known) -> str:
    """Give Markdown tables, one per group: a row per kind, and who noticed it at each rate."""
    parts = []
    for name, kinds in GROUPS.items():
        told = [kind for kind in kinds if not kind.untold]
        heads = ["kind", "what went wrong", "enters", *map(rate_of, COLUMNS)]
        parts += [f"### {name}", "", _line(heads), _line(["---"] * len(heads))]
        parts += [_line(_cells(kind, known)) for kind in told]
        parts.append("")
    return "\n".join(parts).rstrip()


def untold(known: Known) -> str:
    """Give a Markdown table of the kinds that cannot be told in principle, with the reason."""
    lines = [_line(["kind", "what went wrong", "why it cannot be told", "at 20 %"])]
    lines.append(_line(["---"] * 4))
    for kind in KINDS.values():
        if kind.untold:
            last = known.get((kind.name, max(COLUMNS)))
            cells = [f"`{kind.name}`", kind.meaning, kind.untold, said(last)]
            lines.append(_line(cells))
    return "\n".join(lines)


def _cells(kind: Kind, known: Known) -> list[str]:
    found = [known.get((kind.name, rate)) for rate in COLUMNS]
    if kind.whole:
        found = [known.get((kind.name, RATES[0]))]
    shown = [said(result) for result in found]
    if kind.whole:
        shown += ["as a whole"] * (len(COLUMNS) - 1)
    elif len(set(shown)) == 1:
        shown = [shown[0], *["the same"] * (len(COLUMNS) - 1)]
    where = kind.seam.where if kind.subject == "skin" else f"{kind.seam.where}, chest"
    return [f"`{kind.name}`", kind.meaning, where, *shown]


def said(result: Result | None) -> str:
    """Say in a cell who noticed.

    >>> said(Result("map-nan", 0.01, 1, "stopped", "explain", ["DataError: not finite"]))
    '`explain`: DataError'
    >>> said(Result("map-halved", 0.01, 1, "stopped", "check_maps", ["map_highest", "map_ties"]))
    'map_highest, map_ties'
    """
    if result is None:
        return ""
    if result.outcome not in NOTICED:
        return f"**{result.outcome}**"
    if result.what and "Error: " in result.what[0]:
        return f"`{result.by}`: {result.what[0].partition(':')[0]}"
    shown = ", ".join(result.what[:2]) + (" …" if len(result.what) > 2 else "")
    words = {"warned": "warns: ", "drifted": "drift: "}
    return words.get(result.outcome, "") + shown


def clean(alarms: Sequence[Alarm]) -> str:
    """Say how many clean seeds were tried, and each false alarm."""
    if not alarms:
        return "None tried."
    depths = Counter(alarm.depth for alarm in alarms)
    tried = "; ".join(f"{number} {depth}" for depth, number in sorted(depths.items()))
    false = [alarm for alarm in alarms if alarm.rules]
    lines = [f"Clean seeds tried: {tried}. False alarms: {len(false)}."]
    lines += [f"- {a.subject}, seed {a.seed}: {', '.join(a.rules)}" for a in false]
    return "\n".join(lines)


def disk(found: Sequence[Found]) -> str:
    """Give a Markdown table: a row per damage on disk, and what notices it."""
    by_name = {one.damage: one for one in found}
    heads = ["damage", "what is done", "named by `dvc status`", "error of the next stage"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for damage in DAMAGES:
        one = by_name.get(damage.name)
        if one is not None:
            status = "yes" if one.named else "**no**"
            lines.append(_line([f"`{one.damage}`", damage.meaning, status, one.error or "none"]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def write(path: Path, parts: Mapping[str, Callable[[], str] | str]) -> None:
    """Put parts into a Markdown file, each between its marks."""
    text = path.read_text("utf-8")
    for name, content in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, rest = text.split(begin, 1)
        tail = rest.split(end, 1)[1]
        shown = content if isinstance(content, str) else content()
        text = f"{head}{begin}\n{shown}\n{end}{tail}"
    path.write_text(text, "utf-8")
