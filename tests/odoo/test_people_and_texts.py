"""People, places and texts as a shop and an office have them: nothing that somebody wrote is lost or flattened.

One shop, a sync, a day of changes on both sides, and two syncs more; each test looks at one case.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from small_shop import SmallShop, small_shop

from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.sync.pipeline import Summary
from unierp_assets.sync.reports import reconciliation_differences

if TYPE_CHECKING:
    from conftest import RunningOdoo

TEXT = "Zeile 1\nZeile 2\n\n- a\tb  c\n"


@dataclass
class Office:
    """The shop after its day, and the rows by the part they play."""

    shop: SmallShop
    cast: dict[str, Any]
    summaries: list[Summary] = field(default_factory=list)

    def record(self, entity: str, role: str, *columns: str) -> tuple[Any, ...]:
        """Columns of a record in UniERP, past its API."""
        id_, table = self.shop.world.odoo_id(entity, self.cast[role]), TABLES[entity]
        (row,) = self.shop.world.odoo_rows(f"SELECT {', '.join(columns)} FROM {table} WHERE id = %s", id_)
        return row

    def read(self, entity: str, role: str, model: str, *fields: str) -> dict[str, Any]:
        """Fields of a record in UniERP as its users see them."""
        (row,) = self.shop.world.session.call(
            model, "read", [self.shop.world.odoo_id(entity, self.cast[role])], list(fields)
        )
        return row

    def differences(self) -> list[tuple[Any, ...]]:
        """What differs on both sides, as the reports were last made."""
        return reconciliation_differences(self.shop.world.warehouse).rows()

    def write(self, entity: str, role: str, model: str, **values: Any) -> None:
        self.shop.world.session.call(model, "write", [self.shop.world.odoo_id(entity, self.cast[role])], values)


TABLES = {"customers": "res_partner", "addresses": "res_partner"}


@pytest.fixture(scope="module")
def office(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[Office]:
    with small_shop(odoo_server, postgres) as shop:
        yield _a_day(shop)


def _a_day(shop: SmallShop) -> Office:
    cast: dict[str, Any] = {}
    cast["described"] = shop.product("Described", description=TEXT)
    cast["edited"] = shop.product("Edited", description=TEXT)
    for role in ("described", "edited"):
        shop.variant(cast[role], role.upper())
    groups = [shop.add("customer_groups", name=name) for name in ("Trade", "Staff", "Friends")]
    for role in ("member", "leaver", "group that goes"):
        cast[role] = shop.customer()
        for group in groups:
            shop.add("customer_group_members", customer_id=cast[role], group_id=group)
    cast["bare"] = shop.customer()
    cast["bare address"] = shop.address(cast["bare"], street2=None, phone=None, region=None, country="US")
    cast["second line"] = shop.address(cast["bare"], kind="shipping", street2="Backyard")
    cast["copied e-mail"] = shop.customer("ada.copied@example.com\u200b")
    for role, country, region in (
        ("madrid", "ES", "Madrid"),
        ("new york", "US", "US-NY"),
        ("bavaria", "DE", "Bayern"),
        ("nowhere", "ES", "Atlantis"),
        ("athens", "EL", None),
        ("london", "UK", None),
        ("pristina", "XK", None),
    ):
        cast[role] = shop.address(shop.customer(), country=country, region=region)
    office = Office(shop, cast)
    office.summaries.append(shop.world.sync())

    # The office adds what the shop does not have, edits a word and a person's groups change.
    office.write("addresses", "bare address", "res.partner", street2="2nd floor", phone="+12025550123")
    states = shop.world.session.call(
        "res.country.state", "search", [["code", "=", "CA"], ["country_id.code", "=", "US"]]
    )
    office.write("addresses", "bare address", "res.partner", state_id=states[0])
    office.write("products", "edited", "product.template", description_sale=TEXT.replace("Zeile 2", "Reihe 2"))
    for role in ("leaver", "group that goes"):
        shop.world.shop(
            "DELETE FROM customer_group_members WHERE customer_id = %s AND group_id = %s", cast[role], groups[1]
        )
    shop.change("addresses", cast["bare address"], city="Ogdenville")
    shop.change("addresses", cast["second line"], street2=None)
    office.summaries.append(shop.world.sync())
    office.summaries.append(shop.world.sync())
    return office


def description(text: Any) -> Any:
    """A product's text past the API: newer versions keep one for each language."""
    return text["en_US"] if isinstance(text, dict) else text


def test_lines_tabs_and_blanks_of_a_description_arrive(office: Office) -> None:
    assert office.read("products", "described", "product.template", "description_sale")["description_sale"] == TEXT
    assert office.shop.row("products", office.cast["described"])["description"] == TEXT


def test_one_word_that_is_edited_in_unierp_is_one_word_that_changes_in_the_shop(office: Office) -> None:
    assert office.shop.row("products", office.cast["edited"])["description"] == TEXT.replace("Zeile 2", "Reihe 2")


def test_a_customer_loses_a_group_and_nothing_stops(office: Office) -> None:
    tags = {
        role: len(office.read("customers", role, "res.partner", "category_id")["category_id"])
        for role in ("member", "leaver")
    }
    assert tags == {"member": 3, "leaver": 2}


def test_what_the_office_added_where_the_shop_has_nothing_stays(office: Office) -> None:
    found = office.read("addresses", "bare address", "res.partner", "street2", "phone", "state_id", "city")
    assert (found["street2"], found["phone"].replace(" ", ""), found["city"]) == (
        "2nd floor",
        "+12025550123",
        "Ogdenville",
    )
    assert found["state_id"][1].startswith("California")


def test_what_the_shop_had_and_emptied_goes(office: Office) -> None:
    assert office.read("addresses", "second line", "res.partner", "street2")["street2"] is False


def test_a_character_nobody_sees_keeps_nobody_out(office: Office) -> None:
    assert office.record("customers", "copied e-mail", "email") == ("ada.copied@example.com",)


def test_regions_of_all_countries_arrive_and_an_unknown_one_stops_nothing(office: Office) -> None:
    found = {
        role: (state[1].partition(" (")[0] if state else None)
        for role in ("madrid", "new york", "bavaria", "nowhere")
        for state in [office.read("addresses", role, "res.partner", "state_id")["state_id"]]
    }
    assert found == {"madrid": "Madrid", "new york": "New York", "bavaria": found["bavaria"], "nowhere": None}
    assert found["bavaria"] in ("Bayern", "Bavaria", None)


def test_other_codes_of_countries_are_understood(office: Office) -> None:
    assert [
        office.read("addresses", role, "res.partner", "country_id")["country_id"][1]
        for role in ("athens", "london", "pristina")
    ] == ["Greece", "United Kingdom", "Kosovo"]


def test_nothing_differs_and_a_further_sync_writes_nothing(office: Office) -> None:
    assert office.shop.world.warehouse_rows("SELECT entity, key, reason FROM sync.pending") == []
    quarantined = "SELECT entity, key, rule FROM quarantine.rows WHERE outcome <> 'warn'"
    assert office.shop.world.warehouse_rows(quarantined) == []
    assert office.differences() == []
    assert [(each.differences, each.failed) for each in office.summaries] == [(0, 0)] * 3
    assert office.summaries[2].odoo_writes == 0
