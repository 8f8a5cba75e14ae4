"""How numbers are written: three decimals, a true minus, and a dash with a reason for nothing."""

from __future__ import annotations

from saliency_audit.statistics.resampling import (
    FEW_GROUPS,
    FEW_INCORRECT,
    TOO_FEW_INCORRECT_GROUPS,
    Interval,
    IntervalStatus,
)

#: Written where there is no value.
NOTHING = "\N{EN DASH}"
#: Marks an interval of few patients or lesions, or of few wrong predictions.
FEW = "†"
MINUS = "\N{MINUS SIGN}"
#: Between thousands.
THIN = "\N{NARROW NO-BREAK SPACE}"

#: The bounds of ``statistics.resampling`` in words.
TOO_FEW_WRONG = f"fewer than {TOO_FEW_INCORRECT_GROUPS}"
FEW_PATIENTS = f"fewer than {FEW_GROUPS} patients or lesions"

#: What a status of an interval means to a reader.
STATUSES = {
    "no_values": "no row has a value",
    "one_group": "only one patient or lesion: nothing to resample",
    "too_few_incorrect": (
        f"{TOO_FEW_WRONG} patients or lesions with a wrong prediction: no interval"
    ),
    "undefined": "undefined in too many resamples: no interval",
    "few_groups": FEW_PATIENTS,
    "few_incorrect": f"fewer than {FEW_INCORRECT} wrong predictions",
    "few_groups_and_incorrect": f"{FEW_PATIENTS} and {FEW_INCORRECT} wrong predictions",
}


def score(value: float | None) -> str:
    """Write a number with three decimals.

    >>> score(-0.12345), score(None), score(-0.0001)
    ('−0.123', '–', '0.000')
    """
    if value is None:
        return NOTHING
    text = f"{value:.3f}"
    return "0.000" if text == "-0.000" else text.replace("-", MINUS)


def signed(value: float | None) -> str:
    """Write a difference with its sign.

    >>> signed(0.02), signed(-0.02), signed(0.0)
    ('+0.020', '−0.020', '0.000')
    """
    text = score(value)
    return f"+{text}" if value is not None and value > 0 and text != "0.000" else text


def share(value: float | None) -> str:
    """Write a share as percent.

    >>> share(0.6449)
    '64.5 %'
    """
    return NOTHING if value is None else f"{100 * value:.1f} %"


def percent(fraction: float) -> str:
    """Write a parameter that is a share, with no more decimals than it has.

    >>> percent(0.05), percent(0.075)
    ('5 %', '7.5 %')
    """
    return f"{100 * fraction:.6g} %"


def count(value: int | None) -> str:
    """Write a count with thousands apart.

    >>> count(10015) == "10" + THIN + "015"
    True
    """
    return NOTHING if value is None else f"{value:,}".replace(",", THIN)


def counted(value: int, one: str, more: str = "") -> str:
    """Write a count with its noun.

    >>> counted(1, "image"), counted(2, "class", "classes")
    ('1 image', '2 classes')
    """
    return f"{count(value)} {one if value == 1 else more or one + 's'}"


def bounds(interval: Interval, *, sign: bool = False) -> str:
    """Write an interval's estimate and bounds, marked where few rows stand behind it."""
    write = signed if sign else score
    if interval.low is None:
        return write(interval.estimate)
    mark = "" if interval.status is IntervalStatus.OK else FEW
    low, high = write(interval.low), write(interval.high)
    return f"{write(interval.estimate)} [{low}, {high}]{mark}"


def names(items: list[str]) -> str:
    """Join names in a sentence.

    >>> names(["LIME", "RISE", "SHAP"])
    'LIME, RISE and SHAP'
    """
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
