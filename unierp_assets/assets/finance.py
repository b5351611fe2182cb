"""Exchange rates, invoices and payments."""

from unierp_assets.assets.factory import domain_assets

ASSETS = domain_assets("finance")
