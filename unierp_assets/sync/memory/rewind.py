"""To compare everything and not only what changed: UniERP's cursors go back to the beginning, and of each table of the
shop the contents are compared, of which only the blocks that differ have to be read.

What the next run then reads is compared with what the warehouse has, row by row and in both directions; only rows that
differ are written. Nothing is forgotten that was decided or agreed.
"""

import sqlalchemy as sa

from unierp_assets.odoo import values
from unierp_assets.sync.memory.state import contents_cursor
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import CURSORS, LANDING_STOREFRONT

_REWOUND = "rewound"


def rewind(warehouse: Warehouse, run_id: str) -> bool:
    """Lets the run read everything on both sides; whether it was done, once for each run.

    Raises :class:`~unierp_assets.warehouse.errors.WarehouseError`.
    """
    with warehouse.transaction() as tx:
        if tx.cursor(_REWOUND) == run_id:
            return False
        names = CURSORS.c.name
        instants = sa.and_(names.startswith("pull:", autoescape=True), ~names.endswith(":documents", autoescape=True))
        tx.set_cursors({contents_cursor(table): run_id for table in LANDING_STOREFRONT})
        tx.execute(sa.update(CURSORS).where(instants).values(value=values.BEGINNING.isoformat()))
        tx.execute(sa.update(CURSORS).where(names == "bindings").values(value="0"))
        # Until all was read again, no table counts as read: a run that dies meanwhile leaves rows for the next one.
        tx.execute(sa.delete(CURSORS).where(names.startswith("read:", autoescape=True)))
        tx.set_cursor(_REWOUND, run_id)
        return True
