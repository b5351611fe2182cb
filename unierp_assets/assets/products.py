"""The catalogue: categories, attributes, products, variants, taxes and prices."""

from unierp_assets.assets.factory import domain_assets

ASSETS = domain_assets("products")
