"""Staging: what becomes of the rows of a shop before they meet the gate."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unierp_assets.entities import DOMAINS, ENTITIES, clean, entities_of
from unierp_assets.entities.orders import discount_percent
from unierp_assets.entities.spec import KEY, Field, Kind, Role, cleaned, prose
from unierp_assets.storefront.contract import contract_tables
from unierp_assets.storefront.sample import make_sample

CENT = Decimal("0.01")
amounts = st.decimals(min_value="0.01", max_value="99999.99", places=2)


@given(gross=amounts, share=st.decimals(min_value=0, max_value=1, places=4))
def test_a_discount_in_percent_takes_off_exactly_the_discount(gross: Decimal, share: Decimal) -> None:
    discount = (gross * share).quantize(CENT, ROUND_HALF_UP)
    percent = discount_percent(gross, discount)
    assert (gross * (1 - percent / 100)).quantize(CENT, ROUND_HALF_UP) == gross - discount


def test_a_discount_keeps_two_digits_where_they_are_enough() -> None:
    assert discount_percent(Decimal("29.99"), Decimal("3.00")) == Decimal("10.00")
    assert discount_percent(Decimal("99999.99"), Decimal("12345.67")).as_tuple().exponent == -6


def test_nothing_off_is_no_discount() -> None:
    assert discount_percent(Decimal("10.00"), Decimal(0)) == 0
    assert discount_percent(Decimal(0), Decimal("1.00")) == 0


def each(function: object, values: list[str | None]) -> list[object]:
    assert callable(function)
    return pl.DataFrame({"x": values}).select(function(pl.col("x")))["x"].to_list()


def test_phones_become_e164_and_what_is_none_stays() -> None:
    assert each(clean.phone, ["+49 (30) 1234-567", "call me", None]) == ["+49301234567", "call me", None]


def test_addresses_of_mail_are_judged_by_the_rules() -> None:
    assert each(clean.is_email, ["a@b.example", "a@", "no", None]) == [True, False, False, None]


def test_vat_ids_need_their_check_digit() -> None:
    assert each(clean.is_vat, ["DE136695976", "DE136695977", "GB980780684", None]) == [True, False, True, None]


def test_barcodes_need_their_check_digit() -> None:
    assert each(clean.is_barcode, ["4006381333931", "4006381333932", None]) == [True, False, None]


def test_countries_are_known_by_code_and_name() -> None:
    assert each(clean.country, ["de", "Germany", "USA", "Atlantis"]) == ["DE", "DE", "US", "ATLANTIS"]
    assert each(clean.is_country, ["DE", "ATLANTIS", None]) == [True, False, None]

    assert each(clean.country, ["EL", "uk", "XK"]) == ["GR", "GB", "XK"]
    assert each(clean.is_country, ["XK"]) == [True]


@pytest.mark.parametrize(
    ("country", "region", "code"),
    [
        ("US", "ca", "US-CA"),
        ("US", "US-NY", "US-NY"),
        ("US", "New York", "US-NY"),
        ("US", "Nowhere", None),
        ("ES", "Madrid", "ES-M"),
        ("ES", "València", "ES-V"),
        ("IT", "Roma", "IT-RM"),
        ("DE", "Bayern", "DE-BY"),
        ("CA", "Québec", "CA-QC"),
        ("CA", "quebec", "CA-QC"),
        (None, "Bayern", None),
        ("DE", None, None),
    ],
)
def test_regions_of_all_countries_are_known_by_code_and_name(
    country: str | None, region: str | None, code: str | None
) -> None:
    table = pl.DataFrame({"c": [country], "r": [region]}, schema={"c": pl.String, "r": pl.String})
    assert table.select(clean.region(pl.col("c"), pl.col("r")).alias("s"))["s"].to_list() == [code]


def test_names_are_one_line_and_what_is_written_stays_as_it_is() -> None:
    text = " Zeile\u200b 1\r\n\tZeile  2\u00a0"
    frame = pl.DataFrame({"t": [text, "", None]})
    assert frame.select(t=cleaned("t"))["t"].to_list() == ["Zeile 1 Zeile 2", None, None]
    assert frame.select(t=prose("t"))["t"].to_list() == [text, None, None]


@pytest.fixture(scope="module")
def staged() -> dict[str, pl.DataFrame]:
    """Every entity staged from a sample shop."""
    sample = make_sample(products=12, customers=12, orders=20, seed=3)
    tables = {name: pl.DataFrame(list(sample.records(name)), infer_schema_length=None) for name in contract_tables()}
    frames = {}
    for entity in ENTITIES.values():
        inputs = {}
        for source in entity.inputs:
            rows = tables[source.table]
            if source.via:
                other, here, there = source.via
                keys = tables[other].select(pl.col(there).alias("there"), pl.col(source.key).cast(pl.String).alias(KEY))
                inputs[source.table] = rows.join(keys, left_on=here, right_on="there")
            else:
                inputs[source.table] = rows.with_columns(pl.col(source.key).cast(pl.String).alias(KEY))
        frames[entity.name] = entity.stage(inputs)
    return frames


@pytest.mark.parametrize("name", list(ENTITIES))
def test_a_staged_row_has_a_key_of_its_own_and_every_field(name: str, staged: dict[str, pl.DataFrame]) -> None:
    frame, schema = staged[name], ENTITIES[name].schema()
    assert set(frame.columns) == set(schema)
    assert frame.height > 0
    assert frame[KEY].n_unique() == frame.height
    assert frame[KEY].null_count() == 0
    frame.select(pl.col(column).cast(dtype) for column, dtype in schema.items())


def test_a_company_goes_by_its_own_name_and_a_person_by_theirs() -> None:
    customers = pl.DataFrame(
        {
            KEY: ["1", "2", "3"],
            "kind": ["registered"] * 3,
            "company": ["  Acme   Ltd ", None, None],
            "first_name": ["Ada", "Ada", " "],
            "last_name": ["Lovelace", "Lovelace", None],
            "email": [" Ada@Example.COM ", None, None],
            "phone": [None] * 3,
            "vat": ["gb 980 7806 84", None, None],
            "language": ["en"] * 3,
            "created_at": [datetime(2026, 1, 1, tzinfo=UTC)] * 3,
            "active": [True, None, False],
        },
        schema_overrides={"phone": pl.String},
    )
    members = pl.DataFrame({KEY: ["1", "1"], "group_id": [9, 2]})
    rows = ENTITIES["customers"].stage({"customers": customers, "customer_group_members": members}).sort(KEY)
    assert rows["name"].to_list() == ["Acme Ltd", "Ada Lovelace", None]
    assert rows["email"].to_list() == ["ada@example.com", None, None]
    assert rows["vat"].to_list() == ["GB980780684", None, None]
    assert rows["groups"].to_list() == ["2,9", None, None]
    assert rows["active"].to_list() == [True, True, False]


def test_a_price_of_the_shop_ends_just_before_its_end() -> None:
    prices = pl.DataFrame(
        {
            KEY: ["1"],
            "currency": ["eur"],
            "variant_id": [7],
            "amount": [Decimal("9.99")],
            "valid_from": [datetime(2026, 1, 1, tzinfo=UTC)],
            "valid_to": [datetime(2026, 2, 1, tzinfo=UTC)],
        }
    )
    row = ENTITIES["prices"].stage({"prices": prices}).row(0, named=True)
    assert row["price_list"] == "EUR"
    assert row["valid_to"] == datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)


def test_references_point_to_entities_that_are_loaded_before() -> None:
    order = list(ENTITIES)
    for entity in ENTITIES.values():
        for field in entity.references:
            assert order.index(str(field.target)) <= order.index(entity.name), f"{entity.name}.{field.name}"


def test_what_is_touched_is_another_entity() -> None:
    for entity in ENTITIES.values():
        assert set(entity.touches) <= set(ENTITIES) - {entity.name}


def test_every_input_is_a_table_of_the_contract() -> None:
    contract = contract_tables()
    for entity in ENTITIES.values():
        for source in entity.inputs:
            if source.via:
                other, here, there = source.via
                assert here in contract[source.table].c
                assert {there, source.key} <= set(contract[other].c.keys())
            else:
                assert source.key in contract[source.table].c


def test_domains_cover_every_entity_once() -> None:
    assert sorted(entity.name for domain in DOMAINS for entity in entities_of(domain)) == sorted(ENTITIES)
    assert entities_of(None) == tuple(ENTITIES.values())
    with pytest.raises(KeyError, match="there are products"):
        entities_of("weather")


def test_an_unknown_field_is_named() -> None:
    assert ENTITIES["orders"]["total"].role is Role.VERIFY
    with pytest.raises(KeyError, match="orders has no field 'colour'"):
        ENTITIES["orders"]["colour"]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (Kind.TEXT, pl.String()),
        (Kind.INTEGER, pl.Int64()),
        (Kind.DECIMAL, pl.Decimal(18, 2)),
        (Kind.BOOLEAN, pl.Boolean()),
        (Kind.TIMESTAMP, pl.Datetime("us", "UTC")),
        (Kind.DATE, pl.Date()),
        (Kind.REFERENCES, pl.String()),
    ],
)
def test_each_kind_has_its_type_in_frames(kind: Kind, dtype: pl.DataType) -> None:
    assert Field("x", kind, "x", scale=2).dtype == dtype
