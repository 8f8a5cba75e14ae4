"""Every declared table is documented, keyed and consistent with what fills it."""

from __future__ import annotations

import pytest

from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES
from tasks.tables import definitions
from tasks.tables.dictionary import PLACES, declared

TABLES = list(declared())


@pytest.mark.parametrize("figure", definitions.figures(), ids=lambda figure: figure.key)
def test_every_figure_is_defined(root, figure):
    page = (root / "docs" / "definitions.md").read_text()
    assert f"\n### {figure.definition}\n" in page
    assert figure.low < figure.high
    assert figure.title and figure.meaning and figure.null.said()


@pytest.mark.parametrize("room", definitions.ROOMS.values(), ids=definitions.ROOMS)
def test_figures_of_a_table_name_each_other(room):
    keys = [figure.key for figure in room]
    assert len(set(keys)) == len(keys)
    assert {figure.ceiling for figure in room if figure.ceiling} <= set(keys)
    counterparts = {figure.counterpart for figure in room if figure.counterpart}
    assert counterparts <= {figure.key for figure in LOCALISATION_FIGURES}


def test_every_table_has_a_place():
    assert [table.name for table in TABLES] == list(PLACES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_keys_are_columns_that_are_never_empty(table):
    columns = {column.name: column for column in table.columns}
    assert len(columns) == len(table.columns)
    for name in table.key:
        assert not columns[name].null
    assert all(column.meaning for column in table.columns)
