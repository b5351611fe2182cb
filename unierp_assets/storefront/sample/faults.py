"""What is wrong in the sample shop, on purpose and counted: every kind of fault by name, and the rows that have it.

Belongs here: the rules with their meaning, and the rows that break them. Does not belong here: good rows
(``rows.py``), and how a fault is found, which is the gate's business: it carries the same rule names.

Faulty rows are extra rows that no good row depends on, and each breaks one rule only, so that counts are exact. Where
a fault makes other rows unloadable, those are listed too, marked as a consequence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Final

from unierp_assets.storefront.sample import identifiers
from unierp_assets.storefront.sample.pools import CENTS, COLOUR, COUNTRIES, FAMILIES, REFERENCE
from unierp_assets.storefront.sample.rows import Buyer, Line, Shop, country, money

MISSING: Final = 900_000_000
"""Keys from here on exist nowhere."""


class Outcome(StrEnum):
    """What becomes of a faulty row."""

    REJECTED = "rejected"
    """It must not be loaded."""
    MERGED = "merged"
    """It is loaded as part of another row."""
    HELD = "held"
    """It is good by itself, but cannot be represented to the cent and must wait for a person."""


@dataclass(frozen=True)
class Rule:
    """A kind of fault: the table of the faulty row, and what is wrong with it."""

    name: str
    table: str
    description: str
    outcome: Outcome = Outcome.REJECTED
    consequence: bool = False


RULES: Final[dict[str, Rule]] = {
    rule.name: rule
    for rule in (
        Rule("duplicate_sku", "variants", "Another variant with a lower id has the same SKU."),
        Rule("invalid_barcode", "variants", "The barcode's check digit is wrong."),
        Rule("negative_price", "prices", "The amount is below zero."),
        Rule("unknown_currency", "prices", "The currency is none the shop knows."),
        Rule("price_of_missing_variant", "prices", "There is no such variant."),
        Rule("empty_name", "products", "The name is null, empty or blank."),
        Rule("orphan_category", "categories", "There is no such parent category."),
        Rule("product_of_missing_category", "products", "There is no such category."),
        Rule("control_characters", "products", "The name has control characters in it."),
        Rule("negative_stock", "stock_levels", "Fewer than no units are on hand."),
        Rule("invalid_email", "customers", "The e-mail address is not one."),
        Rule("unknown_country", "addresses", "No country has this code."),
        Rule("address_of_missing_customer", "addresses", "There is no such customer."),
        Rule(
            "duplicate_guest",
            "customers",
            "A guest with the e-mail address of an earlier customer, typed in other case or with blanks.",
            Outcome.MERGED,
        ),
        Rule("invalid_vat", "customers", "The VAT number's check digit is wrong."),
        Rule("order_of_missing_customer", "orders", "There is no such customer."),
        Rule("line_of_missing_variant", "order_lines", "There is no such variant."),
        Rule("totals_do_not_add_up", "orders", "The total is not the sum of the lines' totals."),
        Rule("impossible_date", "orders", "Placed long before the shop existed, or in the far future."),
        Rule("payment_above_total", "payments", "More was captured than the order's total."),
        Rule("unknown_tax", "order_lines", "There is no such tax."),
        Rule("shipment_of_missing_order", "shipments", "There is no such order."),
        Rule("quantity_not_positive", "order_lines", "The quantity is zero or less."),
        Rule(
            "tax_differs_by_a_cent",
            "orders",
            "The shop rounded the tax of one line up by a cent; its sums fit that, so the total is a cent too high.",
            Outcome.HELD,
        ),
        Rule("product_not_accepted", "variants", "Its product was rejected.", consequence=True),
        Rule("line_not_accepted", "orders", "One of its lines was rejected.", consequence=True),
        Rule("order_not_accepted", "order_lines", "Its order was rejected.", consequence=True),
    )
}
"""All rules by name. The gate names its expectations alike."""


@dataclass(frozen=True)
class Fault:
    """A row that breaks a rule. ``key`` is text, whatever the table's key is."""

    rule: str
    table: str
    key: str

    @property
    def consequence(self) -> bool:
        """Whether the row is good by itself and suffers from another."""
        return RULES[self.rule].consequence

    @property
    def outcome(self) -> Outcome:
        """What becomes of the row."""
        return RULES[self.rule].outcome


def plant(shop: Shop, number: int) -> list[Fault]:
    """Add ``number`` faults of every kind to a furnished shop; see :data:`RULES`.

    Faults are planted after the shop's own rows and before its stock, which then covers the good orders among them.
    """
    return _Planter(shop).plant(number)


class _Planter:
    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.faults: list[Fault] = []
        self.rng: Random = shop.stream("faults")

    def plant(self, number: int) -> list[Fault]:
        kinds: tuple[Callable[[int], None], ...] = (self._catalogue, self._people, self._orders)
        for kind in kinds:
            for place in range(number):
                kind(place)
        return self.faults

    def fault(self, rule: str, key: int) -> None:
        self.faults.append(Fault(rule, RULES[rule].table, str(key)))

    # -- catalogue ----------------------------------------------------------------------------------------------

    def _catalogue(self, place: int) -> None:
        shop, rng = self.shop, self.rng
        family = FAMILIES[place % len(FAMILIES)]
        first, second = ((COLOUR, 0),), ((COLOUR, 1),)

        twin = shop.add_product(rng, family, [first])
        sku = f"{twin.name[:3].upper()}{twin.id:06d}-{COLOUR.values[0][1]}"
        self.fault("duplicate_sku", shop.add_variant(rng, twin, second, sold=False, replaced={"sku": sku}))

        scanned = shop.add_product(rng, family, [first])
        barcode = identifiers.wrong_check_digit(identifiers.ean13(len(shop.rows["variants"]) + 1))
        self.fault("invalid_barcode", shop.add_variant(rng, scanned, second, sold=False, replaced={"barcode": barcode}))

        host = shop.add_product(rng, family, [()]).sellable[0]
        # Dated, so that the host keeps its prices.
        start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        price = shop.add_price(shop.changed_at(rng), host.id, "USD", -rng.randint(1, 99) * CENTS, start, end)
        self.fault("negative_price", price)
        unknown = ("ZZZ", "QQQ", "US$")[place % 3]
        self.fault("unknown_currency", shop.add_price(shop.changed_at(rng), host.id, unknown, 1999))
        missing = shop.add_price(shop.changed_at(rng), MISSING + place, "EUR", 2499)
        self.fault("price_of_missing_variant", missing)
        # Its level at the first location is the faulty one; the second's is good.
        shop.stocked.remove((host.id, True))
        level = shop.add_stock_level(shop.changed_at(rng), host.id, 1, -rng.randint(1, 9))
        self.fault("negative_stock", level)
        shop.add_stock_level(shop.changed_at(rng), host.id, 2, rng.randint(5, 60))

        orphan = shop.add(
            "categories",
            shop.changed_at(rng),
            name=f"Clearance {place + 1}",
            parent_id=MISSING + place,
            position=100 + place,
            active=True,
        )
        self.fault("orphan_category", orphan)

        self._product("empty_name", {"name": (None, "", "   ")[place % 3]})
        self._product("product_of_missing_category", {"category_id": MISSING + place})
        self._product("control_characters", {"name": f"Halden\x07 Nova \x1b[{place + 1}m smartphone"})

    def _product(self, rule: str, replaced: dict[str, object]) -> None:
        """A faulty product with its one variant, which cannot be loaded without it."""
        shop = self.shop
        product = shop.add_product(self.rng, FAMILIES[0], [()], sold=False, replaced=replaced)
        self.fault(rule, product.id)
        self.fault("product_not_accepted", len(shop.rows["variants"]))

    # -- customers ----------------------------------------------------------------------------------------------

    def _people(self, place: int) -> None:
        shop, rng = self.shop, self.rng
        home = COUNTRIES[place % len(COUNTRIES)]
        email = ("no.at.example.com", "two@@example.com", "ends.with.at@", "a blank@example.com")[place % 4]
        self.fault("invalid_email", self._person(email=f"{place + 1}{email}"))

        vat_country = ("GB", "DE", "FR")[place % 3]
        vat = identifiers.wrong_check_digit(identifiers.vat_number(vat_country, 4_200_000 + place))
        company = {"company": f"Fairbank Traders {place + 1}", "vat": vat}
        self.fault("invalid_vat", self._person(email=f"office.{place + 1}@fairbank.example.com", **company))

        mover = shop.add_customer(rng, home)
        moved, _ = shop.add_address(
            rng, home, mover.id, "shipping", "Moved Abroad", country_code=("XX", "ZZ")[place % 2]
        )
        self.fault("unknown_country", moved)
        nobody, _ = shop.add_address(rng, home, MISSING + place, "billing", "Nobody Known")
        self.fault("address_of_missing_customer", nobody)

        kind = ("registered", "guest")[place % 2]
        first = shop.add_customer(rng, home, kind=kind)
        _, _, known, *names = shop.rows["customers"][first.id - 1]
        typed = (f" {known}", known.upper(), f"{known.title()} ")[place % 3]
        again = self._person(email=typed, first_name=names[0], last_name=names[1], kind="guest")
        self.fault("duplicate_guest", again)
        address, region = shop.add_address(rng, home, again, "billing", f"{names[0]} {names[1]}")
        shop.add_order(rng, Buyer(again, home, region, False, address, address), status="completed")

    def _person(self, **values: object) -> int:
        """A customer alone, without addresses and orders."""
        columns: dict[str, object] = {
            "kind": "registered",
            "first_name": "Robin",
            "last_name": "Fairbank",
            "company": None,
            "vat": None,
            "phone": None,
            "created_at": datetime(2026, 1, 15, 9, 30, tzinfo=UTC),
            "active": True,
        }
        return self.shop.add_person(self.shop.changed_at(self.rng), country("GB"), **{**columns, **values})

    # -- orders -------------------------------------------------------------------------------------------------

    def _orders(self, place: int) -> None:
        buyer = self.shop.add_customer(self.rng, COUNTRIES[place % len(COUNTRIES)])
        good = self._line(buyer)

        self._order("order_of_missing_customer", buyer, [good], {"customer_id": MISSING + place})
        self._order("totals_do_not_add_up", buyer, [good], {"total": money(good.total + 10 * CENTS)})
        year = (2999, 1900)[place % 2]
        self._order("impossible_date", buyer, [good], {"placed_at": datetime(year, 1, 1, 12, tzinfo=UTC)})

        self._order_with("line_of_missing_variant", buyer, good, good._replace(variant_id=MISSING + place))
        untaxed = good.total - good.tax
        self._order_with("unknown_tax", buyer, good, good._replace(tax_code=f"XX-{place + 1}", tax=0, total=untaxed))
        units = (0, -1)[place % 2]
        self._order_with(
            "quantity_not_positive",
            buyer,
            good,
            good._replace(quantity=units, tax=units * good.tax, total=units * good.total),
        )

        self._tax_differs_by_a_cent(place)
        self._payment_above_total(buyer)
        shipment = self.shop.add_shipment(self.rng, buyer, MISSING + place, self.shop.placed_at(self.rng), [])
        self.fault("shipment_of_missing_order", shipment)

    def _line(self, buyer: Buyer, included: bool | None = None) -> Line:
        """A good line of one article."""
        while True:
            lines, _ = self.shop.draw_lines(self.rng, buyer, REFERENCE, included=included)
            if not lines[0].discount and lines[0].quantity == 1:
                return lines[0]

    def _order(self, rule: str, buyer: Buyer, lines: Sequence[Line], replaced: dict[str, object]) -> None:
        """An order that breaks a rule itself."""
        order = self.shop.write_order(self.rng, buyer, lines, self.shop.placed_at(self.rng), replaced=replaced)
        self.fault(rule, order.id)
        for item in order.items:
            self.fault("order_not_accepted", item.id)

    def _order_with(self, rule: str, buyer: Buyer, good: Line, bad: Line) -> None:
        """An order with a good and a bad line."""
        order = self.shop.write_order(self.rng, buyer, [good, bad], self.shop.placed_at(self.rng))
        self.fault(rule, order.items[1].id)
        self.fault("line_not_accepted", order.id)
        self.fault("order_not_accepted", order.items[0].id)

    def _tax_differs_by_a_cent(self, place: int) -> None:
        """Only tax on top moves the total."""
        shop = self.shop
        home = country(("GB", "DE", "FR")[place % 3])
        buyer = shop.add_customer(self.rng, home, company=True)
        line = self._line(buyer, included=False)
        other = line._replace(tax=line.tax + 1, total=line.total + 1)
        order = shop.write_order(self.rng, buyer, [line, other], shop.placed_at(self.rng))
        self.fault("tax_differs_by_a_cent", order.id)

    def _payment_above_total(self, buyer: Buyer) -> None:
        shop = self.shop
        placed_at = shop.placed_at(self.rng)
        order = shop.write_order(self.rng, buyer, [self._line(buyer)], placed_at)
        for status in ("pending", "confirmed"):
            shop.add("order_status_history", placed_at, order_id=order.id, status=status, at=placed_at)
        above = order.total + 100 * CENTS
        self.fault(
            "payment_above_total",
            shop.add_payment(self.rng, order, "captured", above, placed_at, authorised=above),
        )
