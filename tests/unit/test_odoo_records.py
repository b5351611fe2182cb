"""Bulk reading and writing against a fake server: what is sent, in which batches, and what a trouble leads to."""

import operator
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odoo_fake import FakeOdoo, Fault, Trouble, running

from unierp_assets.odoo import (
    OdooAnswerLost,
    OdooConcurrencyError,
    OdooError,
    OdooMissingModule,
    OdooMissingRecord,
    OdooUnavailable,
    OdooValidationError,
    Outcome,
    archive,
    batches,
    bind,
    bindings,
    changed_since,
    create,
    failed,
    load,
    read,
    search_read,
    unlink,
    write_changed,
)
from unierp_assets.odoo.batches import even_batch, settle, together

PARTNER = {
    "res.partner": {
        "name": {"type": "char"},
        "street": {"type": "char"},
        "active": {"type": "boolean"},
        "country_id": {"type": "many2one", "relation": "res.country"},
        "category_id": {"type": "many2many", "relation": "res.partner.category"},
        "child_ids": {"type": "one2many", "relation": "res.partner"},
        "image_1920": {"type": "binary"},
    }
}
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "in": lambda value, among: value in among,
}


@pytest.fixture
def odoo() -> Iterator[FakeOdoo]:
    fake = FakeOdoo(fields=PARTNER)
    with running(fake):
        yield fake


def _text(value: Any) -> Any:
    """What is empty compares as the smallest text."""
    return "" if value is None or value is False else value


class Table:
    """Rows the way Odoo reads them: stamps are compared with microseconds and told in seconds."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def search_read(
        self, domain: list[list[Any]], fields: list[str], limit: int | None = None, order: str = "id"
    ) -> list[dict[str, Any]]:
        found = [
            row
            for row in self.rows
            if all(OPERATORS[sign](_text(row[name]), _text(value)) for name, sign, value in domain)
        ]
        keys = [key.strip() for key in order.split(",")]
        found.sort(key=lambda row: tuple(row[key] or "9999" for key in keys))
        told = [{**{name: row[name] for name in fields}, "id": row["id"]} for row in found[:limit]]
        for row in told:
            if row.get("write_date"):
                row["write_date"] = row["write_date"][:19]
        return told


START = datetime(2024, 3, 1, 12, tzinfo=UTC)
stamps = st.lists(st.one_of(st.none(), st.integers(min_value=0, max_value=4_000_000)), min_size=0, max_size=40)


@settings(max_examples=60, deadline=None)
@given(stamps, st.integers(min_value=1, max_value=7), st.integers(min_value=-1, max_value=4))
def test_changed_since_gives_each_changed_record_once_in_order(
    microseconds: list[int | None], batch: int, since: int
) -> None:
    rows = [
        {
            "id": number + 1,
            "name": f"n{number}",
            "write_date": None
            if offset is None
            else (START + timedelta(microseconds=offset)).isoformat(" ", "microseconds")[:26],
        }
        for number, offset in enumerate(microseconds)
    ]
    fake = FakeOdoo(fields=PARTNER)
    fake.on["res.partner", "search_read"] = Table(rows).search_read
    begin = None if since < 0 else START + timedelta(seconds=since)
    with running(fake), fake.session() as session:
        found = list(changed_since(session, "res.partner", ["name"], begin, batch=batch))
    border = "" if begin is None else begin.isoformat(" ", "seconds")[:19]
    wanted = [row for row in rows if begin is None or (row["write_date"] and row["write_date"] >= border)]
    assert sorted(row["id"] for row in found) == [row["id"] for row in wanted]
    seconds = [row["write_date"] or "9999" for row in found]
    assert seconds == sorted(seconds)


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(min_value=1, max_value=500), max_size=30), st.integers(min_value=1, max_value=9))
def test_search_read_gives_every_record_once_in_order_of_id(ids: set[int], batch: int) -> None:
    fake = FakeOdoo(fields=PARTNER)
    fake.on["res.partner", "search_read"] = Table([{"id": id_, "name": "x"} for id_ in ids]).search_read
    with running(fake), fake.session() as session:
        found = list(search_read(session, "res.partner", [], ["name"], batch=batch))
    assert [row["id"] for row in found] == sorted(ids)


def test_changed_since_wants_an_aware_time(odoo: FakeOdoo) -> None:
    with odoo.session() as session, pytest.raises(ValueError, match="aware"):
        list(changed_since(session, "res.partner", ["name"], START.replace(tzinfo=None)))


@pytest.mark.parametrize("what", ["deleted", "written"])
@pytest.mark.parametrize("reader", ["changed_since", "search_read"])
def test_what_others_do_between_the_calls_of_a_page_skips_nothing(odoo: FakeOdoo, reader: str, what: str) -> None:
    rows = [
        {"id": id_, "name": f"n{id_}", "country_id": 1, "write_date": f"2024-03-01 12:00:{id_:02}"}
        for id_ in range(1, 21)
    ]
    table = Table(rows)
    last_of_page = 5

    def read_later(ids: list[int], fields: list[str], load: str | None) -> list[dict[str, Any]]:
        if ids[-1] == last_of_page and what == "deleted":
            rows[:] = [row for row in rows if row["id"] != last_of_page]
        elif ids[-1] == last_of_page:
            rows[last_of_page - 1]["write_date"] = "2024-03-01 12:30:00"
        return [{name: row[name] for name in ["id", *fields]} for row in rows if row["id"] in ids]

    odoo.on["res.partner", "search_read"] = table.search_read
    odoo.on["res.partner", "read"] = read_later
    fields = ["name", "country_id"]
    with odoo.session() as session:
        found = (
            changed_since(session, "res.partner", fields, START, batch=last_of_page, names=False)
            if reader == "changed_since"
            else search_read(session, "res.partner", [], fields, batch=last_of_page, names=False)
        )
        seen = {row["id"] for row in found}
    assert seen == {row["id"] for row in rows}


def test_read_leaves_out_what_is_gone(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "search_read"] = Table([{"id": 1, "name": "a"}, {"id": 3, "name": "c"}]).search_read
    with odoo.session() as session:
        assert read(session, "res.partner", [3, 2, 1, 3], ["name"], batch=2) == {
            1: {"id": 1, "name": "a"},
            3: {"id": 3, "name": "c"},
        }


# load


def accept(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
    return {"ids": [int(row[0].split("c")[1]) for row in rows if row[0]], "messages": []}


def refuse_name(bad: str) -> Callable[..., dict[str, Any]]:
    """`load` of a server that finds one name bad and says in which row."""

    def answer(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
        wrong = [at for at, row in enumerate(rows) if row[1] == bad]
        if not wrong:
            return accept(columns, rows)
        messages = [
            {"type": "error", "message": "The name is bad", "field": "name", "rows": {"from": at, "to": at}}
            for at in wrong
        ]
        return {"ids": False, "messages": messages}

    return answer


def test_load_gives_an_id_for_each_key(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = accept
    rows = [[f"shop.c{number}", "x"] for number in range(1, 8)]
    with odoo.session() as session:
        outcomes = load(session, "res.partner", ["id", "name"], rows, keys=range(1, 8), batch=3)
    assert outcomes == [Outcome(number, number) for number in range(1, 8)]
    assert all(len(args[1]) <= 3 for args in odoo.of("res.partner", "load"))


def test_a_bad_record_is_found_by_the_rows_the_server_blames(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = refuse_name("bad")
    rows = [[f"shop.c{number}", "bad" if number == 40 else "x"] for number in range(1, 101)]
    with odoo.session(connections=1) as session:
        outcomes = load(session, "res.partner", ["id", "name"], rows, batch=100)
    (bad,) = failed(outcomes)
    assert bad.key == "shop.c40"
    assert not bad.changed
    assert isinstance(bad.error, OdooValidationError)
    assert (bad.error.record, bad.error.field) == ("shop.c40", "name")
    assert sum(outcome.ok for outcome in outcomes) == 99
    assert len(odoo.of("res.partner", "load")) == 3  # all, all but the bad one, the bad one


def test_a_bad_record_is_found_by_halving_where_the_server_blames_nobody(odoo: FakeOdoo) -> None:
    def answer(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
        if any(row[1] == "bad" for row in rows):
            raise Fault("odoo.exceptions.UserError", "Something is bad")
        return accept(columns, rows)

    odoo.on["res.partner", "load"] = answer
    rows = [[f"shop.c{number}", "bad" if number in (5, 11) else "x"] for number in range(1, 17)]
    with odoo.session() as session:
        outcomes = load(session, "res.partner", ["id", "name"], rows, batch=16)
    assert [outcome.key for outcome in failed(outcomes)] == ["shop.c5", "shop.c11"]
    assert [outcome.key for outcome in outcomes] == [row[0] for row in rows]


def test_an_innocent_record_the_server_blames_is_loaded(odoo: FakeOdoo) -> None:
    """Odoo puts the message of a whole failed batch on its first record."""

    def answer(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
        if any(row[1] == "bad" for row in rows):
            return {
                "ids": False,
                "messages": [{"type": "error", "message": "bad", "rows": {"from": 0, "to": 0}, "field": "name"}],
            }
        return accept(columns, rows)

    odoo.on["res.partner", "load"] = answer
    rows = [[f"shop.c{number}", "bad" if number == 3 else "x"] for number in range(1, 5)]
    with odoo.session() as session:
        outcomes = load(session, "res.partner", ["id", "name"], rows, batch=4)
    assert [outcome.key for outcome in failed(outcomes)] == ["shop.c3"]


def test_a_concurrent_write_told_in_a_message_is_repeated(odoo: FakeOdoo) -> None:
    conflicts = [{"ids": False, "messages": [{"type": "error", "message": "could not serialize access"}]}]

    def answer(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
        return conflicts.pop() if conflicts else accept(columns, rows)

    odoo.on["res.partner", "load"] = answer
    with odoo.session() as session:
        assert load(session, "res.partner", ["id", "name"], [["shop.c1", "x"]])[0].id == 1


def test_a_load_whose_answer_was_lost_is_done_again_for_it_finds_its_own_records(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = accept
    odoo.on["res.partner", "fields_get"] = lambda *_: PARTNER["res.partner"]
    odoo.troubles = [None, Trouble(cut=True)]
    with odoo.session() as session:
        assert load(session, "res.partner", ["id", "name"], [["shop.c1", "x"]])[0].ok
    assert len(odoo.of("res.partner", "load")) == 2


def external_ids(known: dict[str, int]) -> Callable[..., list[dict[str, Any]]]:
    def answer(domain: list[list[Any]], fields: list[str], **_: Any) -> list[dict[str, Any]]:
        names = next(value for name, _, value in domain if name == "name")
        return [{"name": name, "res_id": known[name], "model": "res.partner"} for name in names if name in known]

    return answer


def test_lines_without_identity_are_not_added_a_second_time(odoo: FakeOdoo) -> None:
    known: dict[str, int] = {"c1": 1}

    def answer(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
        known.update({row[0].split(".")[1]: int(row[0].split("c")[1]) for row in rows if row[0]})
        return accept(columns, rows)

    odoo.on["res.partner", "load"] = answer
    odoo.on["ir.model.data", "search_read"] = external_ids(known)
    odoo.troubles = [None, None, Trouble(cut=True)]  # fields, look, load
    columns = ["id", "name", "child_ids/name"]
    rows = [["shop.c1", "x", "a"], ["shop.c2", "y", "b"], ["shop.c2", "y", "c"]]
    with odoo.session() as session:
        outcomes = load(session, "res.partner", columns, rows)
    assert outcomes == [Outcome("shop.c1", 1, changed=False), Outcome("shop.c2", 2)]
    assert odoo.of("res.partner", "load") == [[columns, [["shop.c2", "y", "b"], ["", "", "c"]]]]


def test_a_load_that_cannot_be_recognised_is_not_repeated(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = lambda columns, rows: {"ids": [1], "messages": []}
    odoo.troubles = [None, Trouble(cut=True)]
    with odoo.session() as session:
        (outcome,) = load(session, "res.partner", ["name"], [["x"]], keys=["k"])
    assert isinstance(outcome.error, OdooAnswerLost)
    assert len(odoo.of("res.partner", "load")) == 1


def test_a_database_id_that_is_gone_is_a_missing_record(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = lambda *_: {
        "ids": False,
        "messages": [{"type": "error", "message": "Unknown database identifier '9'", "field": ".id"}],
    }
    with odoo.session() as session:
        (outcome,) = load(session, "res.partner", [".id", "name"], [[9, "x"]])
    assert isinstance(outcome.error, OdooMissingRecord)


def test_a_silent_refusal_is_an_error(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = lambda *_: {"ids": False, "messages": []}
    with odoo.session() as session:
        (outcome,) = load(session, "res.partner", ["id", "name"], [["shop.c1", "x"]])
    assert isinstance(outcome.error, OdooError)
    assert "no reason" in str(outcome.error)


def test_fewer_records_than_rows_is_an_error(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = lambda *_: {"ids": [1, 2], "messages": []}
    with odoo.session() as session:
        (outcome,) = load(session, "res.partner", ["id", "name"], [["shop.c1", "x"]])
    assert "answered 2 records to 1" in str(outcome.error)


@pytest.mark.parametrize(
    ("columns", "rows", "keys", "complaint"),
    [
        (["name"], [["x"]], None, "keys are needed"),
        (["id", "name"], [["shop.c1"]], None, "1 cells for 2 columns"),
        (["id"], [["c1"]], None, "not an external id"),
        (["id"], [["shop.c.1"]], None, "not an external id"),
        (["id"], [["shop.c1"]], ["a", "b"], "2 keys for 1 rows"),
        (["id"], [["shop.c1"], ["shop.c2"], ["shop.c1"]], None, "not together"),
        (["id", "name"], [["shop.c1", "x"], ["shop.c1", "y"]], None, "no column of lines"),
    ],
)
def test_malformed_sheets_are_refused_before_anything_is_sent(
    odoo: FakeOdoo, columns: list[str], rows: list[list[Any]], keys: list[str] | None, complaint: str
) -> None:
    with odoo.session() as session, pytest.raises(ValueError, match=complaint):
        load(session, "res.partner", columns, rows, keys=keys)
    assert not odoo.of("res.partner", "load")


def test_an_absent_model_names_its_app(odoo: FakeOdoo) -> None:
    with odoo.session() as session, pytest.raises(OdooMissingModule, match="sale_management"):
        load(session, "sale.order", ["id", "name"], [["shop.c1", "x"]])


# batches


def test_when_the_server_goes_down_what_was_not_begun_fails_at_once(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "write"] = lambda *_: True
    odoo.troubles = [Trouble(status=503)] * 50
    with odoo.session(connections=1, attempts=2) as session:
        outcomes = settle(
            session,
            list(range(100)),
            lambda part: [Outcome(id_, session.step("res.partner", "write", part, {})) for id_ in part],
            key=lambda id_: id_,
            batch=1,
        )
    assert all(isinstance(outcome.error, OdooUnavailable) for outcome in outcomes)
    assert len(odoo.troubles) == 48


def test_what_no_smaller_batch_would_mend_is_not_divided(odoo: FakeOdoo) -> None:
    tries: list[int] = []

    def act(part: list[int]) -> list[Outcome[int]]:
        tries.append(len(part))
        raise OdooMissingModule("no such app")

    with odoo.session() as session:
        outcomes = settle(session, list(range(8)), act, key=lambda id_: id_, batch=8, connections=1)
    assert tries == [8]
    assert len(failed(outcomes)) == 8


def test_a_conflict_is_looked_at_again_as_a_whole(odoo: FakeOdoo) -> None:
    tries: list[int] = []

    def act(part: list[int]) -> list[Outcome[int]]:
        tries.append(len(part))
        if len(tries) < 3:
            raise OdooConcurrencyError("somebody else")
        return [Outcome(id_, id_) for id_ in part]

    with odoo.session() as session:
        outcomes = settle(session, [1, 2, 3], act, key=lambda id_: id_, batch=9, connections=1)
    assert tries == [3, 3, 3]
    assert not failed(outcomes)


def test_batches_get_smaller_where_the_server_is_slow_and_grow_where_it_is_quick(
    odoo: FakeOdoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, each = 0.0, 0.1
    tries: list[int] = []
    monkeypatch.setattr(batches, "time", SimpleNamespace(perf_counter=lambda: now))

    def act(part: list[int]) -> list[Outcome[int]]:
        nonlocal now, each
        tries.append(len(part))
        now += len(part) * each
        each = 0.1 if len(tries) < 3 else 0.01
        return [Outcome(id_, id_) for id_ in part]

    with odoo.session(timeout=60) as session:  # ten seconds are too long
        outcomes = settle(session, list(range(1000)), act, key=lambda id_: id_, batch=200, connections=1)
    assert tries == [200, 50, 50, 50, 50, 100, 100, 200, 200]
    assert [outcome.id for outcome in outcomes] == list(range(1000))


def test_a_batch_whose_answer_was_lost_is_done_again_in_pieces(odoo: FakeOdoo) -> None:
    tries: list[int] = []

    def act(part: list[int]) -> list[Outcome[int]]:
        tries.append(len(part))
        if len(part) > 10:
            raise OdooAnswerLost("longer than the server allows")
        if tries.count(len(part)) == 1:
            raise OdooAnswerLost("a piece is tried again")
        return [Outcome(id_, id_) for id_ in part]

    with odoo.session() as session:
        outcomes = settle(session, list(range(64)), act, key=lambda id_: id_, batch=64, connections=1)
    assert tries == [64, *[8] * 9]
    assert [outcome.id for outcome in outcomes] == list(range(64))


def test_families_stay_together_until_there_is_only_one(odoo: FakeOdoo) -> None:
    tries: list[list[str]] = []

    def act(part: list[str]) -> list[Outcome[str]]:
        tries.append(part)
        if "b2" in part:
            raise OdooValidationError("not b2")
        return [Outcome(each, 1) for each in part]

    with odoo.session() as session:
        outcomes = settle(
            session,
            ["a1", "a2", "b1", "b2", "c1"],
            act,
            key=lambda each: each,
            batch=9,
            connections=1,
            family=lambda each: each[0],
        )
    assert tries == [
        ["a1", "a2", "b1", "b2", "c1"],
        ["a1", "a2"],
        ["b1", "b2", "c1"],
        ["b1", "b2"],
        ["b1"],
        ["b2"],
        ["c1"],
    ]
    assert [outcome.key for outcome in failed(outcomes)] == ["b2"]


def test_rows_of_one_family_are_loaded_in_one_call(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = lambda _, rows: {"ids": [*range(len(rows))], "messages": []}
    rows = [[f"shop.a{number}", "x"] for number in range(6)]
    families = {f"shop.a{number}": number % 2 for number in range(6)}
    with odoo.session(connections=1) as session:
        load(session, "res.partner", ["id", "name"], rows, batch=4, families=families)
    sent = [[row[0] for row in call[1]] for call in odoo.of("res.partner", "load")]
    assert sent == [["shop.a0", "shop.a2", "shop.a4"], ["shop.a1", "shop.a3", "shop.a5"]]


@given(st.integers(0, 5000), st.integers(1, 700), st.integers(1, 8))
def test_even_batches_are_no_larger_than_asked(count: int, batch: int, lanes: int) -> None:
    assert 1 <= even_batch(count, batch, lanes) <= batch


def test_lanes_get_equal_work() -> None:
    assert even_batch(600, 500, 2) == 300
    assert even_batch(20, 500, 2) == 20  # too little to be worth a second call


@given(st.lists(st.integers(0, 9)), st.integers(1, 6))
def test_what_belongs_together_stays_together(items: list[int], size: int) -> None:
    groups = together(items, lambda item: item, size)
    assert sorted(item for group in groups for item in group) == sorted(items)
    homes: dict[int, set[int]] = {}
    for number, group in enumerate(groups):
        for item in group:
            homes.setdefault(item, set()).add(number)
    assert all(len(home) == 1 for home in homes.values())


# write_changed, create, archive, unlink


def test_equal_values_are_one_write_and_different_ones_one_sheet(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "write"] = lambda *_: True
    odoo.on["res.partner", "load"] = lambda columns, rows: {"ids": [int(row[0]) for row in rows], "messages": []}
    changes: dict[int, dict[str, Any]] = {id_: {"active": False} for id_ in range(1, 8)}
    changes |= {id_: {"name": f"n{id_}", "country_id": 5} for id_ in range(11, 14)}
    changes[20] = {}
    with odoo.session(connections=1) as session:
        outcomes = write_changed(session, "res.partner", changes)
    assert odoo.of("res.partner", "write") == [[[1, 2, 3, 4, 5, 6, 7], {"active": False}]]
    assert odoo.of("res.partner", "load") == [
        [[".id", "country_id/.id", "name"], [["11", "5", "n11"], ["12", "5", "n12"], ["13", "5", "n13"]]]
    ]
    assert [outcome.key for outcome in outcomes] == list(changes)
    assert [outcome.key for outcome in outcomes if not outcome.changed] == [20]


def test_what_a_sheet_cannot_hold_is_written_record_by_record(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "write"] = lambda *_: True
    changes: dict[int, dict[str, Any]] = {
        1: {"image_1920": "aGk="},
        2: {"category_id": []},
        3: {"category_id": [[4, 9]]},
    }
    with odoo.session(connections=1) as session:
        assert not failed(write_changed(session, "res.partner", changes))
    assert odoo.of("res.partner", "write") == [
        [[1], {"image_1920": "aGk="}],
        [[2], {"category_id": [[6, 0, []]]}],
        [[3], {"category_id": [[4, 9]]}],
    ]


def test_a_set_of_tags_fits_in_a_sheet(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "load"] = lambda columns, rows: {"ids": [int(row[0]) for row in rows], "messages": []}
    with odoo.session() as session:
        write_changed(session, "res.partner", {1: {"category_id": [4, 9]}})
    assert odoo.of("res.partner", "load") == [[[".id", "category_id/.id"], [["1", "4,9"]]]]


def test_a_record_that_cannot_be_written_stands_alone(odoo: FakeOdoo) -> None:
    def write(ids: list[int], _: dict[str, Any]) -> bool:
        if 3 in ids:
            raise Fault("odoo.exceptions.MissingError", "Record does not exist or has been deleted.")
        return True

    odoo.on["res.partner", "write"] = write
    with odoo.session() as session:
        outcomes = write_changed(session, "res.partner", {id_: {"active": False} for id_ in range(1, 9)})
    (bad,) = failed(outcomes)
    assert (bad.key, type(bad.error)) == (3, OdooMissingRecord)


def test_create_keeps_the_keys_and_is_not_repeated(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "create"] = lambda values: [int(item["name"]) for item in values]
    with odoo.session(connections=1) as session:
        outcomes = create(session, "res.partner", [{"name": "5"}, {"name": "6"}], keys=["a", "b"])
        assert outcomes == [Outcome("a", 5), Outcome("b", 6)]
        odoo.troubles = [Trouble(cut=True)]
        (lost,) = create(session, "res.partner", [{"name": "7"}])
    assert isinstance(lost.error, OdooAnswerLost)
    assert len(odoo.of("res.partner", "create")) == 2


def test_archive_touches_only_what_is_active(odoo: FakeOdoo) -> None:
    rows = [{"id": 1, "active": True}, {"id": 2, "active": False}]
    odoo.on["res.partner", "search_read"] = Table(rows).search_read
    odoo.on["res.partner", "load"] = lambda columns, rows: {"ids": [int(row[0]) for row in rows], "messages": []}
    with odoo.session() as session:
        outcomes = archive(session, "res.partner", [1, 2, 3])
    assert [(outcome.key, outcome.changed, outcome.ok) for outcome in outcomes] == [
        (1, True, True),
        (2, False, True),
        (3, False, False),
    ]
    assert odoo.of("res.partner", "load") == [[[".id", "active"], [["1", "0"]]]]


def test_unlink_counts_what_is_gone_already_as_done(odoo: FakeOdoo) -> None:
    odoo.on["res.partner", "search"] = lambda domain: [id_ for id_ in domain[0][2] if id_ != 2]
    odoo.on["res.partner", "unlink"] = lambda ids: True
    with odoo.session() as session:
        outcomes = unlink(session, "res.partner", [1, 2, 3])
    assert [(outcome.key, outcome.changed) for outcome in outcomes] == [(1, True), (2, False), (3, True)]
    assert odoo.of("res.partner", "unlink") == [[[1, 3]]]


# bindings


def test_bind_makes_the_missing_names_takes_over_dangling_ones_and_refuses_a_taken_one(odoo: FakeOdoo) -> None:
    odoo.on["ir.model.data", "search_read"] = external_ids({"c1": 1, "c2": 99, "c4": 98})
    odoo.on["ir.model.data", "search"] = lambda domain: [7]
    odoo.on["ir.model.data", "unlink"] = lambda ids: True
    odoo.on["ir.model.data", "create"] = lambda values: list(range(len(values)))
    odoo.on["res.partner", "search"] = lambda domain: [99]
    with odoo.session() as session:
        outcomes = {
            each.key: each for each in bind(session, "shop", "res.partner", {"c1": 1, "c2": 2, "c3": 3, "c4": 4})
        }
    assert {key: (outcome.changed, outcome.ok) for key, outcome in outcomes.items()} == {
        "c1": (False, True),
        "c2": (False, False),
        "c3": (True, True),
        "c4": (True, True),
    }
    assert "shop.c2 already names res.partner 99" in str(outcomes["c2"].error)
    ((gone,),) = odoo.of("ir.model.data", "search")
    assert ["name", "in", ["c4"]] in gone
    ((made,),) = odoo.of("ir.model.data", "create")
    assert sorted(item["name"] for item in made) == ["c3", "c4"]


def test_bindings_are_read_in_pages_from_a_cursor(odoo: FakeOdoo) -> None:
    rows = [{"id": n, "module": "shop", "name": f"c{n}", "res_id": n * 10, "model": "res.partner"} for n in range(1, 8)]
    odoo.on["ir.model.data", "search_read"] = Table(rows).search_read
    with odoo.session() as session:
        assert bindings(session, "shop", batch=3) == {f"c{n}": n * 10 for n in range(1, 8)}
        assert bindings(session, "shop", model="res.partner", since_id=5) == {"c6": 60, "c7": 70}
        assert bindings(session, "shop", model="res.users") == {}
        assert bindings(session, "shop", names=["c2", "c9"]) == {"c2": 20}
