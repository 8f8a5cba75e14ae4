"""Every declared table is documented, keyed and consistent with what fills it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from saliency_audit.measures.localisation import LocalisationRow
from saliency_audit.measures.segu import CertaintyRow
from tasks.tables.certainty import CERTAINTY
from tasks.tables.dictionary import PLACES, declared
from tasks.tables.localisation import LOCALISATION

TABLES = list(declared())


def test_every_table_has_a_place():
    assert [table.name for table in TABLES] == list(PLACES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_keys_are_columns_that_are_never_empty(table):
    columns = {column.name: column for column in table.columns}
    assert len(columns) == len(table.columns)
    for name in table.key:
        assert not columns[name].null
    assert all(column.meaning for column in table.columns)


@pytest.mark.parametrize(
    ("table", "row"), [(LOCALISATION, LocalisationRow), (CERTAINTY, CertaintyRow)]
)
def test_what_the_library_gives_is_what_the_table_holds(table, row):
    columns = {column.name for column in table.columns}
    assert {field.name for field in fields(row)} <= columns
