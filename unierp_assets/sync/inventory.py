"""What locations and stock levels need beyond the ordinary way of loading."""

from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import OdooMissingRecord, StockRow, bind, set_stock, values
from unierp_assets.sync.applier import Applier, Result
from unierp_assets.sync.codec import external_name
from unierp_assets.sync.merge import TO_STOREFRONT
from unierp_assets.sync.state import any_of
from unierp_assets.warehouse.tables import STAGING


class Locations(Applier):
    """Locations, inside the stock location of the company's first warehouse."""

    def constants(self) -> dict[str, Any]:
        company = self.session.company()
        rows = self.session.call(
            "stock.warehouse",
            "search_read",
            [("company_id", "=", company["id"])],
            ["lot_stock_id"],
            limit=1,
            order="id",
        )
        if not rows:
            raise OdooMissingRecord(
                f"the company {company['name']} has no warehouse",
                server=self.session.server,
                model="stock.warehouse",
                remedy="create a warehouse in UniERP under Inventory, Configuration",
            )
        return {**super().constants(), "location_id/.id": values.ref(rows[0]["lot_stock_id"])}


class StockLevels(Applier):
    """The first stock goes to UniERP once; what is available comes back to the shop."""

    def create(self) -> list[Result]:
        """Sets the quantity on hand of what was never stocked.

        The external id that marks it is bound afterwards. Quantities are set absolutely and nothing is delivered
        before, so that an interrupted run may set them again.
        """
        rows = self.plan.creates
        if rows.is_empty():
            return []
        places = {
            row[KEY]: (self.plan.ids["variants"][row["variant"]], self.plan.ids["locations"][row["location"]])
            for row in rows.iter_rows(named=True)
        }
        quantities = dict(rows.select(KEY, "on_hand").iter_rows())
        outcomes = {
            (outcome.key[0], outcome.key[1]): outcome
            for outcome in set_stock(
                self.session,
                [StockRow(*place, quantity=quantities[key]) for key, place in places.items()],
            )
        }
        done = {external_name(self.entity.name, key): place[0] for key, place in places.items() if outcomes[place].ok}
        marked = {
            outcome.key: outcome for outcome in bind(self.session, self.context.namespace, "product.product", done)
        }
        results = []
        for key, place in places.items():
            outcome = outcomes[place]
            name = external_name(self.entity.name, key)
            results.append(Result.of(key, marked[name] if outcome.ok else outcome))
        return [
            Result(result.key, places[result.key][0], result.state, result.reason, result.error) for result in results
        ]

    def update(self) -> list[Result]:
        """Writes the available quantities to the storefront."""
        rows = self.plan.updates.filter(pl.col(TO_STOREFRONT).list.len() > 0)
        staged = STAGING[self.entity.name]
        with self.context.warehouse.transaction() as tx:
            places = tx.read(
                sa.select(staged.c.key, staged.c.variant, staged.c.location).where(
                    any_of(staged.c.key, rows[KEY].to_list())
                )
            )
        self.context.storefront.write_available(
            rows.join(places, on=KEY).select(
                variant_id=pl.col("variant").cast(pl.Int64),
                location_id=pl.col("location").cast(pl.Int64),
                available=pl.col("available"),
            )
        )
        return [Result(key) for key in self.plan.updates[KEY].to_list()]
