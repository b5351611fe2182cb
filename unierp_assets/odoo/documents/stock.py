"""Quantities on hand: set absolutely, and read. Movements with documents are in :mod:`.deliveries`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from unierp_assets.odoo.batches import Suspects, even_batch, settle_groups, together
from unierp_assets.odoo.documents.states import insist
from unierp_assets.odoo.errors import OdooConcurrencyError, OdooMissingRecord, OdooValidationError
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, changed_since, read, search_read, write_changed
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import chunks, ref

QUANT = "stock.quant"
ADJUSTMENT = "stock.inventory.adjustment.name"
INVENTORY = "stock.inventory"
MODE = {"inventory_mode": True}
# What people see as the name of a count
DOCUMENT = "Stock set by unierp"
Key = tuple[int, int, int | None]


@dataclass(frozen=True, slots=True)
class StockRow:
    """The quantity counted of a product (``product.product`` id) at a location, in the product's unit."""

    product_id: int
    location_id: int
    quantity: Decimal
    lot_id: int | None = None

    @property
    def key(self) -> Key:
        return self.product_id, self.location_id, self.lot_id


@dataclass(frozen=True, slots=True)
class StockLevel:
    """On hand and reserved at one internal location, lots summed; available is ``quantity - reserved``."""

    product_id: int
    location_id: int
    quantity: Decimal
    reserved: Decimal


def set_stock(
    session: OdooSession, rows: Sequence[StockRow], *, batch: int = 200, connections: int | None = None
) -> list[Outcome[Key]]:
    """Sets counted quantities absolutely; rows that already are right are left alone.

    Work is divided by product: the first stock of one product from two connections would be added up by the server.
    Key: (product id, location id, lot id or None). ``id`` is None. Raises ValueError if a key comes twice."""
    session.features.require(QUANT)
    enter = _by_quants if session.features.way("set_stock") == "quants" else _by_inventory
    if len({row.key for row in rows}) < len(rows):
        raise ValueError("a product, location and lot comes twice")
    groups = together(rows, lambda row: row.product_id, even_batch(len(rows), batch, session.lanes(connections)))

    written: set[Key] = set()

    def act(part: list[StockRow]) -> list[Outcome[Key]]:
        quants = _quants(session, part)
        lagging = [row for row in part if _lags(row, quants)]
        if lagging:
            written.update(row.key for row in lagging)
            enter(session, lagging, quants)
            quants = _quants(session, part)
            wrong = [position for position, row in enumerate(part) if _lags(row, quants)]
            if wrong:
                error = _differs(session, part[wrong[0]], quants)
                raise error if len(part) == 1 else Suspects(error, wrong)
        return [Outcome(row.key, changed=False) for row in part]

    outcomes = settle_groups(session, groups, act, key=lambda row: row.key, connections=connections, written=written)
    found = {outcome.key: outcome for outcome in outcomes}
    return [found[row.key] for row in rows]


def _quants(session: OdooSession, rows: Sequence[StockRow]) -> dict[Key, list[Row]]:
    """The quants of the rows, without those of packages or of other owners, which a count does not touch."""
    found = search_read(
        session,
        QUANT,
        [
            ["product_id", "in", sorted({row.product_id for row in rows})],
            ["location_id", "in", sorted({row.location_id for row in rows})],
            ["package_id", "=", False],
            ["owner_id", "=", False],
        ],
        ["product_id", "location_id", "lot_id", "quantity"],
        batch=5000,
    )
    quants: dict[Key, list[Row]] = {}
    for row in found:
        key = (row["product_id"][0], row["location_id"][0], ref(row["lot_id"]))
        quants.setdefault(key, []).append(row)
    return quants


def _counted(quants: Sequence[Row]) -> Decimal:
    return sum((Decimal(repr(quant["quantity"])) for quant in quants), Decimal(0))


def _lags(row: StockRow, quants: Mapping[Key, Sequence[Row]]) -> bool:
    # the server computes in floats and rounds to the unit's precision
    return abs(_counted(quants.get(row.key, ())) - row.quantity) >= Decimal("0.00001")


def _differs(session: OdooSession, row: StockRow, quants: Mapping[Key, Sequence[Row]]) -> OdooConcurrencyError:
    there = _counted(quants.get(row.key, ())).normalize()
    return OdooConcurrencyError(
        f"the stock of product {row.product_id} is {there:f} after it was set to {row.quantity.normalize():f}",
        server=session.server,
        model=QUANT,
        record=str(row.key),
        field="quantity",
        remedy="look whether it moves just now, and at the rounding of its unit; then run again",
    )


def _by_quants(session: OdooSession, rows: Sequence[StockRow], quants: Mapping[Key, Sequence[Row]]) -> None:
    """Counts are entered on the quants and then applied together.

    What applies them leaves out those that are applied already, and so does no harm if it comes late: the server goes
    on with what a killed sync has sent it, and begins anew where somebody else has written meanwhile. A quant's own
    ``action_apply_inventory`` would then count nothing, and set the stock to zero."""
    known = {row.key: quants[row.key][0]["id"] for row in rows if row.key in quants}
    counts = {
        known[row.key]: {
            "inventory_quantity": row.quantity - _counted(quants[row.key][1:]),
            "inventory_quantity_set": True,
        }
        for row in rows
        if row.key in known
    }
    insist(write_changed(session, QUANT, counts, context=MODE))
    new = [
        {
            "product_id": row.product_id,
            "location_id": row.location_id,
            "lot_id": row.lot_id,
            "inventory_quantity": row.quantity,
        }
        for row in rows
        if row.key not in known
    ]
    made = session.step(QUANT, "create", new, context=MODE) if new else []
    counted = {"inventory_adjustment_name": DOCUMENT, "quant_ids": [[6, 0, [*known.values(), *made]]]}
    adjustment = session.step(ADJUSTMENT, "create", [counted])
    session.step(ADJUSTMENT, "action_apply", adjustment, context=MODE)


def _by_inventory(session: OdooSession, rows: Sequence[StockRow], quants: Mapping[Key, Sequence[Row]]) -> None:
    """Before Odoo 15: an inventory document, per location where it can hold only one."""
    _take_back(session, rows)
    several = session.features.has(INVENTORY, "location_ids")
    products = read(session, "product.product", {row.product_id for row in rows}, ["uom_id"])
    locations = sorted({row.location_id for row in rows})
    for places in [locations] if several else [[location] for location in locations]:
        lines = [
            {
                "product_id": row.product_id,
                "location_id": row.location_id,
                "prod_lot_id": row.lot_id,
                "product_uom_id": ref(products[row.product_id]["uom_id"]),
                "theoretical_qty": _counted(quants.get(row.key, ())),
                "product_qty": row.quantity,
            }
            for row in rows
            if row.location_id in places
        ]
        values: dict[str, Any] = {"name": DOCUMENT, "line_ids": [[0, 0, line] for line in lines]}
        values |= {"location_ids": [[6, 0, places]]} if several else {"location_id": places[0], "filter": "partial"}
        inventory = session.step(INVENTORY, "create", [values])[0]
        session.step(INVENTORY, "action_start", [inventory])
        session.step(INVENTORY, "action_validate", [inventory])


def _take_back(session: OdooSession, rows: Sequence[StockRow]) -> None:
    """Withdraws what a sync that was killed has left open for these products.

    The server may be completing it just now: two such documents for a product without stock would be added up. The
    one that is withdrawn cannot be completed any more, and one that was completed first cannot be withdrawn."""
    products = sorted({row.product_id for row in rows})
    ours = [["name", "=", DOCUMENT], ["state", "in", ["draft", "confirm"]], ["line_ids.product_id", "in", products]]
    left = [row["id"] for row in search_read(session, INVENTORY, ours, ["id"])]
    if not left:
        return
    try:
        session.step(INVENTORY, "action_cancel_draft", left)
        session.step(INVENTORY, "unlink", left)
    except (OdooMissingRecord, OdooValidationError) as refused:
        raise OdooConcurrencyError(
            f"stock that an earlier sync has counted was set or withdrawn meanwhile: {refused.message}",
            server=session.server,
            model=INVENTORY,
            remedy="run again",
        ) from refused


def tidy_stock(session: OdooSession) -> None:
    """Has the server put its own record of reservations right, as it does whenever a person opens the list of stock.

    Two transactions that reserve the same product at the same time leave two quants, and what is unreserved later is
    taken off one of them only as far as it goes: the quantity reserved is then wrong until the server tidies up. Older
    generations merge quants as they go and need nothing."""
    if session.features.way("set_stock") == "quants":
        session.call(QUANT, "action_view_inventory")


def stock_levels(
    session: OdooSession,
    product_ids: Sequence[int] | None = None,
    *,
    changed_since: datetime | None = None,
    location_ids: Sequence[int] | None = None,
    batch: int = 1000,
) -> Iterator[StockLevel]:
    """Levels per product and internal location (those with a quant; the rest are zero), in order of product.

    ``changed_since`` restricts to products with a quant written since (aware; rewind by the longest transaction)."""
    session.features.require(QUANT)
    place: list[Any] = [["location_id.usage", "=", "internal"]]
    if location_ids is not None:
        place = [["location_id", "in", list(location_ids)]]
    if changed_since is not None:
        touched = _touched(session, changed_since, place)
        product_ids = sorted(touched if product_ids is None else touched & set(product_ids))
    if product_ids is None:
        rows = search_read(session, "product.product", [["type", "!=", "service"]], ["id"], batch=10_000, archived=True)
        product_ids = [row["id"] for row in rows]
    for part in chunks(sorted(product_ids), batch):
        levels: dict[tuple[int, int], tuple[Decimal, Decimal]] = {}
        fields = ["product_id", "location_id", "quantity", "reserved_quantity"]
        for row in search_read(session, QUANT, [["product_id", "in", part], *place], fields, batch=5000):
            key = (row["product_id"][0], row["location_id"][0])
            on_hand, reserved = levels.get(key, (Decimal(0), Decimal(0)))
            levels[key] = (
                on_hand + Decimal(repr(row["quantity"])),
                reserved + Decimal(repr(row["reserved_quantity"])),
            )
        for (product, location), (on_hand, reserved) in sorted(levels.items()):
            yield StockLevel(product, location, on_hand, reserved)


def _touched(session: OdooSession, since: datetime, place: Sequence[Any]) -> set[int]:
    rows = changed_since(session, QUANT, ["product_id"], since, domain=place, archived=False)
    return {row["product_id"][0] for row in rows}
