"""People and companies who buy, their groups and addresses."""

from unierp_assets.assets.factory import domain_assets

ASSETS = domain_assets("customers")
