"""The tables themselves, without a database."""

import pytest
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.storefront.contract import contract_tables, is_personal
from unierp_assets.warehouse import Warehouse, WarehouseUnavailable, tables
from unierp_assets.warehouse.frames import polars_type
from unierp_assets.warehouse.tables import BASE, LANDING_STOREFRONT, LANDING_UNIERP, STAGING, metadata

ALL_TABLES = list(metadata.tables.values())


@pytest.mark.parametrize("table", ALL_TABLES, ids=str)
def test_every_table_and_column_says_what_it_is(table: sa.Table) -> None:
    assert table.comment
    assert {column.name for column in table.columns if not column.comment} == set()


@pytest.mark.parametrize("table", ALL_TABLES, ids=str)
def test_no_column_holds_what_a_frame_could_not_hold_exactly(table: sa.Table) -> None:
    for column in table.columns:
        assert not polars_type(column.name, column.type).is_float()


def test_every_schema_of_a_table_is_declared() -> None:
    assert {table.schema for table in ALL_TABLES} <= set(tables.SCHEMAS)


def test_every_contract_table_is_landed_with_its_columns_and_key() -> None:
    assert set(LANDING_STOREFRONT) == set(contract_tables())
    for name, source in contract_tables().items():
        landed = LANDING_STOREFRONT[name]
        assert {column.name: str(column.type) for column in source.columns}.items() <= {
            column.name: str(column.type) for column in landed.columns
        }.items()
        assert [column.name for column in landed.primary_key] == [column.name for column in source.primary_key]


def test_every_entity_has_the_columns_it_declares_where_they_belong() -> None:
    for name, entity in ENTITIES.items():
        fields = {field.name for field in entity.fields}
        compared = {field.name for field in entity.compared + entity.readback}
        synced = {field.name for field in entity.synced}
        for of_schema, wanted in ((STAGING, fields), (LANDING_UNIERP, compared), (BASE, synced)):
            found = set(of_schema[name].columns.keys())
            assert {column for column in found if not column.startswith("_")} - {"odoo_id", "write_date"} == {
                "key",
                *wanted,
            }


def test_the_type_of_a_staged_column_is_the_type_of_its_field() -> None:
    for name, entity in ENTITIES.items():
        for field in entity.fields:
            assert polars_type(field.name, STAGING[name].c[field.name].type) == field.dtype


def test_personal_data_stays_marked_on_its_way_through_the_warehouse() -> None:
    for name, source in contract_tables().items():
        for column in source.columns:
            assert tables.is_personal(LANDING_STOREFRONT[name].c[column.name]) == is_personal(column)
    for name, entity in ENTITIES.items():
        for field in entity.synced:
            for of_schema in (STAGING, LANDING_UNIERP, BASE):
                assert tables.is_personal(of_schema[name].c[field.name]) == field.personal


def test_landing_and_staging_tables_number_their_changes_and_others_do_not() -> None:
    numbered = {table.schema for table in ALL_TABLES if tables.numbers_changes(table)}
    assert numbered == {"landing_storefront", "landing_unierp", "staging"}
    for table in ALL_TABLES:
        assert tables.numbers_changes(table) == (table.schema in numbered)


def test_rows_of_an_input_are_found_by_the_key_of_its_entity_through_an_index() -> None:
    for entity in ENTITIES.values():
        for source in entity.inputs:
            table, column = (source.table, source.key) if source.via is None else (source.via[0], source.key)
            landed = LANDING_STOREFRONT[table]
            indexed = {index.columns.values()[0].name for index in landed.indexes}
            assert column in indexed | {key.name for key in landed.primary_key}


@pytest.mark.parametrize("url", ["not a url", "mysql://root:secret@host/db", "postgresql://user:secret@host"])
def test_an_address_that_is_none_of_a_database_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(WarehouseUnavailable, match="UNIERP_WAREHOUSE_URL") as raised:
        Warehouse(url)
    assert "secret" not in str(raised.value)


def test_a_column_without_an_exact_form_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="'share' is a float"):
        polars_type("share", sa.Double())
    with pytest.raises(TypeError, match="'blob'"):
        polars_type("blob", sa.LargeBinary())
    with pytest.raises(TypeError, match="'amount'"):
        polars_type("amount", sa.Numeric())
