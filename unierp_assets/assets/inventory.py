"""Stock: locations, the first quantities on hand into UniERP, what may be sold back to the shop."""

from unierp_assets.assets.factory import domain_assets

ASSETS = domain_assets("inventory")
