"""Sales orders with their lines, and what was shipped of them."""

from unierp_assets.assets.factory import domain_assets

ASSETS = domain_assets("orders")
