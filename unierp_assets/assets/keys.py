"""The grammar of asset keys and of what follows what.

A key is ``[layer, name]``. Where a layer is a schema of the warehouse, the name is that of a table in it; in ``unierp``
and ``storefront``, where the sync writes into a system, it is that of an entity. Belongs here: names and order. Does
not belong here: what a step does.
"""

from enum import StrEnum

import dagster as dg

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import Entity, System
from unierp_assets.quality.rules import GATE_ORDER, suite
from unierp_assets.sync.pipeline import tables_of


class Layer(StrEnum):
    """The layers, in the order in which data passes them."""

    LANDING_STOREFRONT = "landing_storefront"
    STAGING = "staging"
    SYNC = "sync"
    LANDING_UNIERP = "landing_unierp"
    UNIERP = "unierp"
    RECONCILIATION = "reconciliation"
    STOREFRONT = "storefront"
    REPORTING = "reporting"
    OPERATIONS = "operations"


def key(layer: Layer, name: str) -> dg.AssetKey:
    """The key of an asset."""
    return dg.AssetKey([layer.value, name])


BINDINGS = key(Layer.SYNC, "bindings")
READ_BACK = key(Layer.RECONCILIATION, "read_back")

CHANGE_TAG = "unierp/change"
"""The tag of runs that sensors asked for: which change they are to carry over."""
FULL_TAG = "unierp/full"
"""The tag of runs that read and compare everything, not only what changed."""

LOADED_AFTER: dict[str, tuple[str, ...]] = {
    # An order is created together with its lines, and reserves what is in stock when it is confirmed.
    "orders": ("variants", "taxes", "stock_levels"),
    # The first stock is set absolutely, so nothing may have left before; shipments name the lines they contain.
    "shipments": ("order_lines", "stock_levels"),
    # What is invoiced may be what was delivered, and is converted by the rate of its day.
    "invoices": ("order_lines", "shipments", "currency_rates"),
}
"""What has to be in UniERP before an entity, beyond what the entity refers to."""


def loaded_before(entity: Entity) -> tuple[str, ...]:
    """The entities that have to be in UniERP before this one, in load order."""
    named = {str(field.target) for field in entity.references} | set(LOADED_AFTER.get(entity.name, ()))
    return tuple(name for name in ENTITIES if name in named and name != entity.name)


def gated_with(entity: Entity) -> tuple[str, ...]:
    """The entity and those whose gates decide first, because its rules ask whether their rows are accepted; in the
    order of gating."""
    found = {entity.name}
    while True:
        more = {look.entity for name in found for look in suite(name).looks_at if not look.ignores_status} - found
        if not more:
            return tuple(name for name in GATE_ORDER if name in found)
        found |= more


def looked_at(entity: Entity) -> tuple[str, ...]:
    """The other entities whose staged rows the gate of this one reads, directly or not, in load order."""
    found = {look.entity for name in gated_with(entity) for look in suite(name).looks_at} | set(gated_with(entity))
    return tuple(name for name in ENTITIES if name in found and name != entity.name)


def load_deps(entity: Entity) -> list[dg.AssetKey]:
    """What the load of an entity follows: its rows, UniERP's, what it refers to, and what its gate has to see."""
    before = loaded_before(entity)
    earlier: set[str] = set()
    unseen = list(before)
    while unseen:
        name = unseen.pop()
        if name not in earlier:
            earlier.add(name)
            unseen += loaded_before(ENTITIES[name])
    staged = {entity.name, *earlier, *(name for load in earlier for name in looked_at(ENTITIES[load]))}
    return [
        key(Layer.STAGING, entity.name),
        *(key(Layer.STAGING, name) for name in looked_at(entity) if name not in staged),
        key(Layer.LANDING_UNIERP, entity.name),
        *(key(Layer.UNIERP, name) for name in before),
    ]


def writes_storefront(entity: Entity) -> bool:
    """Whether something of the entity flows back to the shop."""
    return any(System.STOREFRONT in field.flows_to for field in entity.synced)


REPORTS_AFTER = [
    READ_BACK,
    *(key(Layer.STOREFRONT, entity.name) for entity in ENTITIES.values() if writes_storefront(entity)),
]
"""What reports follow: everything was written, read back, and given back to the shop."""


def _domains_of_tables() -> dict[str, str]:
    found: dict[str, str] = {}
    # First the tables an entity's rows come from, then what is only looked up.
    for entity in ENTITIES.values():
        found.setdefault(entity.inputs[0].table, entity.domain)
    for entity in ENTITIES.values():
        for table in tables_of((entity,)):
            found.setdefault(table, entity.domain)
    return found


DOMAIN_OF_TABLE = _domains_of_tables()
"""The domain that each table of the shop belongs to."""
