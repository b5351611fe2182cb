"""To compare everything and not only what changed: the cursors of both sides go back to the beginning.

What the next run then reads is compared with what the warehouse has, row by row and in both directions; only rows that
differ are written. Nothing is forgotten that was decided or agreed.
"""

import sqlalchemy as sa

from unierp_assets.odoo import values
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import CURSORS

_REWOUND = "rewound"


def rewind(warehouse: Warehouse, run_id: str) -> bool:
    """Lets the run read everything on both sides; whether it was done, once for each run.

    Raises :class:`~unierp_assets.warehouse.errors.WarehouseError`.
    """
    with warehouse.transaction() as tx:
        if tx.cursor(_REWOUND) == run_id:
            return False
        names = CURSORS.c.name
        instants = sa.or_(
            names.startswith("extract:", autoescape=True),
            sa.and_(names.startswith("pull:", autoescape=True), ~names.endswith(":documents", autoescape=True)),
        )
        tx.execute(sa.update(CURSORS).where(instants).values(value=values.BEGINNING.isoformat()))
        tx.execute(sa.update(CURSORS).where(names == "bindings").values(value="0"))
        # Until all was read again, no table counts as read: a run that dies meanwhile leaves rows for the next one.
        tx.execute(sa.delete(CURSORS).where(names.startswith("read:", autoescape=True)))
        tx.set_cursor(_REWOUND, run_id)
        return True
