"""How captured payments are registered against the invoices of their orders."""

from collections.abc import Collection, Mapping

import polars as pl

from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import (
    Payment,
    register_payments,
)
from unierp_assets.sync.load.applier import Applier, Result
from unierp_assets.sync.load.codec import external_name


class Payments(Applier):
    """Payments registered against the invoices of their orders."""

    def create(self) -> list[Result]:
        return self._register(self.plan.creates, self.plan.ids.get("invoices", {}))

    def update(self) -> list[Result]:
        """Posts and reconciles what an interrupted run left unfinished: the same call finds where it stopped."""
        return self._again(self.plan.updates[KEY].to_list())

    def resume(self, keys: list[str]) -> list[Result]:
        """A payment that is posted may not be reconciled yet."""
        return self._again(self.unremembered(keys))

    def _again(self, keys: Collection[str]) -> list[Result]:
        rows, invoices, waiting = self.staged(keys, "invoice", "invoices")
        return waiting + self._register(rows, invoices)

    def _register(self, rows: pl.DataFrame, invoices: Mapping[str, int]) -> list[Result]:
        keys = {external_name(self.entity.name, key): key for key in rows[KEY].to_list()}
        outcomes = register_payments(
            self.session,
            self.context.namespace,
            [
                Payment(
                    key=external_name(self.entity.name, row[KEY]),
                    invoice_id=invoices[row["invoice"]],
                    amount=row["amount"],
                    currency=row["currency"],
                    date=row["paid_on"],
                    reference=row["reference"] or f"{self.context.namespace} {row[KEY]}",
                )
                for row in rows.sort("paid_on").iter_rows(named=True)
            ],
        )
        return [Result.of(keys[outcome.key], outcome) for outcome in outcomes]
