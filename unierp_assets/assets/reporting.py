"""Tables for analysts."""

from unierp_assets.assets.factory import report
from unierp_assets.assets.keys import Layer, key
from unierp_assets.warehouse.tables import SALES_DAILY

ASSETS = [
    report(
        "reporting",
        SALES_DAILY,
        made_of=[key(Layer.STAGING, "orders"), key(Layer.STAGING, "order_lines"), key(Layer.STAGING, "currency_rates")],
    )
]
