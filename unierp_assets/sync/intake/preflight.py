"""Before anything is read or written: do the systems offer what the sync needs, and are they the ones it knows?"""

from collections.abc import Iterable

from unierp_assets.entities.spec import Entity
from unierp_assets.odoo import OdooAccessDenied, OdooCircuitOpen, OdooSession
from unierp_assets.sync.context import SyncContext

SERVER = "server"
"""Name of the cursor that remembers which database of UniERP the warehouse belongs to."""


class WrongServer(Exception):
    """The warehouse remembers another database of UniERP: its bindings and bases would be wrong here."""


def preflight(context: SyncContext, entities: Iterable[Entity]) -> None:
    """Checks the shop's contract, UniERP's apps and fields, and that both belong to this warehouse.

    Raises :class:`~unierp_assets.storefront.source.StorefrontError`, :class:`~unierp_assets.odoo.OdooMissingModule`
    and :class:`WrongServer`, each naming what is missing and the remedy.
    """
    context.on_step("check", "the systems")
    context.storefront.check()
    entities = tuple(entities)
    # Over all connections at a time: it is the first that the server's workers hear of the database.
    models = sorted({entity.model for entity in entities})
    answers = context.session.map(context.session.features.fields, models)
    # Why UniERP does not answer says more than that it was left alone for it.
    for answer in sorted(answers, key=lambda answer: isinstance(answer.error, OdooCircuitOpen)):
        answer.get()
    for entity in entities:
        for field in entity.read_back:
            if field.odoo:
                name = context.session.features.resolve(entity.model, field.odoo)
                context.session.features.require_field(entity.model, name)
    known, found = _remembered(context), identity(context.session)
    if known is None:
        with context.warehouse.transaction() as tx:
            tx.set_cursor(SERVER, found)
    elif known != found:
        raise WrongServer(
            f"The warehouse {context.warehouse.where} was filled from another database of UniERP than "
            f"{context.session.server}. Give this one a warehouse of its own (UNIERP_WAREHOUSE_URL), or drop the "
            "warehouse's database: it is built anew from both sides, and nothing is created twice."
        )


def _remembered(context: SyncContext) -> str | None:
    with context.warehouse.transaction() as tx:
        return tx.cursor(SERVER)


def identity(session: OdooSession) -> str:
    """What tells one database of UniERP from another: its uuid, or its name where the user may not read that."""
    try:
        uuid = session.call("ir.config_parameter", "get_param", "database.uuid")
    except OdooAccessDenied:
        uuid = None
    return str(uuid or session.db)
