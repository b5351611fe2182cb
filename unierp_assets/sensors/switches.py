"""Whether what watches is on from the start: one setting for all of it."""

import dagster as dg

from unierp_assets.settings import get_settings

SENSORS_AT_FIRST = dg.DefaultSensorStatus.RUNNING if get_settings().automatic else dg.DefaultSensorStatus.STOPPED
"""A sensor's switch until somebody sets it in Dagster's page."""
SCHEDULES_AT_FIRST = dg.DefaultScheduleStatus.RUNNING if get_settings().automatic else dg.DefaultScheduleStatus.STOPPED
"""A schedule's switch until somebody sets it."""
