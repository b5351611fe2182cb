"""Looks at every service and setting a sync depends on, and says what to mend.

Each check is a small function that returns what it found; one that fails never stops the next.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from unierp_assets.alerts import open_alerts
from unierp_assets.alerts.delivery import addresses
from unierp_assets.entities import ENTITIES
from unierp_assets.odoo import OdooSession
from unierp_assets.storefront.contract import COMPANY_CURRENCY
from unierp_assets.sync.breaker import circuits
from unierp_assets.sync.compare.conflicts import open_conflicts
from unierp_assets.sync.health import behind, lags
from unierp_assets.sync.memory.state import dead_letters
from unierp_assets.sync.status import quarantined
from unierp_assets.sync.unsettled import unsettled
from unierp_assets.wiring import Systems

GOOD, ADVICE, BAD = "ok", "advice", "bad"

_STALE = timedelta(hours=1)
"""How long ago an entity may have been read before it is worth a word."""

_DISCOUNT_DIGITS = 6
"""Digits of a discount in percent with which every discount of a line is reproduced to the cent."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is (``ok``, ``advice`` or ``bad``), what was found, and what to do."""

    what: str
    state: str
    found: str
    remedy: str | None = None

    @property
    def is_bad(self) -> bool:
        return self.state == BAD

    @property
    def mark(self) -> str:
        return {GOOD: "✓ ok", ADVICE: "! advice", BAD: "✗ bad"}[self.state]

    def to_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self)


def examine(systems: Systems) -> list[Finding]:
    """Runs every check. Checks of UniERP are left out where it cannot be reached, and what the warehouse knows where it
    is not as it should be."""
    findings = [
        _looked("warehouse", lambda: _warehouse(systems)),
        _looked("storefront", lambda: _storefront(systems)),
        _looked("UniERP", lambda: _login(systems.session)),
    ]
    if findings[0].state == GOOD:
        findings += [
            _looked("orders and money", lambda: _unsettled(systems)),
            _looked("circuit breakers", lambda: _breakers(systems)),
            _looked("freshness", lambda: _freshness(systems)),
            _looked("lags", lambda: _lags(systems)),
            _looked("what waits for people", lambda: _waiting(systems)),
            _looked("quarantine", lambda: _quarantine(systems)),
            _looked("open alerts", lambda: _open_alerts(systems)),
        ]
    findings.append(_looked("addresses of alerts", lambda: _addresses(systems)))
    if not findings[2].is_bad:
        findings += [
            _looked("apps of UniERP", lambda: _apps(systems.session)),
            _looked("currency of the books", lambda: _currency(systems.session)),
            _looked("rounding of taxes", lambda: _rounding(systems.session)),
            _looked("digits of discounts", lambda: _discounts(systems.session)),
            _looked("API key", lambda: _user(systems.session)),
        ]
    return findings


def _looked(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  # whatever it is, it belongs beside the other findings
        return Finding(what, BAD, str(error), getattr(error, "remedy", None))


def _warehouse(systems: Systems) -> Finding:
    where = systems.warehouse.where
    if systems.warehouse.is_current():
        return Finding("warehouse", GOOD, where)
    return Finding("warehouse", ADVICE, f"{where} is behind", "run `unierp warehouse upgrade`; a sync does it too")


def _breakers(systems: Systems) -> Finding:
    what = "circuit breakers"
    found = circuits(systems.warehouse).items()
    opened = [f"{system} at {circuit.address} {circuit}" for system, circuit in found if circuit.opened_at]
    if not opened:
        return Finding(what, GOOD, "all closed: every system is called")
    return Finding(what, ADVICE, "; ".join(opened), "once the system answers, the next run from that time on closes it")


def _freshness(systems: Systems) -> Finding:
    what = "freshness"
    late, never = [], []
    for lag in lags(systems.warehouse):
        if lag.shop_read_at is None or lag.unierp_read_at is None:
            never.append(lag.entity)
        elif datetime.now(UTC) - min(lag.shop_read_at, lag.unierp_read_at) > _STALE:
            late.append(lag.entity)
    if never:
        return Finding(what, ADVICE, f"not read from both sides yet: {', '.join(never)}", "run `unierp sync`")
    if late:
        found = f"not read for more than {_STALE}: {', '.join(late)}"
        return Finding(what, ADVICE, found, "run `unierp sync`, or see in Dagster whether the sensors run")
    return Finding(what, GOOD, f"every entity was read from both sides within {_STALE}")


def _lags(systems: Systems) -> Finding:
    found = behind(lags(systems.warehouse))
    if not found:
        return Finding("lags", GOOD, "every row that was read went through all steps")
    told = ", ".join(f"{lag.entity} ({lag.waiting:,})" for lag in found)
    return Finding("lags", ADVICE, f"rows that wait for a step: {told}", "run `unierp sync`; if it fails, it says why")


def _unsettled(systems: Systems) -> Finding:
    what = "orders and money"
    found = unsettled(systems.warehouse)
    if not found:
        return Finding(what, GOOD, "no order waits, and all money that came in is booked")
    return Finding(what, ADVICE, " ".join(found.sentences()), "`unierp status` shows which, and why")


def _waiting(systems: Systems) -> Finding:
    what = "what waits for people"
    conflicts, letters = open_conflicts(systems.warehouse).height, dead_letters(systems.warehouse).height
    if not conflicts and not letters:
        return Finding(what, GOOD, "no conflict, no dead letter")
    remedy = "decide with `unierp conflicts`; mend the cause, then `unierp dead-letters replay`"
    return Finding(what, ADVICE, f"conflicts: {conflicts:,}; dead letters: {letters:,}", remedy)


def _quarantine(systems: Systems) -> Finding:
    rows = quarantined(systems.warehouse).filter(pl.col("outcome") == "quarantine").select("entity", "key").unique()
    if rows.is_empty():
        return Finding("quarantine", GOOD, "empty")
    told = ", ".join(f"{name} ({n:,})" for name, n in rows.group_by("entity").len().sort("entity").iter_rows())
    return Finding("quarantine", ADVICE, f"rows: {told}", "`unierp quarantine` says what to mend in the shop")


def _open_alerts(systems: Systems) -> Finding:
    found = open_alerts(systems.warehouse, settings=systems.settings)
    if not found:
        return Finding("open alerts", GOOD, "none")
    return Finding("open alerts", ADVICE, "; ".join(alert.title for alert in found), "`unierp status` shows since when")


def _addresses(systems: Systems) -> Finding:
    what = "addresses of alerts"
    if systems.settings.alert_urls is None:
        return Finding(what, ADVICE, "none: nobody is told of an outage", "set UNIERP_ALERT_URLS")
    found, not_understood = addresses(systems.settings.alert_urls.get_secret_value())
    if not_understood:
        return Finding(
            what, BAD, f"{not_understood} of UNIERP_ALERT_URLS cannot be understood", "write them as apprise does"
        )
    return Finding(what, GOOD, ", ".join(address.where for address in found))


def _storefront(systems: Systems) -> Finding:
    systems.storefront.check()
    orders = systems.storefront.count("orders")
    return Finding("storefront", GOOD, f"the contract is met; {orders:,} orders")


def _login(session: OdooSession) -> Finding:
    session.login_now()
    company = session.company()
    return Finding(
        "UniERP", GOOD, f"{session.server}, version {session.version}, {company['name']} in {company['currency']}"
    )


def _apps(session: OdooSession) -> Finding:
    for entity in ENTITIES.values():
        for field in entity.read_back:
            if field.odoo:
                session.features.require_field(entity.model, session.features.resolve(entity.model, field.odoo))
    return Finding("apps of UniERP", GOOD, "every model and field the sync needs is there")


def _currency(session: OdooSession) -> Finding:
    what = "currency of the books"
    company = session.company()
    if company["currency"] == COMPANY_CURRENCY:
        return Finding(what, GOOD, f"{COMPANY_CURRENCY}, as the rates of the storefront contract")
    return Finding(
        what,
        BAD,
        f"{company['name']} keeps its books in {company['currency']}, the shop's rates are for {COMPANY_CURRENCY}",
        f"give an integration user whose company keeps its books in {COMPANY_CURRENCY}",
    )


def _rounding(session: OdooSession) -> Finding:
    what = "rounding of taxes"
    company = session.call("res.company", "read", [session.company()["id"]], ["tax_calculation_rounding_method"])[0]
    if company["tax_calculation_rounding_method"] == "round_per_line":
        return Finding(what, GOOD, "per line, as the storefront rounds")
    return Finding(
        what,
        ADVICE,
        "UniERP rounds taxes once per document, the storefront per line: orders that differ by a cent are held",
        "set Accounting, Settings, Taxes, Rounding Method to 'Round per Line'",
    )


def _discounts(session: OdooSession) -> Finding:
    what = "digits of discounts"
    # Asked of the field: the table of precisions itself is for administrators alone.
    described = session.call("sale.order.line", "fields_get", ["discount"], ["digits"])
    digits = described["discount"]["digits"][1]
    if digits >= _DISCOUNT_DIGITS:
        return Finding(what, GOOD, f"{digits} digits")
    return Finding(
        what,
        ADVICE,
        f"{digits} digits: discounts on large lines may differ by a cent, and their orders be held",
        f"set Settings, Technical, Decimal Accuracy, Discount to {_DISCOUNT_DIGITS} digits",
    )


def _user(session: OdooSession) -> Finding:
    administrator = session.login == "admin"
    if administrator:
        return Finding(
            "API key",
            ADVICE,
            "the administrator's login is used",
            "outside the lab, make an integration user with an API key and set UNIERP_ODOO_LOGIN and "
            "UNIERP_ODOO_PASSWORD to them",
        )
    return Finding("API key", GOOD, f"login {session.login}")
