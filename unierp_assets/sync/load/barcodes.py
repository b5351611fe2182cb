"""Barcodes, which no two records may have at a time: they change places, and what is not on sale gives them up.

What belongs here: who has a barcode in UniERP, and how it gets to whom it belongs by now. What does not: which barcode
a variant is to have, which is merged like any other value.
"""

from collections.abc import Collection, Mapping

import polars as pl
import sqlalchemy as sa

from unierp_assets.odoo import OdooError, load_in_order, raise_first, read, search_read, values, write_changed
from unierp_assets.odoo.configuration import ordered
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.memory.state import any_of
from unierp_assets.warehouse.tables import BINDINGS, STAGING, WITHDRAWN

MODEL = "product.product"


def free_barcodes(context: SyncContext, wanted: Collection[str], but: Collection[int] = ()) -> None:
    """Takes these barcodes off archived records whose variants the shop does not sell any more, ``but`` for some."""
    if not wanted:
        return
    domain = [("barcode", "in", sorted(set(wanted))), ("active", "=", False)]
    found = [row["id"] for row in search_read(context.session, MODEL, domain, ["barcode"], archived=True)]
    give_up_barcodes(context, list(_off_sale(context, set(found) - set(but))))


def give_up_barcodes(context: SyncContext, ids: Collection[int]) -> None:
    """Empties the barcodes of these records, and says so in the ledger."""
    had = {
        id_: barcode
        for id_, row in read(context.session, MODEL, ids, ["barcode"]).items()
        if (barcode := values.text(row["barcode"]))
    }
    if not had:
        return
    raise_first(write_changed(context.session, MODEL, {id_: {"barcode": None} for id_ in had}))
    with context.warehouse.transaction() as tx:
        keys = tx.read(
            sa.select(BINDINGS.c.key, BINDINGS.c.odoo_id).where(
                BINDINGS.c.entity == "variants", any_of(BINDINGS.c.odoo_id, list(had))
            )
        )
        before = pl.col("odoo_id").replace_strict(had, return_dtype=pl.String)
        entries = ledger.given_up("barcode", keys.with_columns(before=before, after=pl.lit(None, pl.String)))
        ledger.append(tx, "variants", context.run_id, context.actor, entries)


def _off_sale(context: SyncContext, ids: Collection[int]) -> set[int]:
    """Those of the records that stand for variants the shop has no more, or has switched off."""
    staged = STAGING["variants"]
    with context.warehouse.transaction() as tx:
        rows = tx.read(
            sa.select(BINDINGS.c.odoo_id)
            .join(staged, staged.c.key == BINDINGS.c.key)
            .where(
                BINDINGS.c.entity == "variants",
                any_of(BINDINGS.c.odoo_id, list(ids)),
                sa.or_(staged.c._status == WITHDRAWN, ~staged.c.active),
            )
        )
    return set(rows["odoo_id"].to_list())


def exchange_barcodes(
    context: SyncContext, wanted: Mapping[str, str | None], ids: Mapping[str, int]
) -> dict[str, OdooError | None]:
    """Gives variants barcodes that others of them have now, each ring of them in one transaction: a sync that is killed
    leaves the codes as they were or as they should be. Returns what came of those, by key; the others have nothing in
    their way."""
    targets = {ids[key]: barcode for key, barcode in wanted.items() if key in ids}
    free_barcodes(context, [barcode for barcode in targets.values() if barcode], but=targets)
    now = {id_: values.text(row["barcode"]) for id_, row in read(context.session, MODEL, targets, ["barcode"]).items()}
    holders = {barcode: id_ for id_, barcode in now.items() if barcode}
    follows = {
        id_: holders[barcode] for id_, barcode in targets.items() if barcode and holders.get(barcode, id_) != id_
    }
    keys = {id_: key for key, id_ in ids.items()}
    done: dict[str, OdooError | None] = {}
    for group in _together(follows):
        steps = ordered({id_: targets[id_] for id_ in group}, {id_: now[id_] for id_ in group}, None)
        error = None
        try:
            load_in_order(context.session, MODEL, [".id", "barcode"], steps)
        except OdooError as refusal:
            error = refusal
        done |= {keys[id_]: error for id_ in group}
    return done


def _together(follows: Mapping[int, int]) -> list[list[int]]:
    """Records that wait for each other, ring by ring and chain by chain.

    >>> _together({1: 2, 2: 1, 5: 4})
    [[1, 2], [4, 5]]
    """
    groups: list[set[int]] = []
    for pair in follows.items():
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touched] + [set(pair).union(*touched)]
    return sorted(sorted(group) for group in groups)
