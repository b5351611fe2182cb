"""The storefront contract describes itself completely."""

from pathlib import Path

import pytest
from sqlalchemy import Numeric

from unierp_assets.storefront.contract import (
    UPDATED_AT,
    contract_markdown,
    contract_tables,
    is_personal,
    key_column,
    type_name,
)

PAGE = Path(__file__).parents[2] / "docs" / "storefront-contract.md"
TABLES = contract_tables()


def test_every_table_and_column_says_what_it_is() -> None:
    silent = [table.name for table in TABLES.values() if not table.comment]
    silent += [str(column) for table in TABLES.values() for column in table.columns if not column.comment]
    assert silent == []


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_one_key_and_refuses_nothing_else_but_a_missing_instant_of_change(name: str) -> None:
    table = TABLES[name]
    assert {column.name for column in table.columns if not column.nullable} == {key_column(table).name, UPDATED_AT}
    assert not table.foreign_keys


@pytest.mark.parametrize("name", TABLES)
def test_increments_of_a_table_are_read_along_an_index(name: str) -> None:
    (index,) = TABLES[name].indexes
    assert [column.name for column in index.columns] == [UPDATED_AT, key_column(TABLES[name]).name]


def test_amounts_are_exact_with_four_decimals() -> None:
    for name in ("amount", "total", "unit_price", "tax_amount", "captured_amount", "cost_amount"):
        columns = [table.columns[name] for table in TABLES.values() if name in table.columns]
        assert columns
        for column in columns:
            assert isinstance(column.type, Numeric)
            assert type_name(column) == "numeric(16,4)"


def test_what_identifies_a_person_is_marked() -> None:
    personal = {
        f"{table.name}.{column.name}" for table in TABLES.values() for column in table.columns if is_personal(column)
    }
    assert {"customers.email", "customers.last_name", "customers.phone", "customers.vat"} <= personal
    assert {"addresses.name", "addresses.street", "addresses.postcode"} <= personal
    assert {name.partition(".")[0] for name in personal} == {"customers", "addresses"}


def test_the_page_in_the_docs_is_the_one_the_code_generates() -> None:
    assert PAGE.read_text(encoding="utf-8") == contract_markdown(), (
        "Run: python -m unierp_assets.storefront.contract > docs/storefront-contract.md"
    )


def test_the_page_names_every_column() -> None:
    page = contract_markdown()
    for table in TABLES.values():
        section = page.split(f"### {table.name}\n")[1].split("### ")[0]
        assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == table.columns.keys()


def test_the_tables_can_live_in_another_schema() -> None:
    assert {table.schema for table in contract_tables("webshop").values()} == {"webshop"}
