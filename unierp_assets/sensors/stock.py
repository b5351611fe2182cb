"""The sensor that tells when there is too little of something to sell.

Belongs here: reading the stock. Does not belong here: what is too little, and what is told (``telling.py``).
"""

import json
from decimal import Decimal

import dagster as dg
import sqlalchemy as sa

from unierp_assets.alerts import clear_alert, raise_alert
from unierp_assets.resources import EngineResource
from unierp_assets.sensors.switches import SENSORS_AT_FIRST
from unierp_assets.sensors.telling import Stock, crossings, low_stock, stock_key
from unierp_assets.settings import get_settings
from unierp_assets.warehouse.errors import WarehouseError
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import LANDING_UNIERP, STAGING

SECONDS = 18
"""The least time between two looks at the stock."""


def stock(warehouse: Warehouse) -> list[Stock]:
    """What may be sold of every variant that is on sale, as UniERP last said. Raises ``WarehouseError``."""
    levels, placed = LANDING_UNIERP["stock_levels"], STAGING["stock_levels"]
    variants, products, categories = STAGING["variants"], STAGING["products"], STAGING["categories"]
    rows = warehouse.read(
        sa.select(
            variants.c.key,
            sa.func.coalesce(variants.c.sku, variants.c.key).label("sku"),
            categories.c.name,
            sa.cast(sa.func.sum(levels.c.available), sa.Numeric(18, 2)).label("available"),
        )
        .join(placed, placed.c.key == levels.c.key)
        .join(variants, variants.c.key == placed.c.variant)
        .join(products, products.c.key == variants.c.product)
        .outerjoin(categories, categories.c.key == products.c.category)
        .where(~levels.c._deleted, variants.c.active)
        .group_by(variants.c.key, variants.c.sku, categories.c.name)
    )
    return [Stock(key, sku, category, available or Decimal(0)) for key, sku, category, available in rows.iter_rows()]


@dg.sensor(
    name="low_stock",
    minimum_interval_seconds=SECONDS,
    default_status=SENSORS_AT_FIRST,
    description="Tells once of each variant of which there has become too little, and once that there is enough again.",
)
def low_stock_sensor(context: dg.SensorEvaluationContext, engine: EngineResource) -> dg.SkipReason:
    """Asks for no run. Its cursor is the list of the variants that are low."""
    settings = get_settings()
    try:
        warehouse = engine.watch().warehouse
        low = low_stock(stock(warehouse), settings.low_stock, settings.low_stock_levels)
    except WarehouseError as error:
        return dg.SkipReason(f"The stock could not be read: {error}")
    before = json.loads(context.cursor) if context.cursor else None
    alerts, over = crossings(before, low, settings.low_stock, settings.low_stock_levels)
    for alert in alerts:
        raise_alert(warehouse, alert)
    for key in over:
        clear_alert(warehouse, stock_key(key), "There is enough again.")
    context.update_cursor(json.dumps(sorted(low)))
    return dg.SkipReason(f"{len(low)} variants are low on stock, {len(alerts)} of them since the last look.")
