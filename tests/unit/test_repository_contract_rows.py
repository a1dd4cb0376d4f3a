"""No row of the compatibility contract is forgotten: each has a test that names it, or a reason why there is none."""

from functools import cache

import pytest

from tests.support.contract_rows import ROWS, Row, names_by_row, rows_of_page


def test_the_page_has_every_row_once_and_in_order() -> None:
    assert [row.number for row in rows_of_page()] == list(ROWS)


@pytest.mark.parametrize("row", rows_of_page(), ids=lambda row: str(row.number))
def test_a_row_is_shown_by_a_test_or_says_why_not(row: Row) -> None:
    known = known_names()
    if row.reason is not None:
        assert row.number not in known, "there is a test: run scripts/docs"
    else:
        assert row.number in known, "no test names it"
        assert row.test in known[row.number], "the page names another test: run scripts/docs"


@cache
def known_names() -> dict[int, set[str]]:
    return {number: set(names) for number, names in names_by_row().items()}
