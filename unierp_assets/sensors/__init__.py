"""What watches the outside world and asks for runs: sensors and schedules.

Belongs here: when to run what. What a sensor decides is a plain function, so that it can be tested without Dagster.
Does not belong here: the work itself (``assets``), and what happens inside the asset graph, which automation
conditions say on the assets.
"""

import dagster as dg

from unierp_assets.sensors import changes

SENSORS: list[dg.SensorDefinition] = [changes.storefront_changes, changes.unierp_changes]
"""Every sensor."""
