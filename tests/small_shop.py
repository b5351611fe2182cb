"""A shop made by hand, row by row, for the tests of one case: what a test does not say is the usual.

What belongs here: the usual values of the contract's tables. What does not: the sample (``unierp_assets/storefront``),
and what a case proves.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg import sql
from world import World, fresh_world

from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.storefront.contract import contract_tables
from unierp_assets.storefront.sample import Sample

if TYPE_CHECKING:
    from conftest import RunningOdoo

PLACED = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


class SmallShop:
    """Puts rows into the shop of a world; each method returns the row's key."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._keys: Counter[str] = Counter()

    def add(self, table: str, **values: Any) -> Any:
        """One row; its key is the next one of the table unless it is given."""
        (key,) = contract_tables()[table].primary_key.columns
        if key.name not in values:
            self._keys[table] += 1
            values = {key.name: self._keys[table] + 1000, **values}
        names = sql.SQL(", ").join(map(sql.Identifier, values))
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(values))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, marks)
        self.world.shop(statement.as_string(), *values.values())
        return values[key.name]

    def change(self, table: str, key: Any, **values: Any) -> None:
        """Changes columns of one row."""
        (column,) = contract_tables()[table].primary_key.columns
        pairs = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values)
        statement = sql.SQL("UPDATE {} SET {} WHERE {} = %s").format(
            sql.Identifier(table), pairs, sql.Identifier(column.name)
        )
        self.world.shop(statement.as_string(), *values.values(), key)

    def remove(self, table: str, key: Any) -> None:
        """Deletes one row."""
        (column,) = contract_tables()[table].primary_key.columns
        statement = sql.SQL("DELETE FROM {} WHERE {} = %s").format(sql.Identifier(table), sql.Identifier(column.name))
        self.world.shop(statement.as_string(), key)

    def row(self, table: str, key: Any) -> dict[str, Any]:
        """The row as it stands in the shop, by column."""
        columns = contract_tables()[table].columns
        (column,) = contract_tables()[table].primary_key.columns
        statement = sql.SQL("SELECT {} FROM {} WHERE {} = %s").format(
            sql.SQL(", ").join(sql.Identifier(each.name) for each in columns),
            sql.Identifier(table),
            sql.Identifier(column.name),
        )
        (found,) = self.world.shop(statement.as_string(), key)
        return dict(zip((each.name for each in columns), found, strict=True))

    def currency(self, code: str, decimals: int = 2) -> str:
        self.add("currencies", code=code, name=code, decimals=decimals, active=True)
        return code

    def tax(self, rate: Any, *, included: bool = False, country: str = "US") -> str:
        code = f"{country}-{rate}-{'in' if included else 'ex'}"
        self.add("taxes", code=code, name=f"{country} {rate} %", country=country, rate=rate, included=included)
        return code

    def location(self, code: str = "MAIN") -> int:
        return int(self.add("locations", code=code, name=f"Location {code}", country="US"))

    def product(self, name: str = "Thing", **values: Any) -> int:
        """A product without variants, in the category of all things; they are added by :meth:`variant`."""
        if "category_id" not in values:
            values["category_id"] = self.category()
        return int(self.add("products", **{"name": name, "active": True, "created_at": PLACED} | values))

    def category(self, name: str = "Things", parent: int | None = None) -> int:
        """The category of this name, made where it is not there."""
        known = self.world.shop("SELECT id FROM categories WHERE name = %s", name)
        return int(known[0][0] if known else self.add("categories", name=name, parent_id=parent, active=True))

    def variant(self, product: int, sku: str, *attribute_values: int, **values: Any) -> int:
        row = {"product_id": product, "sku": sku, "cost_amount": 1, "cost_currency": "USD", "position": 1}
        key = int(self.add("variants", **row | {"active": True} | values))
        for value in attribute_values:
            self.add("variant_values", variant_id=key, attribute_value_id=value)
        return key

    def attribute(self, name: str, *value_names: str) -> list[int]:
        """An attribute with its values, whose keys are returned."""
        attribute = self.add("attributes", name=name, position=1)
        return [
            int(self.add("attribute_values", attribute_id=attribute, name=value, position=place))
            for place, value in enumerate(value_names, 1)
        ]

    def stock(self, variant: int, location: int, on_hand: Any) -> int:
        return int(
            self.add("stock_levels", variant_id=variant, location_id=location, on_hand=on_hand, available=on_hand)
        )

    def customer(self, email: str | None = None, **values: Any) -> int:
        number = self._keys["customers"] + 1
        row = {"kind": "registered", "email": email or f"customer{number}@example.com", "first_name": "Ada"}
        row |= {"last_name": f"Customer {number}", "language": "en-US", "created_at": PLACED, "active": True}
        return int(self.add("customers", **row | values))

    def address(self, customer: int, kind: str = "billing", **values: Any) -> int:
        row = {"name": "Ada", "street": "1 Main Street", "city": "Springfield", "postcode": "12345", "country": "US"}
        return int(self.add("addresses", customer_id=customer, kind=kind, **row | values))

    def order(self, customer: int, **values: Any) -> int:
        """An order without lines, whose amounts are 0 unless they are said."""
        row = {"number": f"S{self._keys['orders'] + 1}", "channel": "web", "currency": "USD", "status": "confirmed"}
        row |= {"prices_include_tax": False, "placed_at": PLACED}
        amounts = dict.fromkeys(("discount_total", "shipping_total", "tax_total", "total"), 0)
        return int(self.add("orders", customer_id=customer, **row | amounts | values))

    def line(self, order: int, variant: int | None, **values: Any) -> int:
        """A line of one piece at 10.00 without tax unless it is said; ``total`` has to fit what is said."""
        position = self._keys["order_lines"] + 1
        row = {"position": position, "kind": "product", "name": f"Line {position}", "quantity": 1, "unit_price": 10}
        row |= {"discount_amount": 0, "tax_amount": 0, "total": 10}
        return int(self.add("order_lines", order_id=order, variant_id=variant, **row | values))

    def payment(self, order: int, amount: Any, **values: Any) -> int:
        """A captured payment of so much, in the order's currency."""
        ((currency,),) = self.world.shop("SELECT currency FROM orders WHERE id = %s", order)
        row = {"method": "card", "status": "captured", "currency": currency, "authorised_amount": amount}
        row |= {"captured_amount": amount, "captured_at": PLACED, "reference": f"PAY{self._keys['payments'] + 1}"}
        return int(self.add("payments", order_id=order, **row | values))

    def shipment(self, order: int, *lines: tuple[int, Any], **values: Any) -> int:
        """A parcel with (order line, quantity)."""
        row = {"carrier": "dhl", "tracking_number": f"TRACK{self._keys['shipments'] + 1}", "shipped_at": PLACED}
        key = int(self.add("shipments", order_id=order, **row | values))
        for line, quantity in lines:
            self.add("shipment_lines", shipment_id=key, order_line_id=line, quantity=quantity)
        return key


@contextmanager
def small_shop(odoo: "RunningOdoo", postgres: PostgresServer) -> Iterator[SmallShop]:
    """A fresh world whose shop sells in US dollars and has nothing else yet."""
    nothing = Sample(0, {table: [] for table in contract_tables()}, ())
    with fresh_world(odoo, postgres, nothing) as world:
        shop = SmallShop(world)
        shop.currency("USD")
        yield shop
