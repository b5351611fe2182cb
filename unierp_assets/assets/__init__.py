"""The sync as Dagster assets: one thin module per domain, made by the functions of ``factory.py``.

Belongs here: what the UI shows and in which order things run. Does not belong here: any decision about data, which is
made in ``sync`` and ``quality`` and tested there without Dagster.
"""

import dagster as dg

from unierp_assets.assets import customers, finance, inventory, operations, orders, products, reconciliation, reporting

ALL: list[dg.AssetsDefinition | dg.AssetChecksDefinition] = [
    *products.ASSETS,
    *inventory.ASSETS,
    *customers.ASSETS,
    *orders.ASSETS,
    *finance.ASSETS,
    *reconciliation.ASSETS,
    *reporting.ASSETS,
    *operations.ASSETS,
]
"""Every asset and every check that runs as a step of its own."""
