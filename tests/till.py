"""A till: customers order in the shop, for the tests that need orders which nobody planned."""

from datetime import UTC, datetime

from world import World

PLACED = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


class Till:
    """Places orders in the shop: lines at round prices without tax, shipped and paid as asked."""

    def __init__(self, world: World) -> None:
        self.world = world
        ((self.customer,),) = world.shop("SELECT min(id) FROM customers WHERE active AND kind = 'registered'")
        ((self.order,),) = world.shop("SELECT max(id) + 100 FROM orders")
        bound = [key for (key,) in world.warehouse_rows("SELECT key FROM sync.bindings WHERE entity = 'stock_levels'")]
        self.variants = [
            variant
            for (variant,) in world.shop(
                "SELECT variant_id FROM stock_levels s JOIN variants v ON v.id = variant_id "
                "WHERE s.id::text = ANY(%s) AND v.active GROUP BY 1 HAVING sum(on_hand) > 20 ORDER BY 1",
                bound,
            )
        ]

    def place(self, *quantities: int, status: str = "confirmed") -> int:
        """An order of a line for each quantity, at 10.00 each."""
        self.order += 1
        total = 10 * sum(quantities)
        self.world.shop(
            "INSERT INTO orders (id, number, customer_id, channel, currency, prices_include_tax, status, placed_at, "
            "discount_total, shipping_total, tax_total, total) "
            "VALUES (%s, %s, %s, 'web', 'USD', false, %s, %s, 0, 0, 0, %s)",
            self.order, f"T{self.order}", self.customer, status, PLACED, total,
        )  # fmt: skip
        for position, quantity in enumerate(quantities, 1):
            self.add_line(self.order, position, quantity)
        return int(self.order)

    def add_line(self, order: int, position: int, quantity: int) -> int:
        line = order * 10 + position
        self.world.shop(
            "INSERT INTO order_lines (id, order_id, position, kind, variant_id, name, quantity, unit_price, "
            "discount_amount, tax_amount, total) VALUES (%s, %s, %s, 'product', %s, %s, %s, 10, 0, 0, %s)",
            line, order, position, self.variants[position], f"Line {position}", quantity, 10 * quantity,
        )  # fmt: skip
        return int(line)

    def total(self, order: int, total: int) -> None:
        self.world.shop("UPDATE orders SET total = %s WHERE id = %s", total, order)

    def ship(self, order: int) -> None:
        self.world.shop(
            "INSERT INTO shipments (id, order_id, carrier, tracking_number, shipped_at) VALUES (%s, %s, 'dhl', %s, %s)",
            order, order, f"TRACK{order}", PLACED,
        )  # fmt: skip
        self.world.shop(
            "INSERT INTO shipment_lines (id, shipment_id, order_line_id, quantity) "
            "SELECT id, order_id, id, quantity FROM order_lines WHERE order_id = %s",
            order,
        )
        self.world.shop("UPDATE orders SET status = 'shipped' WHERE id = %s", order)

    def pay(self, order: int) -> None:
        self.world.shop(
            "INSERT INTO payments (id, order_id, method, status, currency, authorised_amount, captured_amount, "
            "captured_at, reference) SELECT id, id, 'card', 'captured', currency, total, total, %s, 'PAY-T' || id "
            "FROM orders WHERE id = %s",
            PLACED, order,
        )  # fmt: skip

    def sell(self, *quantities: int) -> int:
        """An order that is shipped and paid at once."""
        order = self.place(*quantities)
        self.ship(order)
        self.pay(order)
        return order
