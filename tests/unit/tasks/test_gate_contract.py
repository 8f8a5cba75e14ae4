"""What every gate promises, over all of them; and that planted faults of a gate are found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from saliency_audit.testing import ContractError
from tasks.gates.catalogue import all_rules
from tasks.gates.rule import Facts, Rule, among, equal
from tasks.gates.testing import check_gate, gate_checks
from tasks.params import read_tree

RULES = dict(all_rules())


@pytest.fixture(scope="module")
def tree(root):
    return read_tree(root / "params.yaml")


@pytest.mark.parametrize("gate", RULES)
def test_a_gate_keeps_its_promises(gate, tree):
    check_gate(gate, RULES[gate], tree)


FACTS = Facts("images", ("image_id",), {"image_id": ["a", "b"], "one": [1, 2], "two": [1, 2]})
RULE = equal("mend it", "same", "images", "One is the other.", "one", "two")
RANGE = {"column": "one", "min_value": 3, "max_value": 2}
FAULTS = {
    "names_are_apart": ([RULE, RULE], [FACTS]),
    "rules_are_in_words": ([replace(RULE, meaning="one is two")], [FACTS]),
    "bounds_are_parameters": ([replace(RULE, parameter="quality.maps.zero_mep")], [FACTS]),
    "facts_have_their_columns": ([replace(RULE, arguments={"column": "three"})], [FACTS]),
    "clean_facts_pass": ([among("mend it", "set", "images", "It is.", "one", [1])], [FACTS]),
    "breaches_are_found": (
        [Rule("range", "images", "It is.", "mend it", "ExpectColumnValuesToBeBetween", RANGE)],
        [],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_of_a_gate_is_found(fault, tree):
    rules, facts = FAULTS[fault]
    (check,) = [c for c in gate_checks("toy", rules, tree, facts) if str(c) == fault]
    with pytest.raises(ContractError, match=f"gate toy breaks {fault}: .*To mend it"):
        check()


def test_a_right_gate_passes_with_its_facts(tree):
    assert len(check_gate("toy", [RULE], tree, [FACTS])) == 7
