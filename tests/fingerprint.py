"""The business content of the three systems in a form that can be compared: no database ids, no moments of writing.

Belongs here: what counts as content, and how two worlds differ. Does not belong here: what was done to the worlds.

A record of UniERP is known by its external ids. One without any is known by its values alone, so that a copy of it,
which nobody asked for, shows as a second equal row.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from world import World

from unierp_assets.odoo import OdooSession, search_read
from unierp_assets.storefront.contract import UPDATED_AT, contract_tables
from unierp_assets.warehouse.tables import BASE, STAGING, STATUS

Fingerprint = dict[str, Counter[str]]
"""By table or model: its rows as text, and how often each is there."""

NAMESPACE = "unierp"

CONTENT = {
    "account.move": (
        "type", "state", "ref", "partner_id", "invoice_date", "currency_id", "amount_total", "amount_tax",
        "amount_residual", "paid",
    ),
    "account.move.line": (
        "move_id", "account_id", "partner_id", "product_id", "quantity", "debit", "credit", "amount_currency",
        "amount_residual", "reconciled", "full_reconcile_id",
    ),
    "account.partial.reconcile": ("amount", "debit_amount_currency", "credit_amount_currency"),
    "account.payment": ("state", "payment_type", "amount", "currency_id", "date", "reference", "partner_id"),
    "account.tax": ("name", "amount", "active"),
    "product.category": ("name", "parent_id"),
    "product.pricelist": ("name", "currency_id"),
    "product.pricelist.item": ("pricelist_id", "product_id", "fixed_price", "date_start", "date_end"),
    "product.product": ("default_code", "barcode", "active", "weight", "standard_price", "product_tmpl_id"),
    "product.template": ("name", "active", "list_price", "categ_id", "taxes_id", "description_sale"),
    "res.currency": ("name", "active"),
    "res.partner": (
        "name", "is_company", "email", "phone", "vat", "active", "type", "parent_id", "street", "city", "zip",
        "country_id", "category_id",
    ),
    "res.partner.category": ("name",),
    "sale.order": (
        "client_order_ref", "origin", "partner_id", "partner_invoice_id", "partner_shipping_id", "pricelist_id",
        "state", "date_order", "amount_total", "amount_tax", "invoice_status",
    ),
    "sale.order.line": (
        "order_id", "product_id", "name", "product_uom_qty", "price_unit", "discount", "tax", "price_total",
        "qty_delivered", "qty_invoiced",
    ),
    "stock.location": ("complete_name", "usage"),
    "stock.move": ("picking_id", "sale_line_id", "product_id", "product_uom_qty", "done", "state", "location_dest_id"),
    "stock.picking": ("sale_id", "state", "date_done", "carrier_tracking_ref", "note"),
}  # fmt: skip
"""Fields by model of UniERP, some of them concepts whose name depends on the server. All records count."""

LABELLED = frozenset({"account.account", "res.country", "res.currency", "stock.location"})
"""Models whose records are known by their names rather than by external ids of ours."""
FLAGS = frozenset({"full_reconcile_id"})
"""Links of which only the presence counts."""

REMEMBERED = {
    "bindings": "SELECT entity, key, model FROM sync.bindings",
    "merges": "SELECT entity, key, into_key, rule FROM sync.merges",
    "pending": "SELECT entity, key, state, regexp_replace(reason, '[0-9]+', '#', 'g') FROM sync.pending",
    "open conflicts": "SELECT entity, key, field, base, ours, theirs FROM sync.conflicts WHERE outcome IS NULL",
    "quarantine": "SELECT entity, key, expectation FROM quarantine.rows",
}
"""What the warehouse remembers, beside the values of each entity."""


def fingerprint(world: World) -> Fingerprint:
    """The content of UniERP, of the shop and of the warehouse."""
    return unierp_content(world.session) | shop_content(world) | warehouse_content(world)


def unierp_content(session: OdooSession) -> Fingerprint:
    """Every record of the models that the sync writes, directly or not, and the external ids themselves."""
    names: dict[tuple[str, int], str] = {}
    bound = search_read(session, "ir.model.data", [("module", "=", NAMESPACE)], ["name", "model", "res_id"], batch=5000)
    found: Fingerprint = {"unierp external ids": Counter()}
    for row in sorted(bound, key=lambda row: row["name"]):
        record = (row["model"], row["res_id"])
        names[record] = "+".join(filter(None, [names.get(record), row["name"]]))
        found["unierp external ids"][f"{row['model']} {row['name']}"] += 1
    for model, fields in CONTENT.items():
        found[f"unierp {model}"] = Counter(_records(session, model, fields, names))
    found["unierp stock"] = Counter(_stock(session, names))
    return found


def _records(
    session: OdooSession, model: str, concepts: Iterable[str], names: Mapping[tuple[str, int], str]
) -> Iterable[str]:
    features = session.features
    fields = {concept: features.resolve(model, concept) for concept in concepts}
    fields = {concept: name for concept, name in fields.items() if features.has(model, name)}
    declared = features.fields(model)
    for row in search_read(session, model, [], sorted(fields.values()), archived=True, batch=5000):
        values = [
            f"{concept}={_value(row[name], declared[name], names, flag=concept in FLAGS)}"
            for concept, name in fields.items()
        ]
        yield " ".join([names.get((model, row["id"]), "-"), *values])


def _value(value: Any, field: Mapping[str, Any], names: Mapping[tuple[str, int], str], *, flag: bool) -> str:
    if flag:
        return str(bool(value))
    match field["type"]:
        case "many2one":
            if not value:
                return "-"
            label = value[1] if field["relation"] in LABELLED else "?"
            return names.get((field["relation"], value[0]), label)
        case "one2many" | "many2many":
            return ",".join(sorted(names.get((field["relation"], id_), "?") for id_ in value))
        case "float" | "monetary":
            return _number(value)
        case _:
            return "-" if value is False and field["type"] != "boolean" else str(value)


def _number(value: float) -> str:
    # The server computes in floats; nothing of ours has more than six digits.
    return f"{Decimal(repr(value)).quantize(Decimal('0.000001')).normalize() + 0:f}"


def _stock(session: OdooSession, names: Mapping[tuple[str, int], str]) -> Iterable[str]:
    """Quantities per product and location: the server is free to hold them in several records, or in none for zero."""
    totals: dict[tuple[str, str], list[float]] = {}
    fields = ["product_id", "location_id", "quantity", "reserved_quantity"]
    for row in search_read(session, "stock.quant", [], fields, batch=5000):
        product = names.get(("product.product", row["product_id"][0]), "?")
        place = totals.setdefault((product, row["location_id"][1]), [0, 0])
        place[0] += row["quantity"]
        place[1] += row["reserved_quantity"]
    for (product, location), (quantity, reserved) in totals.items():
        if _number(quantity) != "0" or _number(reserved) != "0":
            yield f"{product} in {location}: {_number(quantity)}, reserved {_number(reserved)}"


def shop_content(world: World) -> Fingerprint:
    """Every row of the shop. A link that was added by a sync got whichever key was free."""
    found: Fingerprint = {}
    for name, table in contract_tables().items():
        left_out = {UPDATED_AT, *(column.name for column in table.primary_key if table.info["writes"] == LINKED)}
        columns = ", ".join(column.name for column in table.columns if column.name not in left_out)
        found[f"shop {name}"] = _rows(world.shop(f"SELECT {columns} FROM {name}"))
    return found


LINKED = ("INSERT", "DELETE")
"""The mark of tables to which a sync adds rows."""


def warehouse_content(world: World) -> Fingerprint:
    """Staged and agreed values with what the gate thinks of them, and what the engine remembers."""
    found: Fingerprint = {}
    for schema, tables in (("staging", STAGING), ("base", BASE)):
        for name, table in tables.items():
            columns = [column.name for column in table.columns if not column.name.startswith("_")]
            columns += [STATUS] if STATUS in table.c else []
            quoted = ", ".join(f'"{column}"' for column in columns)
            found[f"{schema} {name}"] = _rows(world.warehouse_rows(f"SELECT {quoted} FROM {schema}.{name}"))
    for name, question in REMEMBERED.items():
        found[f"warehouse {name}"] = _rows(world.warehouse_rows(question))
    return found


def _rows(rows: Iterable[tuple[Any, ...]]) -> Counter[str]:
    return Counter(re.sub(r"\s+", " ", " ".join(map(str, row))) for row in rows)


def differences(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """What is missing and what is too much, a line each; empty where both are equal."""
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        there, here = expected.get(name, Counter()), found.get(name, Counter())
        lines += [f"{name}: missing {count} x {row}" for row, count in sorted((there - here).items())]
        lines += [f"{name}: {count} too many of {row}" for row, count in sorted((here - there).items())]
    return lines
