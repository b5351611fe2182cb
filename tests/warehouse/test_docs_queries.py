"""The statements in the page for analysts run on the warehouse as it is."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.tables import SCHEMAS, tables_of

PAGE = (Path(__file__).resolve().parents[2] / "docs/warehouse.md").read_text(encoding="utf-8")
STATEMENTS = re.findall(r"^```sql\n(.+?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: " ".join(statement.split()[:6]))
def test_every_statement_of_the_page_runs(warehouse: Warehouse, statement: str) -> None:
    engine = sa.create_engine(warehouse.url)
    try:
        # Never committed: one of the statements makes a role.
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def test_every_schema_and_every_report_is_on_the_page() -> None:
    assert [name for name in SCHEMAS if f"`{name}`" not in PAGE] == []
    assert [name for name in tables_of("reporting") if f"`reporting.{name}`" not in PAGE] == []
