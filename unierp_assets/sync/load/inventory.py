"""What locations and stock levels need beyond the ordinary way of loading."""

from typing import Any

from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import OdooMissingRecord, StockRow, bind, set_stock, values
from unierp_assets.sync.load.applier import Applier, Result
from unierp_assets.sync.load.codec import external_name


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
