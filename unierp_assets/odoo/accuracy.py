"""How many digits UniERP keeps of a number, and how it is asked to keep more.

Belongs here: the settings of Odoo that cut numbers (decimal accuracy, rounding of units). They are raised where a value
needs it, never lowered: nothing that is there is changed by that. Does not belong here: which values need it.
"""

from unierp_assets.odoo.errors import OdooAccessDenied
from unierp_assets.odoo.session import OdooSession

PRECISION = "decimal.precision"
_UNITS = ("Product Unit of Measure", "Product Unit")
_SETTINGS = {
    "price_unit": ("Product Price",),
    "fixed_price": ("Product Price",),
    "standard_price": ("Product Price",),
    "discount": ("Discount",),
    "weight": ("Stock Weight",),
    "product_uom_qty": _UNITS,
    "quantity": _UNITS,
}
"""The settings that cut a field, by the field's name; of several names the server has one."""
MOST = 6
"""More digits than these are not asked for."""


def digits_kept(session: OdooSession, model: str, field: str) -> int | None:
    """Digits after the point that the server keeps of a field; None where it keeps all."""
    # Asked anew each time: the description of a model is remembered otherwise.
    described = session.call(model, "fields_get", [field], ["digits"])
    digits = described[field].get("digits")
    return int(digits[1]) if digits else None


def keep_digits(session: OdooSession, model: str, field: str, wanted: int) -> int | None:
    """Has the server keep so many digits of a field if it can; how many it keeps then.

    Where the user may not change the setting, or there is none, it stays as it is: the caller has to live with it."""
    known = digits_kept(session, model, field)
    names = _SETTINGS.get(field)
    if known is None or known >= wanted or names is None:
        return known
    wanted = min(wanted, MOST)
    try:
        fewer = session.call(PRECISION, "search", [["name", "in", list(names)], ["digits", "<", wanted]])
        if fewer:
            session.step(PRECISION, "write", fewer, {"digits": wanted})
        if names is _UNITS:
            _round_units_less(session, wanted)
    except OdooAccessDenied:
        return known
    return digits_kept(session, model, field)


def _round_units_less(session: OdooSession, digits: int) -> None:
    """Older servers round quantities by the unit, too: pieces may then be counted as finely as quantities are kept."""
    unit = session.call(
        "ir.model.data", "search_read", [["module", "=", "uom"], ["name", "=", "product_uom_unit"]], ["res_id"]
    )
    rounding = session.features.fields("uom.uom").get("rounding", {})
    if not unit or rounding.get("readonly", False):
        return
    coarse = session.call("uom.uom", "search", [["id", "=", unit[0]["res_id"]], ["rounding", ">", 10.0**-digits]])
    if coarse:
        session.step("uom.uom", "write", coarse, {"rounding": 10.0**-digits})
