"""The jobs: a sync of everything, and one for each domain together with what it needs."""

import dagster as dg

from unierp_assets.assets import operations
from unierp_assets.assets.keys import BINDINGS, READ_BACK, Layer, key, writes_storefront
from unierp_assets.entities import DOMAINS, entities_of
from unierp_assets.sync.pipeline import tables_of, with_requirements
from unierp_assets.warehouse.tables import tables_of as tables_of_schema

SYNC_ALL = "sync_all"


def domain_keys(domain: str) -> list[dg.AssetKey]:
    """The assets of a domain's sync: its entities and everything they refer to, from the shop to the reports."""
    entities = with_requirements(entities_of(domain))
    layers = (Layer.STAGING, Layer.LANDING_UNIERP, Layer.UNIERP)
    return [
        *(key(Layer.LANDING_STOREFRONT, table) for table in tables_of(entities)),
        *(key(layer, entity.name) for layer in layers for entity in entities),
        *(key(Layer.STOREFRONT, entity.name) for entity in entities if writes_storefront(entity)),
        BINDINGS,
        READ_BACK,
        *(key(Layer.REPORTING, name) for name in tables_of_schema("reporting")),
    ]


_SELECTIONS: dict[str, tuple[str, dg.AssetSelection]] = {
    SYNC_ALL: (
        "Everything: from the shop to UniERP and back, validated and reconciled.",
        dg.AssetSelection.all() - dg.AssetSelection.groups(operations.GROUP),
    ),
    **{
        f"sync_{domain}": (
            f"The domain {domain} together with everything it refers to, validated and reconciled.",
            dg.AssetSelection.assets(*domain_keys(domain)),
        )
        for domain in DOMAINS
    },
}

# Where their steps are taken is said once for all of them, in the definitions.
JOBS = [
    dg.define_asset_job(name, selection=selection, description=description)
    for name, (description, selection) in _SELECTIONS.items()
]
