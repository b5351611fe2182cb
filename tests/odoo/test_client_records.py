"""The client library against real servers: login, typed errors, bulk records, external ids."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from odoo_shop import Shop, losing, open_shop

from unierp_assets.odoo import (
    OdooAccessDenied,
    OdooError,
    OdooLoginFailed,
    OdooMissingModule,
    OdooMissingRecord,
    OdooSession,
    OdooUnsupported,
    OdooValidationError,
    archive,
    bind,
    bindings,
    changed_since,
    create,
    failed,
    last_binding_id,
    load,
    read,
    search_read,
    unbind,
    unlink,
    write_changed,
)

if TYPE_CHECKING:
    from tests.conftest import OdooDatabase, RunningOdoo


@pytest.fixture(scope="module")
def database(odoo_server: "RunningOdoo") -> Iterator["OdooDatabase"]:
    fresh = odoo_server.fresh_database()
    yield fresh
    odoo_server.drop_database(fresh.db)


@pytest.fixture(scope="module")
def session(database: "OdooDatabase") -> Iterator[OdooSession]:
    with OdooSession(database.url, database.db, database.login, database.password) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(session: OdooSession) -> Shop:
    return open_shop(session, "shop_records")


def people(namespace: str, count: int, **cells: str) -> list[list[str]]:
    return [[f"{namespace}.p{n}", cells.get(f"p{n}", f"Person {n}")] for n in range(count)]


def test_the_session_knows_whom_it_talks_to(session: OdooSession, odoo_server: "RunningOdoo") -> None:
    assert session.version.startswith(odoo_server.version)
    company = session.company()
    assert company["currency"] == "USD"
    assert company["name"]


def test_the_clock_has_passed_and_what_is_written_next_is_not_stamped_before_it(database: "OdooDatabase") -> None:
    with OdooSession(database.url, database.db, database.login, database.password) as opened:
        clock = opened.clock()
        made = opened.call("res.partner", "create", [{"name": "After the login"}])
        (row,) = read(opened, "res.partner", made, ["write_date"]).values()
    written = datetime.fromisoformat(row["write_date"]).replace(tzinfo=UTC)
    assert timedelta(0) <= written - clock < timedelta(minutes=2)


def test_a_wrong_password_and_a_wrong_database_are_failed_logins(database: "OdooDatabase") -> None:
    with pytest.raises(OdooLoginFailed, match="UNIERP_ODOO_PASSWORD"):
        OdooSession(database.url, database.db, database.login, "wrong").call("res.partner", "search", [])
    with pytest.raises(OdooLoginFailed, match="UNIERP_ODOO_DB"):
        OdooSession(database.url, "no_such_database", database.login, "wrong").call("res.partner", "search", [])


class Memory:
    """Remembers who the user is, as the warehouse does."""

    def __init__(self, user_id: int | None) -> None:
        self.user_id = user_id

    def recall(self) -> int | None:
        return self.user_id

    def note(self, user_id: int) -> None:
        self.user_id = user_id


def test_a_user_who_is_remembered_does_not_log_in_until_the_clock_is_asked(
    session: OdooSession, database: "OdooDatabase"
) -> None:
    def logins() -> int:
        return int(session.call("res.users.log", "search_count", [("create_uid", "=", session.login_now())]))

    memory, before = Memory(session.login_now()), logins()
    with OdooSession(database.url, database.db, database.login, database.password, users=memory) as other:
        assert other.call("res.partner", "search_count", []) > 0
        assert other.company() == session.company()
        assert logins() == before
        assert other.clock() >= session.clock()
    assert logins() == before + 1


@pytest.mark.parametrize("remembered", [None, 99_999_999])
def test_who_is_not_remembered_or_no_longer_there_logs_in_and_is_remembered(
    session: OdooSession, database: "OdooDatabase", remembered: int | None
) -> None:
    memory = Memory(remembered)
    with OdooSession(database.url, database.db, database.login, database.password, users=memory) as other:
        assert other.call("res.partner", "search_count", []) > 0
    assert memory.user_id == session.login_now()


def test_a_wrong_password_of_a_remembered_user_is_a_failed_login(
    session: OdooSession, database: "OdooDatabase"
) -> None:
    memory = Memory(session.login_now())
    with pytest.raises(OdooLoginFailed, match="UNIERP_ODOO_PASSWORD"):
        OdooSession(database.url, database.db, database.login, "wrong", users=memory).call("res.partner", "search", [])


@pytest.mark.parametrize(
    ("model", "method", "args", "kind"),
    [
        ("no.such.model", "search", [[]], OdooMissingModule),
        ("res.partner", "no_such_method", [[1]], OdooUnsupported),
        ("res.partner", "_write", [[1], {}], OdooAccessDenied),
        ("res.partner", "write", [[99_999_999], {"name": "x"}], OdooMissingRecord),
        ("res.partner", "create", [[{"no_such_field": 1}]], OdooValidationError),
        ("res.country", "create", [[{"name": "Again", "code": "FR"}]], OdooValidationError),
        ("res.partner", "search", [[["no_such_field", "=", 1]]], OdooValidationError),
    ],
)
def test_refusals_have_their_type_and_never_break_the_session(
    session: OdooSession, model: str, method: str, args: list[object], kind: type[OdooError]
) -> None:
    with pytest.raises(kind) as refused:
        session.call(model, method, *args)
    assert type(refused.value) is kind
    assert session.db in str(refused.value)
    assert session.call("res.partner", "search_count", []) > 0


def test_a_user_without_rights_is_denied(session: OdooSession, database: "OdooDatabase") -> None:
    groups = session.features.field("res.users", "groups")
    session.call(
        "res.users",
        "create",
        [{"name": "Guest", "login": "guest", "password": "guest-password", groups: [[6, 0, []]]}],
        context={"no_reset_password": True},
    )
    with (
        OdooSession(database.url, database.db, "guest", "guest-password") as guest,
        pytest.raises(OdooAccessDenied, match="access rights"),
    ):
        guest.call("res.country", "create", [{"name": "Mine", "code": "ZZ"}])


def test_a_second_load_finds_what_the_first_one_made(session: OdooSession) -> None:
    first = load(session, "res.partner", ["id", "name"], people("again", 60), batch=20)
    second = load(session, "res.partner", ["id", "name"], people("again", 60, p7="Renamed"), batch=25)
    assert not failed(first)
    assert [outcome.id for outcome in second] == [outcome.id for outcome in first]
    assert bindings(session, "again", model="res.partner") == {f"p{n}": first[n].id for n in range(60)}
    assert read(session, "res.partner", [first[7].id or 0], ["name"])[first[7].id or 0]["name"] == "Renamed"


def test_bad_records_stand_alone_and_the_good_ones_go_on(session: OdooSession) -> None:
    columns = ["id", "name", "country_id/id"]
    bad = {3: "base.nowhere", 31: "base.nowhere", 32: "base.elsewhere"}
    rows = [[f"bad.p{n}", f"Person {n}", bad.get(n, "base.fr")] for n in range(50)]
    rows[40][1] = ""
    outcomes = load(session, "res.partner", columns, rows, keys=range(50), batch=50)
    assert [outcome.key for outcome in failed(outcomes)] == [3, 31, 32, 40]
    error = outcomes[3].error
    assert isinstance(error, OdooValidationError)
    assert error.field == "country_id"
    assert "base.nowhere" in str(error)
    assert len(bindings(session, "bad")) == 46


def test_two_programs_that_load_the_same_people_make_them_once(session: OdooSession, database: "OdooDatabase") -> None:
    ready = threading.Barrier(2)
    results: list[list[int | None]] = []

    def program() -> None:
        with OdooSession(database.url, database.db, database.login, database.password, connections=1) as own:
            own.login_now()
            ready.wait()
            outcomes = load(own, "res.partner", ["id", "name"], people("race", 20), batch=20)
            assert not failed(outcomes), failed(outcomes)
            results.append([outcome.id for outcome in outcomes])

    threads = [threading.Thread(target=program) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    assert session.call("res.partner", "search_count", [["id", "in", results[0]]]) == 20


def test_an_order_whose_answer_was_lost_is_not_made_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with losing(monkeypatch, "sale.order.load") as lost:
        ids = shop.orders(3, "lost")
    assert lost
    assert shop.session.call("sale.order", "search_count", [["client_order_ref", "like", "lost"]]) == 3
    assert [len(shop.lines(id_)) for id_ in ids] == [3, 3, 3]
    assert shop.orders(3, "lost") == ids
    assert [len(shop.lines(id_)) for id_ in ids] == [3, 3, 3]


def test_values_arrive_exactly(shop: Shop) -> None:
    (order,) = shop.orders(1, "exact")
    row = shop.one("sale.order", order, "date_order", "amount_total", "order_line")
    assert row["date_order"] == "2024-03-01 12:30:00"
    assert Decimal(repr(row["amount_total"])) == Decimal("67.94")  # 9.99 + 2 x 10.99 + 3 x 11.99


def test_only_what_changed_is_written(session: OdooSession) -> None:
    outcomes = load(session, "res.partner", ["id", "name"], people("changed", 12))
    ids = [outcome.id for outcome in outcomes if outcome.id is not None]
    (tag,) = session.call("res.partner.category", "create", [{"name": "Regular"}])
    changes: dict[int, dict[str, object]] = {id_: {"city": "Lyon"} for id_ in ids[:8]}
    changes |= {id_: {"street": f"Street {id_}", "category_id": [tag]} for id_ in ids[8:11]}
    changes[99_999_999] = {"street": "Nowhere"}
    before = session.counters.writes
    done = write_changed(session, "res.partner", changes)
    assert [outcome.key for outcome in failed(done)] == [99_999_999]
    assert isinstance(failed(done)[0].error, OdooMissingRecord)
    assert session.counters.writes - before <= 6
    rows = read(session, "res.partner", ids, ["name", "city", "street", "category_id"])
    assert [rows[id_]["city"] for id_ in ids] == ["Lyon"] * 8 + [False] * 4
    assert [rows[id_]["street"] for id_ in ids[8:]] == [f"Street {id_}" for id_ in ids[8:11]] + [False]
    assert rows[ids[8]]["category_id"] == [tag]
    assert rows[ids[0]]["name"] == "Person 0"


def test_an_archived_record_can_still_be_changed_and_found(session: OdooSession) -> None:
    outcomes = load(session, "res.partner", ["id", "name"], people("archive", 3))
    ids = [outcome.id for outcome in outcomes if outcome.id is not None]
    assert [outcome.changed for outcome in archive(session, "res.partner", ids[:2])] == [True, True]
    assert [outcome.changed for outcome in archive(session, "res.partner", ids[:2])] == [False, False]
    assert not failed(write_changed(session, "res.partner", {ids[0]: {"street": "Hidden"}}))
    found = list(search_read(session, "res.partner", [["id", "in", ids]], ["street"], archived=True))
    assert [row["street"] for row in found] == ["Hidden", False, False]
    assert len(list(search_read(session, "res.partner", [["id", "in", ids]], ["street"]))) == 1
    (missing,) = archive(session, "res.partner", [99_999_999])
    assert isinstance(missing.error, OdooMissingRecord)


def test_changes_are_read_by_time_though_one_transaction_made_more_than_a_page(session: OdooSession) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    outcomes = load(session, "res.partner", ["id", "name"], people("since", 40), batch=100, connections=1)
    ids = {outcome.id for outcome in outcomes}
    archive(session, "res.partner", [outcomes[0].id or 0])
    rows = list(changed_since(session, "res.partner", ["name"], before, batch=7))
    assert ids <= {row["id"] for row in rows}
    assert len(rows) == len({row["id"] for row in rows})
    stamps = [row["write_date"] for row in rows]
    assert stamps == sorted(stamps)
    everything = list(changed_since(session, "res.partner", ["name"], None, batch=50))
    assert len(everything) == session.call("res.partner", "search_count", [], context={"active_test": False})
    assert list(changed_since(session, "res.partner", ["name"], datetime.now(UTC) + timedelta(days=1))) == []


def test_external_ids_can_be_given_found_and_taken_away(session: OdooSession) -> None:
    outcomes = create(session, "res.partner", [{"name": "One"}, {"name": "Two"}])
    one, two = (outcome.id or 0 for outcome in outcomes)
    cursor = last_binding_id(session, "given")
    assert cursor == 0
    assert not failed(bind(session, "given", "res.partner", {"one": one, "two": two}))
    assert bindings(session, "given", since_id=cursor) == {"one": one, "two": two}
    again = bind(session, "given", "res.partner", {"one": one, "two": one})
    assert [outcome.ok for outcome in again] == [True, False]
    assert bindings(session, "given", since_id=last_binding_id(session, "given")) == {}
    assert unbind(session, "given", ["one", "nobody"]) == 1
    assert bindings(session, "given", names=["one", "two"]) == {"two": two}


def test_deleted_records_take_their_external_ids_along(session: OdooSession) -> None:
    outcomes = load(session, "res.partner", ["id", "name"], people("gone", 3))
    ids = [outcome.id for outcome in outcomes if outcome.id is not None]
    assert [outcome.changed for outcome in unlink(session, "res.partner", ids[:2])] == [True, True]
    assert [outcome.changed for outcome in unlink(session, "res.partner", ids)] == [False, False, True]
    assert bindings(session, "gone") == {}
    (anew,) = load(session, "res.partner", ["id", "name"], people("gone", 1))
    assert anew.id not in ids


def test_what_cannot_be_deleted_says_why(session: OdooSession) -> None:
    company = session.company()["id"]
    (partner,) = session.call("res.company", "read", [company], ["partner_id"])
    (outcome,) = unlink(session, "res.partner", [partner["partner_id"][0]])
    assert isinstance(outcome.error, OdooError)
    assert outcome.error.record == str(partner["partner_id"][0])
