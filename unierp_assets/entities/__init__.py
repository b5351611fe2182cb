"""The domain: one module per entity, and the order in which entities are loaded.

Nothing here knows a database, a server or Dagster. To add a field, touch the entity's module and its suite in
``expectations/``.
"""

from unierp_assets.entities.addresses import ADDRESSES
from unierp_assets.entities.attributes import ATTRIBUTE_VALUES, ATTRIBUTES
from unierp_assets.entities.categories import CATEGORIES
from unierp_assets.entities.currency_rates import CURRENCY_RATES
from unierp_assets.entities.customers import CUSTOMER_GROUPS, CUSTOMERS
from unierp_assets.entities.invoices import INVOICES
from unierp_assets.entities.locations import LOCATIONS
from unierp_assets.entities.orders import ORDER_LINES, ORDERS
from unierp_assets.entities.payments import PAYMENTS
from unierp_assets.entities.prices import PRICE_LISTS, PRICES
from unierp_assets.entities.products import PRODUCTS
from unierp_assets.entities.shipments import SHIPMENTS
from unierp_assets.entities.spec import Entity
from unierp_assets.entities.stock_levels import STOCK_LEVELS
from unierp_assets.entities.taxes import TAXES
from unierp_assets.entities.variants import VARIANTS

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        TAXES,
        PRICE_LISTS,
        CATEGORIES,
        ATTRIBUTES,
        ATTRIBUTE_VALUES,
        PRODUCTS,
        VARIANTS,
        PRICES,
        LOCATIONS,
        STOCK_LEVELS,
        CUSTOMER_GROUPS,
        CUSTOMERS,
        ADDRESSES,
        CURRENCY_RATES,
        ORDERS,
        ORDER_LINES,
        SHIPMENTS,
        INVOICES,
        PAYMENTS,
    )
}
"""Every entity by name, in load order: what an entity refers to comes before it."""

DOMAINS: tuple[str, ...] = ("products", "inventory", "customers", "orders", "finance")


def entities_of(domain: str | None) -> tuple[Entity, ...]:
    """The entities of a domain in load order; all of them where no domain is given.

    Raises ``KeyError`` for an unknown domain.
    """
    if domain is None:
        return tuple(ENTITIES.values())
    if domain not in DOMAINS:
        raise KeyError(f"unknown domain {domain!r}; there are {', '.join(DOMAINS)}")
    return tuple(entity for entity in ENTITIES.values() if entity.domain == domain)
