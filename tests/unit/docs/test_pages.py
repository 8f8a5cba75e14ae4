"""Pages that are made of declarations are up to date."""

from __future__ import annotations

import pytest

from tasks.pages import pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_made_of_declarations_is_up_to_date(name, root):
    committed = (root / name).read_text("utf-8")
    assert committed == PAGES[name], f"{name} is not up to date: run `python -m tasks.pages`"
