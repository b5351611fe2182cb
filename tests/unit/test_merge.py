"""The three-way comparison, proven by properties over generated rows and by the cases people ask about."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import BOTH, KEY, Entity, Field, Input, Kind, Role, Strategy, System, Withdrawal
from unierp_assets.sync.compare.merge import (
    CHANGED_AT,
    DECISIONS,
    TO_STOREFRONT,
    TO_UNIERP,
    Merged,
    from_text,
    merge,
)

ENTITY = Entity(
    name="things",
    domain="products",
    description="Things.",
    model="thing",
    inputs=(Input("things", "id"),),
    fields=(
        Field("ours_both", Kind.TEXT, "Owned by the shop, flows both ways.", flows_to=BOTH),
        Field("theirs_both", Kind.TEXT, "Owned by UniERP, flows both ways.", owner=System.UNIERP, flows_to=BOTH),
        Field("ours_only", Kind.TEXT, "Owned by the shop, flows to UniERP."),
        Field("theirs_kept", Kind.TEXT, "Owned by UniERP, flows to UniERP.", owner=System.UNIERP),
        Field("latest", Kind.TEXT, "The later one wins.", flows_to=BOTH, strategy=Strategy.LATEST),
        Field("stock", Kind.DECIMAL, "Flows to the shop.", scale=2, owner=System.UNIERP, flows_to=(System.STOREFRONT,)),
        Field("active", Kind.BOOLEAN, "Whether it is on sale.", owner=System.UNIERP),
        Field("total", Kind.DECIMAL, "Computed by UniERP.", role=Role.VERIFY, scale=2),
        Field("note", Kind.TEXT, "For the gate.", role=Role.STAGED),
    ),
    stage=lambda inputs: inputs["things"],
    withdrawal=Withdrawal.ARCHIVE,
)
SYNCED = [field.name for field in ENTITY.synced]
TEXTS = [name for name in SYNCED if name not in ("stock", "active")]

texts = st.sampled_from([None, "a", "b", "c"])
numbers = st.sampled_from([None, Decimal("0.00"), Decimal("1.50"), Decimal("2.00")])
flags = st.sampled_from([None, True, False])
rows = st.fixed_dictionaries({**dict.fromkeys(TEXTS, texts), "stock": numbers, "active": flags})
keys = st.sampled_from([str(number) for number in range(6)])
tables = st.dictionaries(keys, rows, max_size=6)


def frame(table: dict[str, dict[str, Any]], *roles: Role) -> pl.DataFrame:
    schema = ENTITY.schema(*roles)
    return pl.DataFrame(
        [{name: {KEY: key, **row}.get(name) for name in schema} for key, row in table.items()], schema=schema
    )


def compare(ours: dict[str, Any], theirs: dict[str, Any], base: dict[str, Any], gone: tuple[str, ...] = ()) -> Merged:
    return merge(
        ENTITY,
        frame(ours),
        frame(theirs, Role.SYNC, Role.VERIFY),
        frame(base, Role.SYNC),
        pl.DataFrame({KEY: list(gone)}, schema={KEY: pl.String}),
    )


def remembered(base: dict[str, Any], merged: Merged) -> dict[str, Any]:
    """The base after everything that was to be written has been written."""
    new = {key: dict(row) for key, row in base.items()}
    for part in (merged.creates, merged.updates, merged.agreed):
        for row in part.select(KEY, *SYNCED).iter_rows(named=True):
            new[row.pop(KEY)] = row
    return new


def written(table: dict[str, Any], merged: Merged, flag: str) -> dict[str, Any]:
    """One side after the merge was applied to it."""
    new = {key: dict(row) for key, row in table.items()}
    for row in merged.updates.iter_rows(named=True):
        new[row[KEY]].update({name: row[name] for name in row[flag]})
    if flag == TO_UNIERP:
        for row in merged.creates.select(KEY, *SYNCED).iter_rows(named=True):
            new[row.pop(KEY)] = row
    return new


@given(ours=tables, theirs=tables, base=tables)
def test_after_a_merge_was_applied_a_second_one_writes_nothing(
    ours: dict[str, Any], theirs: dict[str, Any], base: dict[str, Any]
) -> None:
    first = compare(ours, theirs, base)
    again = compare(written(ours, first, TO_STOREFRONT), written(theirs, first, TO_UNIERP), remembered(base, first))
    assert again.creates.is_empty()
    assert again.updates.is_empty()
    assert again.agreed.is_empty()
    assert again.conflicts.is_empty()


@given(ours=tables, theirs=tables, base=tables)
def test_every_row_of_ours_is_created_updated_or_left_exactly_once(
    ours: dict[str, Any], theirs: dict[str, Any], base: dict[str, Any]
) -> None:
    merged = compare(ours, theirs, base)
    created, updated = merged.creates[KEY].to_list(), merged.updates[KEY].to_list()
    assert sorted(created) == sorted(set(ours) - set(theirs))
    assert len(set(updated)) == len(updated)
    assert not set(created) & set(updated)
    assert set(updated) <= set(ours) & set(theirs)
    assert not set(updated) & set(merged.agreed[KEY].to_list())


@given(table=tables)
def test_equal_sides_without_a_base_are_only_remembered(table: dict[str, Any]) -> None:
    merged = compare(table, table, {})
    assert merged.creates.is_empty()
    assert merged.updates.is_empty()
    assert sorted(merged.agreed[KEY].to_list()) == sorted(table)


@given(ours=tables, theirs=tables, base=tables)
def test_a_conflict_is_recorded_only_where_both_sides_changed_differently(
    ours: dict[str, Any], theirs: dict[str, Any], base: dict[str, Any]
) -> None:
    def plain(row: dict[str, Any], name: str) -> Any:
        empty = {"stock": Decimal(0), "active": False}
        return empty.get(name) if row[name] is None else row[name]

    expected = {
        (key, name)
        for key in set(ours) & set(theirs) & set(base)
        for name in SYNCED
        if name != "stock"
        and plain(ours[key], name) != plain(theirs[key], name)
        and plain(ours[key], name) != plain(base[key], name)
        and plain(theirs[key], name) != plain(base[key], name)
    }
    conflicts = compare(ours, theirs, base).conflicts
    assert set(conflicts.select(KEY, "field").iter_rows()) == expected


def one(name: str, ours: Any, theirs: Any, base: Any) -> dict[str, Any]:
    """What is done with a single field: the value and the systems it is written to."""
    blank = dict.fromkeys(SYNCED)
    merged = compare({"1": {**blank, name: ours}}, {"1": {**blank, name: theirs}}, {"1": {**blank, name: base}})
    if merged.updates.is_empty():
        return {"to": None, "base": merged.agreed[name][0] if merged.agreed.height else base}
    row = merged.updates.row(0, named=True)
    systems = [system for system, flag in (("unierp", TO_UNIERP), ("storefront", TO_STOREFRONT)) if name in row[flag]]
    return {"to": systems[0], "value": row[name]}


@pytest.mark.parametrize("name", ["ours_both", "theirs_both", "ours_only", "theirs_kept", "latest"])
def test_a_change_of_the_shop_alone_goes_to_unierp_whoever_owns_the_field(name: str) -> None:
    assert one(name, "new", "old", "old") == {"to": "unierp", "value": "new"}


@pytest.mark.parametrize("name", ["ours_both", "theirs_both"])
def test_a_change_in_unierp_alone_goes_to_the_shop_where_the_field_flows_there(name: str) -> None:
    assert one(name, "old", "new", "old") == {"to": "storefront", "value": "new"}


def test_where_both_changed_the_owner_wins() -> None:
    assert one("ours_both", "mine", "yours", "old") == {"to": "unierp", "value": "mine"}
    assert one("theirs_both", "mine", "yours", "old") == {"to": "storefront", "value": "yours"}


def test_changed_alike_both_agree() -> None:
    assert one("ours_both", "new", "new", "old") == {"to": None, "base": "new"}


def test_a_field_of_the_shop_that_does_not_flow_back_is_put_right_in_unierp() -> None:
    assert one("ours_only", "old", "edited", "old") == {"to": "unierp", "value": "old"}


def test_a_value_of_unierp_that_cannot_flow_back_is_kept_and_never_overwritten() -> None:
    assert one("theirs_kept", "old", "edited", "old") == {"to": None, "base": "old"}


def test_an_empty_text_of_the_shop_takes_nothing_away_that_it_never_had() -> None:
    assert one("ours_only", None, "added", None) == {"to": None, "base": None}
    assert one("ours_both", None, "added", None) == {"to": "storefront", "value": "added"}
    blank = dict.fromkeys(SYNCED)
    unknown = compare({"1": blank}, {"1": {**blank, "ours_only": "added"}}, {})
    assert unknown.updates.is_empty()


def test_an_empty_text_of_the_shop_takes_away_what_it_had_before() -> None:
    assert one("ours_only", None, "old", "old") == {"to": "unierp", "value": None}
    assert one("ours_both", None, "old", "old") == {"to": "unierp", "value": None}


def test_stock_only_ever_flows_to_the_shop() -> None:
    assert one("stock", Decimal("5.00"), Decimal("3.00"), Decimal("3.00")) == {
        "to": "storefront",
        "value": Decimal("3.00"),
    }


def test_a_total_unierp_computed_differently_is_disputed_by_a_cent() -> None:
    blank = dict.fromkeys(SYNCED)
    ours, theirs = {**blank, "total": Decimal("10.00")}, {**blank, "total": Decimal("10.01")}
    disputed = compare({"1": ours}, {"1": theirs}, {}).disputed
    assert disputed.rows() == [("1", "total", "10.00", "10.01")]


def test_what_is_gone_from_the_shop_is_withdrawn_once() -> None:
    blank = dict.fromkeys(SYNCED)
    assert compare({}, {"1": {**blank, "active": True}}, {}, gone=("1", "2")).withdrawn[KEY].to_list() == ["1"]
    assert compare({}, {"1": {**blank, "active": False}}, {}, gone=("1",)).withdrawn.is_empty()


def at(frame_: pl.DataFrame, hour: int) -> pl.DataFrame:
    """The frame as it would be had all its rows changed at that hour."""
    return frame_.with_columns(pl.lit(datetime(2026, 1, 1, hour, tzinfo=UTC)).dt.cast_time_unit("us").alias(CHANGED_AT))


@pytest.mark.parametrize(
    ("ours_at", "theirs_at", "winner"), [(9, 10, "storefront"), (10, 9, "unierp"), (9, 9, "unierp")]
)
def test_the_side_that_changed_last_wins_where_that_is_declared(ours_at: int, theirs_at: int, winner: str) -> None:
    blank = dict.fromkeys(SYNCED)
    merged = merge(
        ENTITY,
        at(frame({"1": {**blank, "latest": "mine"}}), ours_at),
        at(frame({"1": {**blank, "latest": "yours"}}, Role.SYNC, Role.VERIFY), theirs_at),
        frame({"1": {**blank, "latest": "old"}}, Role.SYNC),
        pl.DataFrame(schema={KEY: pl.String()}),
    )
    row = merged.updates.row(0, named=True)
    assert (row["latest"], row[TO_UNIERP], row[TO_STOREFRONT]) == (
        ("yours", [], ["latest"]) if winner == "storefront" else ("mine", ["latest"], [])
    )


PEOPLE = Entity(
    name="people",
    domain="customers",
    description="People.",
    model="person",
    inputs=(Input("people", "id"),),
    fields=(
        Field("vat", Kind.TEXT, "Decided by a person.", flows_to=BOTH, strategy=Strategy.MANUAL),
        Field("groups", Kind.REFERENCES, "A set.", flows_to=BOTH, strategy=Strategy.UNION, target="people"),
        Field("name", Kind.TEXT, "A neighbour."),
    ),
    stage=lambda inputs: inputs["people"],
)


def meet(ours: tuple[Any, ...], theirs: tuple[Any, ...], base: tuple[Any, ...], *made: tuple[Any, ...]) -> Merged:
    """The merge of one person: (vat, groups, name) on each side; ``made`` are decisions."""
    frames = [pl.DataFrame([("1", *row)], schema=PEOPLE.schema(), orient="row") for row in (ours, theirs, base)]
    return merge(
        PEOPLE, *frames, pl.DataFrame(schema={KEY: pl.String()}), pl.DataFrame(made, schema=DECISIONS, orient="row")
    )


def test_a_manual_conflict_holds_the_whole_record_until_a_person_decides() -> None:
    sides = (("A", None, "Ada"), ("B", None, "Ada"), ("O", None, "Eve"))
    merged = meet(*sides)
    assert merged.updates.is_empty()
    assert merged.agreed.is_empty()
    assert merged.conflicts.rows() == [("1", "vat", "O", "A", "B", "manual", None)]
    for take, value, to_unierp, to_storefront in (
        ("ours", None, ["vat"], []),
        ("theirs", None, [], ["vat"]),
        ("value", "C", ["vat"], ["vat"]),
    ):
        decided = meet(*sides, ("1", "vat", "A", "B", take, value))
        row = decided.updates.row(0, named=True)
        assert (row["vat"], row[TO_UNIERP], row[TO_STOREFRONT]) == (
            {"ours": "A", "theirs": "B", "value": "C"}[take],
            to_unierp,
            to_storefront,
        )
        assert decided.conflicts["outcome"].to_list() == [take]


def test_a_decision_about_other_values_than_those_that_stand_now_does_not_count() -> None:
    merged = meet(("A2", None, "Ada"), ("B", None, "Ada"), ("O", None, "Ada"), ("1", "vat", "A", "B", "theirs", None))
    assert merged.updates.is_empty()
    assert merged.conflicts["outcome"].to_list() == [None]


@pytest.mark.parametrize(
    ("ours", "theirs", "base", "union"),
    [
        ("1,2", "1,3", "1", "1,2,3"),  # each side added one
        ("2", "1,2,3", "1,2", "2,3"),  # we removed one, they added one
        (None, "1", "1", None),  # we removed the last one
        ("1", None, None, "1"),  # they have none and never had
        ("1", None, "1", None),  # they removed the last one
    ],
)
def test_a_union_keeps_what_either_side_added_and_drops_what_either_removed(
    ours: str | None, theirs: str | None, base: str | None, union: str | None
) -> None:
    merged = meet(("A", ours, "Ada"), ("A", theirs, "Ada"), ("A", base, "Ada"))
    row = merged.updates.row(0, named=True)
    assert row["groups"] == union
    assert (TO_UNIERP, union != theirs) == (TO_UNIERP, "groups" in row[TO_UNIERP])
    assert (TO_STOREFRONT, union != ours) == (TO_STOREFRONT, "groups" in row[TO_STOREFRONT])


sets = st.one_of(st.none(), st.sets(st.sampled_from("1234"), min_size=1).map(lambda keys: ",".join(sorted(keys))))


@given(ours=sets, theirs=sets, base=sets)
def test_a_union_agrees_with_the_algebra_of_sets(ours: str | None, theirs: str | None, base: str | None) -> None:
    def members(text: str | None) -> set[str]:
        return set(text.split(",")) if text else set()

    mine, yours, before = members(ours), members(theirs), members(base)
    expected = (mine | yours) - (before - mine) - (before - yours)
    merged = meet(("A", ours, "Ada"), ("A", theirs, "Ada"), ("A", base, "Ada"))
    found = merged.updates if merged.updates.height else merged.agreed
    # Where nothing is to be written and nothing to be remembered, all three are the same set.
    assert members(found["groups"][0] if found.height else base) == expected


def test_what_flows_back_to_the_shop_says_into_which_column() -> None:
    for entity in ENTITIES.values():
        for field in entity.synced:
            assert (field.column is not None) == (System.STOREFRONT in field.flows_to), (entity.name, field.name)
            # A union, or what a person gives, may have to be written on both sides.
            if field.strategy in (Strategy.UNION, Strategy.MANUAL):
                assert set(field.flows_to) == set(BOTH)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.DECIMAL, "1.50", Decimal("1.50")),
        (Kind.BOOLEAN, "true", True),
        (Kind.INTEGER, "7", 7),
        (Kind.TEXT, "x", "x"),
        (Kind.TIMESTAMP, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (Kind.DATE, "2026-01-02", date(2026, 1, 2)),
        (Kind.DECIMAL, "much", None),
    ],
)
def test_a_text_is_read_as_the_value_it_stands_for(kind: Kind, text: str, value: Any) -> None:
    field = Field("x", kind, "A value.", scale=2)
    assert pl.DataFrame({"text": [text]}).select(from_text(field, pl.col("text"))).item() == value


@pytest.mark.parametrize(
    ("ours", "theirs", "base", "to_unierp", "to_shop", "value"),
    [
        # the shop takes it off sale: UniERP gives the code up, the shop keeps its own
        ((False, "A"), (True, "A"), (True, "A"), ["barcode", "active"], [], None),
        # a person archives it in UniERP: nobody's code changes
        ((True, "A"), (False, "A"), (True, "A"), [], ["active"], None),
        # off sale, whatever stands on either side
        ((False, "A"), (False, None), (False, None), [], [], None),
        ((False, "A"), (False, "B"), (False, "A"), [], [], None),
        # back on sale in the shop, and in UniERP: the code comes back with it
        ((True, "A"), (False, None), (False, None), ["barcode", "active"], [], "A"),
        ((False, "A"), (True, None), (False, None), ["barcode"], ["active"], "A"),
    ],
)
def test_a_code_is_needed_only_while_its_article_is_on_sale(
    ours: tuple[bool, str | None],
    theirs: tuple[bool, str | None],
    base: tuple[bool, str | None],
    to_unierp: list[str],
    to_shop: list[str],
    value: str | None,
) -> None:
    entity = Entity(
        name="articles",
        domain="products",
        description="Articles.",
        model="article",
        inputs=(Input("articles", "id"),),
        fields=(
            Field("barcode", Kind.TEXT, "Code.", owner=System.UNIERP, flows_to=BOTH, only_while="active"),
            Field("active", Kind.BOOLEAN, "On sale.", owner=System.UNIERP, flows_to=BOTH),
        ),
        stage=lambda inputs: inputs["articles"],
    )

    def side(row: tuple[bool, str | None]) -> pl.DataFrame:
        return pl.DataFrame([{KEY: "1", "barcode": row[1], "active": row[0]}], schema=entity.schema())

    nothing = pl.DataFrame(schema={KEY: pl.String})
    merged = merge(entity, side(ours), side(theirs), side(base), nothing)
    assert merged.conflicts.is_empty()
    if to_unierp or to_shop:
        (row,) = merged.updates.to_dicts()
        assert (row[TO_UNIERP], row[TO_STOREFRONT], row["barcode"]) == (to_unierp, to_shop, value)
    else:
        assert merged.updates.is_empty()
