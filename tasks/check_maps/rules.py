"""The rules of ``check_maps``."""

from __future__ import annotations

from functools import partial

from saliency_audit.measures.status import MethodStatus
from saliency_audit.problem import Severity
from tasks.gates.parameters import MapBounds
from tasks.gates.rule import Rule, among, equal, with_severities
from tasks.maps import FLAT, READABLE

KEY = "quality.maps"
STOP, WARN = Severity.STOP, Severity.WARN
AGAIN = (
    "the maps are not those of this audit: delete its folder in data/explain, run "
    "`saliency-audit run`"
)
#: Rules of two shapes, with that advice.
_equal, _among = partial(equal, AGAIN), partial(among, AGAIN)
#: How far a tie share may be from that of the map, by rounding.
ROUNDING = 1e-9


def rules(bounds: MapBounds) -> list[Rule]:
    """Give the rules for the maps of an audit."""
    found = [*_of_maps(bounds), *_of_methods(bounds), *_of_rows(bounds)]
    return with_severities(found, bounds.severity, KEY)


def _of_maps(bounds: MapBounds) -> list[Rule]:
    about = "maps"
    return [
        _among(
            "map_status",
            about,
            "A map's status is one that docs/definitions.md defines.",
            "status",
            sorted({*READABLE, *FLAT, "nan_map"}),
        ),
        _among(
            "map_method_status",
            about,
            "What a method says of a map is one of the words of docs/definitions.md.",
            "method_status",
            sorted(MethodStatus),
        ),
        _equal("map_method", about, "A map is of the method of its file.", "method", "own_method"),
        _equal(
            "map_model",
            about,
            "A map was made of the classifier under audit.",
            "model_digest",
            "own_model_digest",
        ),
        _equal(
            "map_parameters",
            about,
            "A map was made with the parameters of its method.",
            "method_digest",
            "own_method_digest",
        ),
        _equal(
            "map_pixels",
            about,
            "A map was made of its image's pixels.",
            "pixel_sha256",
            "own_pixel_sha256",
        ),
        _among("map_lowest", about, "The lowest value of a map is 0.", "lowest", [0.0]),
        _among("map_highest", about, "The highest value of a map is 1.", "highest", [1.0]),
        _equal(
            "map_unit",
            about,
            "Offset and scale of a map are as its status says.",
            "unit",
            "own_unit",
        ),
        Rule(
            "map_ties",
            about,
            "The share of ties is that of the map.",
            AGAIN,
            "ExpectColumnPairValuesToBeClose",
            {"column_A": "tie_share", "column_B": "found_tie_share", "tolerance": ROUNDING},
        ),
        Rule(
            "equal_maps",
            about,
            "No two images with other pixels have one and the same map.",
            AGAIN,
            "ExpectColumnToDetermineColumn",
            {"column_A": "content", "column_B": "own_pixel_sha256"},
            STOP,
            bounds.equal_maps,
            f"{KEY}.equal_maps",
        ),
    ]


def _of_methods(bounds: MapBounds) -> list[Rule]:
    return [
        Rule(
            "applicable",
            "methods",
            "A method that is asked for can explain the network.",
            "its rows say not applicable, and why; name the methods that can in the audit's "
            "`methods`, or the `block` to explain",
            "ExpectColumnValuesToBeInSet",
            {"column": "applicable", "value_set": ["yes"]},
            WARN,
        ),
        *(
            _of_method(name, words, bound)
            for name, words, bound in (
                ("zero_map", "are 0", bounds.zero_map),
                ("constant_map", "have one value", bounds.constant_map),
            )
        ),
    ]


def _of_method(name: str, words: str, bound: float) -> Rule:
    return Rule(
        name,
        "methods",
        f"Few maps of a method {words} throughout.",
        "the method says nothing of these images: see the report's section on maps, and the "
        "classifier's last layers if it is Grad-CAM",
        "ExpectColumnValuesToBeBetween",
        {"column": name, "max_value": bound},
        WARN,
        parameter=f"{KEY}.{name}",
    )


def _of_rows(bounds: MapBounds) -> list[Rule]:
    about = "rows"
    return [
        _among("map_explained", about, "What has a map is to be explained.", "explained", [True]),
        _equal(
            "every_method",
            about,
            "Every row to explain has one map by each method.",
            "maps",
            "methods",
        ),
        _among("in_cohort", about, "The cohort has every row.", "in_cohort", [True]),
        _equal(
            "out_for_all",
            about,
            "A row is out for all methods exactly where one cannot map it.",
            "spoilt",
            "faulty",
        ),
        _equal(
            "cohort_prediction",
            about,
            "The cohort has of a row what its prediction says.",
            "cohort",
            "prediction",
        ),
        _equal("counts", about, "A row counts unless a reason is given.", "counts", "may_count"),
        Rule(
            "finite",
            about,
            "Every method gives every explained row a map of finite numbers.",
            "see the statuses in the report's section on maps; such a row is out for all methods",
            "ExpectColumnValuesToBeInSet",
            {"column": "faulty", "value_set": [False]},
            WARN,
        ),
        Rule(
            "set_aside",
            about,
            "Few rows are out because a method cannot map them.",
            "see the statuses in the report's section on maps; a model whose scores are not finite "
            "somewhere wants mending",
            "ExpectColumnValuesToBeInSet",
            {"column": "spoilt", "value_set": [False]},
            STOP,
            bounds.set_aside,
            f"{KEY}.set_aside",
        ),
    ]
