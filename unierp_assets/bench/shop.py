"""The bench's own shop: clean, plain rows, so that what is measured is the way they go and not what is wrong with them.

Belongs here: the rows. Does not belong here: how they are written (:mod:`unierp_assets.storefront.sample`), and what
is measured with them. Amounts are multiples of five cents under a tax of 20 %, so that none has to be rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from unierp_assets.storefront.contract import UPDATED_AT, contract_tables, key_column

OPENED = datetime(2025, 1, 1, 12, tzinfo=UTC)
"""When the shop was opened. Fixed, so that every bench has the same rows."""
CURRENCY = "USD"
TAX = "VAT20"
LOCATION = 1
STOCK = Decimal(1000)
LINES = 3
CHANGED_EVERY, CHANGED_FROM = 100, 7
"""Which rows are changed: one in a hundred, none of them a company."""


@dataclass
class BenchShop:
    """Rows by table, in the order of the contract's columns, as the sample has them."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in contract_tables()})

    def add(self, table: str, key: object, **values: object) -> None:
        """Appends a row; columns that are not given are empty."""
        columns = contract_tables()[table]
        # A row a minute, as a shop grows: an incremental read goes back over a few of them, not over all.
        touched = OPENED + timedelta(minutes=len(self.rows[table]))
        given = {key_column(columns).name: key, UPDATED_AT: touched, **values}
        unknown = given.keys() - columns.c.keys()
        if unknown:
            raise TypeError(f"{table} has no columns {sorted(unknown)}")
        self.rows[table].append(tuple(given.get(column.name) for column in columns.c))


def make_shop(products: int, customers: int, orders: int = 0, *, stocked: bool = True) -> BenchShop:
    """A shop of products with one variant each, customers without addresses, and paid and shipped orders of 3 lines.
    Without stock the products are known, but none is on hand."""
    shop = BenchShop()
    _furnish(shop)
    for number in range(1, products + 1):
        _add_product(shop, number, stocked=stocked)
    for number in range(1, customers + 1):
        shop.add("customers", number, **customer(number))
    add_orders(shop, products, customers, orders)
    return shop


def _furnish(shop: BenchShop) -> None:
    shop.add("currencies", CURRENCY, name="US dollar", decimals=2, active=True)
    shop.add("taxes", TAX, name="VAT 20%", country="US", rate=Decimal(20), included=False)
    shop.add("categories", 1, name="Bench", position=1, active=True)
    shop.add("locations", LOCATION, code="BEN", name="Bench warehouse", country="US")


def _add_product(shop: BenchShop, number: int, *, stocked: bool) -> None:
    shop.add(
        "products",
        number,
        name=f"Product {number}",
        description=f"Refurbished article number {number}, checked and cleaned.",
        category_id=1,
        tax_code=TAX,
        active=True,
        created_at=OPENED,
    )
    shop.add(
        "variants",
        number,
        product_id=number,
        sku=f"BEN-{number:07}",
        weight_kg=Decimal("0.50"),
        cost_amount=price(number) / 2,
        cost_currency=CURRENCY,
        position=1,
        active=True,
    )
    shop.add("prices", number, variant_id=number, currency=CURRENCY, amount=price(number))
    if stocked:
        shop.add("stock_levels", number, variant_id=number, location_id=LOCATION, on_hand=STOCK, available=STOCK)


def is_changed(number: int) -> bool:
    """Whether :func:`change` changes the row of this number."""
    return number % CHANGED_EVERY == CHANGED_FROM


def change(url: str, table: str, column: str, to: Callable[[sa.Table], Any]) -> None:
    """Changes a column of one per cent of a table's rows in the shop's database, as the shop would, just now; ``to``
    makes the new value of the table's columns."""
    rows = contract_tables()[table]
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(
            sa.update(rows)
            .where(key_column(rows) % CHANGED_EVERY == CHANGED_FROM)
            .values({column: to(rows), UPDATED_AT: sa.func.now()})
        )
    engine.dispose()


def dearer(prices: sa.Table, by: int) -> sa.ColumnElement[Any]:
    """A price ``by`` dollars and some cents above what it is, with other cents in the next row: equal new values would
    go in one call, which flatters."""
    return prices.c.amount + by + sa.cast(prices.c.id // CHANGED_EVERY % 1000, sa.Numeric(18, 2)) / 100


def price(product: int) -> Decimal:
    """The price of a product: from 10.00 to 109.90 in steps of ten cents."""
    return Decimal(1000 + product % 1000 * 10).scaleb(-2)


def customer(number: int) -> dict[str, Any]:
    """A registered customer; every tenth is a company. E-mail address and phone number are as they will be in UniERP,
    so that another tool can be given the very same values."""
    company = number % 10 == 0
    return {
        "kind": "registered",
        "email": f"customer{number}@example.com",
        "first_name": None if company else f"First{number}",
        "last_name": None if company else f"Last{number}",
        "company": f"Company {number}" if company else None,
        "phone": f"+1212{2000000 + number % 7_000_000}",
        "language": "en-US",
        "created_at": OPENED,
        "active": True,
    }


def add_orders(shop: BenchShop, products: int, customers: int, orders: int) -> None:
    """Orders of three lines each: confirmed, shipped in one parcel, paid by card in full."""
    for number in range(1, orders + 1):
        lines = order_lines(number, products)
        net = sum((quantity * unit for _, quantity, unit in lines), Decimal(0))
        tax = net / 5
        placed = OPENED + timedelta(days=number % 60)
        shop.add(
            "orders",
            number,
            number=f"BEN-{number:06}",
            customer_id=order_customer(number, customers),
            channel="web",
            currency=CURRENCY,
            prices_include_tax=False,
            status="completed",
            placed_at=placed,
            discount_total=Decimal(0),
            shipping_total=Decimal(0),
            tax_total=tax,
            total=net + tax,
        )
        shop.add("order_status_history", number, order_id=number, status="completed", at=placed + timedelta(hours=9))
        shop.add(
            "payments",
            number,
            order_id=number,
            method="card",
            status="captured",
            currency=CURRENCY,
            authorised_amount=net + tax,
            captured_amount=net + tax,
            captured_at=placed + timedelta(hours=1),
            reference=f"PAY-{number:06}",
        )
        shop.add(
            "shipments",
            number,
            order_id=number,
            carrier="ups",
            tracking_number=f"1Z{number:08}",
            shipped_at=placed + timedelta(hours=8),
        )
        for position, (product, quantity, unit) in enumerate(lines, 1):
            line = (number - 1) * LINES + position
            shop.add(
                "order_lines",
                line,
                order_id=number,
                position=position,
                kind="product",
                variant_id=product,
                name=f"Product {product}",
                quantity=quantity,
                unit_price=unit,
                discount_amount=Decimal(0),
                tax_code=TAX,
                tax_amount=quantity * unit / 5,
                total=quantity * unit * 6 / 5,
            )
            shop.add("shipment_lines", line, shipment_id=number, order_line_id=line, quantity=quantity)


def order_customer(order: int, customers: int) -> int:
    """Who placed an order."""
    return 1 + order * 7 % customers


def order_lines(order: int, products: int) -> list[tuple[int, Decimal, Decimal]]:
    """Product, quantity and unit price of an order's lines."""
    chosen = [1 + (order * LINES + line) * 13 % products for line in range(LINES)]
    return [(product, Decimal(1 + (order + line) % 3), price(product)) for line, product in enumerate(chosen)]
