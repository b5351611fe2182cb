"""How the deliveries of an order follow the shop's shipments."""

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from unierp_assets.entities.orders import ORDER_LINES
from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import (
    Shipment,
    deliver,
)
from unierp_assets.sync.compare.merge import TO_UNIERP
from unierp_assets.sync.load.applier import Applier, Result, held
from unierp_assets.sync.load.codec import external_name


class Shipments(Applier):
    """Deliveries of what the shop says has left, each once, with carrier and tracking number."""

    def create(self) -> list[Result]:
        return self._deliver(self.plan.creates, self.plan.ids["orders"])

    def update(self) -> list[Result]:
        """Writes changed dates and tracking numbers. What has not left yet, or may have been left half-way by an
        interrupted run, is delivered: a transfer becomes done by moving goods, never by writing its state."""
        rows = self.plan.updates
        lagging = rows.filter(pl.col(TO_UNIERP).list.contains("state"))[KEY].to_list()
        unfinished = self.unremembered(rows[KEY].to_list()) | set(lagging)
        return self._again(unfinished) + self.write(rows.filter(~pl.col(KEY).is_in(list(unfinished))))

    def resume(self, keys: list[str]) -> list[Result]:
        return self._again(self.unremembered(keys))

    def _again(self, keys: set[str]) -> list[Result]:
        """The same call finds where it stopped."""
        rows, orders, waiting = self.staged(keys, "order", "orders")
        return waiting + self._deliver(rows, orders)

    def _deliver(self, rows: pl.DataFrame, orders: Mapping[str, int]) -> list[Result]:
        if rows.is_empty():
            return []
        contents = {row[KEY]: _contents(row["contents"]) for row in rows.iter_rows(named=True)}
        lines = self.ids_of({line for content in contents.values() for line in content}, ORDER_LINES.name)
        results: list[Result] = []
        shipments: list[Shipment] = []
        keys: dict[str, str] = {}
        for row in rows.sort("shipped_at").iter_rows(named=True):
            key = row[KEY]
            unknown = sorted(line for line in contents[key] if line not in lines)
            if unknown or not contents[key]:
                reason = f"waits for order lines {', '.join(unknown)}" if unknown else "it has no contents"
                results.append(held(key, reason))
                continue
            name = external_name(self.entity.name, key)
            keys[name] = key
            shipments.append(
                Shipment(
                    key=name,
                    order_id=orders[row["order"]],
                    shipped_at=row["shipped_at"],
                    quantities={lines[line]: quantity for line, quantity in contents[key].items()},
                    tracking_number=row["tracking_number"],
                    carrier=row["carrier"],
                )
            )
        outcomes = deliver(self.session, self.context.namespace, shipments)
        return results + [Result.of(keys[outcome.key], outcome) for outcome in outcomes]


def _contents(text: str | None) -> dict[str, Decimal]:
    pairs = (part.split(":") for part in text.split(",")) if text else ()
    return {line: Decimal(quantity) for line, quantity in pairs}
