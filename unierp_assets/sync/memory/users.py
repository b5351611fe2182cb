"""Which user of UniERP a login is, remembered in the warehouse."""

from contextlib import suppress

from unierp_assets.warehouse.errors import WarehouseError
from unierp_assets.warehouse.store import Warehouse


class RememberedUser:
    """The user of one login on one server; see :class:`~unierp_assets.odoo.session.Users`.

    It is no secret and grants nothing: each call carries the password. A process that cannot use the warehouse logs in.
    """

    def __init__(self, warehouse: Warehouse, server: str, login: str) -> None:
        self._warehouse = warehouse
        self._name = f"user:{server}:{login}"

    def recall(self) -> int | None:
        """The user's database id, where it is remembered."""
        with suppress(WarehouseError), self._warehouse.transaction() as tx:
            value = tx.cursor(self._name)
            return int(value) if value else None
        return None

    def note(self, user_id: int) -> None:
        """Remember it."""
        with suppress(WarehouseError), self._warehouse.transaction() as tx:
            tx.set_cursor(self._name, str(user_id))
