"""What Dagster's steps work with: thin resources that hand out the plain objects of the lower layers.

Belongs here: where an address comes from (the resource's own configuration, else the settings, else the running lab),
when connections are given up, and Dagster's own instance. Does not belong here: what is done with the objects.
Nothing connects before a step asks for it.
"""

from unierp_assets.resources.engine import EngineResource
from unierp_assets.resources.systems import StorefrontResource, UniErpResource, WarehouseResource

__all__ = ["EngineResource", "StorefrontResource", "UniErpResource", "WarehouseResource"]
