"""What runs at a time of day, whatever happened.

Belongs here: the times. Does not belong here: what the runs do.
"""

import dagster as dg

from unierp_assets.assets.jobs import JOBS, SYNC_ALL
from unierp_assets.assets.keys import FULL_TAG
from unierp_assets.sensors.switches import SCHEDULES_AT_FIRST

NIGHTLY = "17 3 * * *"
"""In UTC, when shops of Europe and America sell least; not on the hour, when everybody's schedules begin."""

(_SYNC_ALL,) = (job for job in JOBS if job.name == SYNC_ALL)


@dg.schedule(
    job=_SYNC_ALL,
    cron_schedule=NIGHTLY,
    default_status=SCHEDULES_AT_FIRST,
    description="Reads and compares everything on both sides, not only what changed.",
)
def nightly_reconciliation() -> dg.RunRequest:
    """One run of everything, with the cursors at the beginning."""
    return dg.RunRequest(tags={FULL_TAG: "true"})


SCHEDULES = [nightly_reconciliation]
"""Every schedule."""
