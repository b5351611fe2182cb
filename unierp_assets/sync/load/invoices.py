"""How orders are invoiced, each to the amount that the customer pays."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import (
    Invoice,
    OdooError,
    invoice_orders,
    post_invoices,
    raise_first,
    search_read,
    values,
    write_changed,
)
from unierp_assets.sync.load.applier import Applier, Result, held
from unierp_assets.sync.load.codec import external_name
from unierp_assets.sync.memory.state import bound_ids
from unierp_assets.warehouse.tables import STAGING


class Invoices(Applier):
    """Customer invoices of orders, posted once their totals agree."""

    def create(self) -> list[Result]:
        rows = self.plan.creates
        if rows.is_empty():
            return []
        self._book_taxes()
        keys = {external_name(self.entity.name, row[KEY]): row[KEY] for row in rows.iter_rows(named=True)}
        drafts = invoice_orders(
            self.session,
            self.context.namespace,
            [
                Invoice(
                    key=external_name(self.entity.name, row[KEY]),
                    order_id=self.plan.ids["orders"][row["order"]],
                    invoice_date=row["invoice_date"],
                    reference=row["reference"],
                    payment_reference=row["reference"],
                    total=row["total"],
                )
                for row in rows.iter_rows(named=True)
            ],
        )
        made = {outcome.id: keys[outcome.key] for outcome in drafts if outcome.ok and outcome.id}
        results = [_not_made(keys[outcome.key], outcome) for outcome in drafts if not outcome.ok]
        return results + self._post(made)

    def update(self) -> list[Result]:
        """Posts drafts that an interrupted run left behind; those whose totals differ were held by the plan."""
        ids = {id_: key for key, id_ in self.ids_of(self.plan.updates[KEY].to_list()).items()}
        return self._post(ids)

    def _post(self, ids: Mapping[int, str]) -> list[Result]:
        self.context.on_step("post", self.entity.name)
        return [Result.of(ids[outcome.key], outcome) for outcome in post_invoices(self.session, list(ids))]

    def _book_taxes(self) -> None:
        """Lets our taxes post to the account that the company's own sales taxes use; a tax without one would add to
        the revenue. One that stands on an account of purchase taxes alone is put right: a former release did that."""
        features = self.session.features
        model = "account.tax.repartition.line"
        sides = [name for name in ("tax_id", "invoice_tax_id", "refund_tax_id") if features.has(model, name)]
        with self.context.warehouse.transaction() as tx:
            staged = STAGING["taxes"]
            ours = set(bound_ids(tx, "taxes", tx.read(sa.select(staged.c.key))[KEY].to_list()).values())
        company = [("company_id", "=", self.session.company()["id"])]
        uses = {
            row["id"]: row["type_tax_use"]
            for row in search_read(self.session, "account.tax", company, ["type_tax_use"], archived=True)
        }
        lines = list(search_read(self.session, model, [("repartition_type", "=", "tax")], [*sides, "account_id"]))
        tax_of = {line["id"]: next((values.ref(line[side]) for side in sides if line[side]), 0) or 0 for line in lines}

        def accounts(use: str) -> list[int]:
            own = (line for line in lines if tax_of[line["id"]] not in ours and uses.get(tax_of[line["id"]]) == use)
            return [account for line in own if (account := values.ref(line["account_id"]))]

        of_sales = accounts("sale")
        of_purchases = set(accounts("purchase")) - set(of_sales)
        unbooked = [
            line["id"]
            for line in lines
            if tax_of[line["id"]] in ours and (values.ref(line["account_id"]) or 0) in {0, *of_purchases}
        ]
        if of_sales and unbooked:
            account = max(set(of_sales), key=of_sales.count)
            raise_first(write_changed(self.session, model, {id_: {"account_id": account} for id_ in unbooked}))


def _not_made(key: str, outcome: Any) -> Result:
    # A draft whose total differs exists, but is not for posting: somebody has to look at it.
    error: OdooError = outcome.error
    return held(key, str(error), outcome.id) if outcome.id else Result.of(key, outcome)
