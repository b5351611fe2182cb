"""What the appliers of sales documents share: how many of them go in a call, and the service that stands for shipping.

Every document is looked at before it is acted on (see :mod:`unierp_assets.odoo.documents`), so that a step whose answer
was lost is not taken twice.
"""

from collections.abc import Collection
from functools import cached_property

from unierp_assets.odoo import (
    load,
)
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.load.applier import Applier
from unierp_assets.sync.load.codec import external_name
from unierp_assets.sync.memory.state import bound_ids

DOCUMENT_BATCH = 50
"""Orders and their documents per call: Odoo needs a fifth less time for each than by 20, and by 100 little less than
by 50. What is refused is found by halves."""


class Sales(Applier):
    """What orders and their lines share: the service that stands for shipping."""

    @cached_property
    def shipping(self) -> int:
        """The service that stands for shipping on orders and invoices; made at its first use."""
        known = self.ids_of(["shipping"], "services")
        if not known:
            name = f"{self.context.namespace}.{external_name('services', 'shipping')}"
            (outcome,) = load(  # type: ignore[var-annotated]
                self.session,
                "product.product",
                ["id", "name", "default_code", "type", "invoice_policy", "taxes_id/.id"],
                [[name, "Shipping", "SHIPPING", "service", "order", None]],
            )
            if outcome.error:
                raise outcome.error
            known = {"shipping": outcome.id or 0}
        return known["shipping"]


def bound_of(context: SyncContext, entity: str, keys: Collection[str]) -> dict[str, int]:
    """Database ids by key."""
    with context.warehouse.transaction() as tx:
        return bound_ids(tx, entity, keys)
