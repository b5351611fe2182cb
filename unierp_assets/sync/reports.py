"""The reporting tables, made by SQL inside the warehouse: sales, and how far the shop and UniERP agree.

Belongs here: when a row counts as equal on both sides, and the statements that fill ``reporting``. What the columns
mean is said by their comments in :mod:`unierp_assets.warehouse.tables`. Does not belong here: reading either system.

The comparison is the engine's (:mod:`unierp_assets.sync.compare.merge`): numbers and booleans that are not there are
zero and false, because Odoo cannot leave them empty, and a reference to a merged duplicate is one to the row it was
merged into.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import KEY, Entity, Field, Kind, Role, Withdrawal
from unierp_assets.storefront.contract import COMPANY_CURRENCY
from unierp_assets.sync.memory.state import HELD, UNDONE, WITHHELD
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import (
    ACCEPTED,
    BASE,
    LANDING_UNIERP,
    MERGED,
    MERGES,
    ORDER_RECONCILIATION,
    PENDING,
    QUARANTINE,
    QUARANTINED,
    RECONCILIATION_SUMMARY,
    SALES_DAILY,
    SEQ,
    STAGING,
    STATUS,
    STOCK_RECONCILIATION,
    WITHDRAWN,
)

MATCHED, MISSING, SURPLUS, DIFFERING = "matched", "missing", "surplus", "differing"
WHOLE_RECORD: Final = ""
"""Stands for the field where a whole record is missing or too much."""
_PERCENT_DIGITS: Final = Decimal("0.0001")

Expression = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How far the shop and UniERP agree.

    ``differences``: rows that are missing, surplus or differing. ``accuracy``: matched rows in percent of all compared
    ones, cut off after four digits; 0 when nothing was ever compared. ``by_entity``: the rows of
    ``reporting.reconciliation_summary`` in the order of loading.
    """

    differences: int
    accuracy: Decimal
    by_entity: pl.DataFrame


def rebuild_reports(warehouse: Warehouse, run_id: str, time_zone: str = "UTC") -> dict[str, int]:
    """Makes those reports anew whose inputs changed; returns their names and how many rows each has now.

    They change at once or not at all: who reads them meanwhile sees the former rows. ``run_id`` is noted as the author.
    ``time_zone`` says of which day an order is.
    """
    rebuilt: dict[str, int] = {}
    with warehouse.transaction() as tx:
        stale = _stale(tx)
        tx.read(sa.select(sa.func.set_config("unierp.time_zone", time_zone, True, type_=sa.Text)))
        if judged := [entity for report in stale for entity in report.judges]:
            _judge(tx, set(judged))
        for report in stale:
            rebuilt |= report.rebuild(tx)
        if stale:
            former = RECONCILIATION_SUMMARY.c.entity.not_in([*ENTITIES])
            tx.execute(sa.delete(RECONCILIATION_SUMMARY).where(former))
            tx.set_cursors({f"{_CURSOR}{report.name}": f"{inputs} {run_id}" for report, inputs in stale.items()})
    return rebuilt


def reports_are_current(warehouse: Warehouse) -> bool:
    """Whether every report was made of what its inputs are now."""
    with warehouse.transaction() as tx:
        return not _stale(tx)


def reconciliation(warehouse: Warehouse, entities: Collection[str] | None = None) -> Reconciliation:
    """How far the shop and UniERP agreed when the reports were last rebuilt; for some entities, or all of them."""
    by_entity = warehouse.read(sa.select(RECONCILIATION_SUMMARY).order_by(RECONCILIATION_SUMMARY.c.position))
    if entities is not None:
        by_entity = by_entity.filter(pl.col("entity").is_in(list(entities)))
    sums = {name: int(by_entity[name].sum()) for name in (MATCHED, MISSING, SURPLUS, DIFFERING)}
    differences = sums[MISSING] + sums[SURPLUS] + sums[DIFFERING]
    compared = sums[MATCHED] + differences
    accuracy = Decimal(100) * sums[MATCHED] / compared if compared else Decimal(100 if by_entity.height else 0)
    return Reconciliation(differences, accuracy.quantize(_PERCENT_DIGITS, ROUND_DOWN), by_entity)


def reconciliation_differences(warehouse: Warehouse, entity: str | None = None, limit: int = 100) -> pl.DataFrame:
    """What a person can act on, at most ``limit`` rows: one for each field that differs and each record that is missing
    or too much, in the order of loading.

    Columns ``entity``, ``key``, ``field`` (empty for a whole record), ``shop``, ``unierp`` (the values as text) and
    ``reason``. Values may be personal data. Reads the staged rows, so it holds for this moment.
    """
    chosen = [ENTITIES[entity]] if entity else list(ENTITIES.values())
    found: list[pl.DataFrame] = []
    with warehouse.transaction() as tx:
        for each in chosen:
            room = limit - sum(frame.height for frame in found)
            if room <= 0:
                break
            found.append(tx.read(_Comparison(each).differences().limit(room)))
    return pl.concat(found)


# When rows are equal


def _survivors(entity: str) -> sa.CTE:
    """An entity's merged duplicates and the row that stands for each at the end of the chain: ``key``, ``into_key``."""
    merges = sa.select(MERGES.c.key, MERGES.c.into_key).where(MERGES.c.entity == entity).cte(f"merges_of_{entity}")
    further, later = merges.alias(), merges.alias()
    chain = sa.select(merges.c.key, merges.c.into_key).cte(f"chain_of_{entity}", recursive=True)
    # UNION, not UNION ALL: rows merged in a circle end the recursion instead of the disk.
    chain = chain.union(sa.select(chain.c.key, further.c.into_key).join(further, further.c.key == chain.c.into_key))
    last = ~sa.exists().where(later.c.key == chain.c.into_key)
    return sa.select(chain).where(last).cte(f"survivors_of_{entity}")


class _Comparison:
    """An entity's staged rows (``shop``) beside UniERP's (``unierp``), and what each pair comes to."""

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        landing = LANDING_UNIERP[entity.name]
        self.shop = STAGING[entity.name].alias("shop")
        self.unierp = sa.select(landing).where(~landing.c._deleted).subquery("unierp")
        self.pending = PENDING.alias("pending")
        self.survivors = {name: _survivors(name) for name in sorted({entity.name, *self._targets()})}
        self.rows: sa.FromClause = self.shop.join(self.unierp, self.shop.c.key == self.unierp.c.key, full=True)
        of_entity = self.pending.c.entity == entity.name
        self._join(self.pending, sa.and_(of_entity, self.pending.c.key == self.shop.c.key))
        self.base = BASE[entity.name].alias("base")
        self._join(self.base, self.base.c.key == self.shop.c.key)
        self.differs = {field.name: self._needed(field, self._differs(field)) for field in entity.compared}
        accepted = self.shop.c[STATUS] == ACCEPTED
        held = sa.func.coalesce(self.pending.c.state.in_([HELD, UNDONE, WITHHELD]), False)
        self.both = accepted & ~held & self.unierp.c.key.is_not(None)
        self.missing = accepted & ~held & self.unierp.c.key.is_(None)
        self.surplus = self._surplus()
        # A duplicate stands or falls with the row it was merged into, which is looked at apart.
        self.verdict = sa.case(
            (self.shop.c[STATUS] == QUARANTINED, QUARANTINED),
            (self.shop.c[STATUS] == MERGED, MERGED),
            (accepted & held, HELD),
            (self.missing, MISSING),
            (self.both & sa.or_(*self.differs.values()), DIFFERING),
            (self.both, MATCHED),
            (self.surplus, SURPLUS),
        )

    def _targets(self) -> set[str]:
        return {field.target for field in self.entity.compared if field.target}

    def _join(self, other: sa.FromClause, match: Condition) -> None:
        self.rows = self.rows.outerjoin(other, match)

    def _differs(self, field: Field) -> Condition:
        shop, unierp = self.shop.c[field.name], self.unierp.c[field.name]
        match field.kind:
            case Kind.DECIMAL | Kind.INTEGER:
                return sa.func.coalesce(shop, 0) != sa.func.coalesce(unierp, 0)
            case Kind.BOOLEAN:
                return sa.func.coalesce(shop, False) != sa.func.coalesce(unierp, False)
            case Kind.REFERENCE if field.target:
                return self._survivor(field.target, shop).is_distinct_from(self._survivor(field.target, unierp))
            case Kind.REFERENCES if field.target:
                # Only unequal sets are taken apart, which costs a search each.
                differ = self._set(field.target, shop).is_distinct_from(self._set(field.target, unierp))
                return sa.case((shop.is_not_distinct_from(unierp), False), else_=differ)
        if field.gives_way and field.role is Role.SYNC:
            # What a person added where the shop never had anything is no difference: nothing would be written.
            return shop.is_distinct_from(unierp) & ~(shop.is_(None) & self.base.c[field.name].is_(None))
        return shop.is_distinct_from(unierp)

    def _needed(self, field: Field, differs: Condition) -> Condition:
        """Values that are needed only while a record is on sale, say, are not compared while it is not."""
        if field.only_while is None:
            return differs
        holds = [sa.func.coalesce(side.c[field.only_while], False) for side in (self.shop, self.unierp)]
        return sa.and_(*holds, differs)

    def _survivor(self, target: str, key: Expression) -> Expression:
        survivor = self.survivors[target].alias()
        self._join(survivor, survivor.c.key == key)
        return sa.func.coalesce(survivor.c.into_key, key)

    def _set(self, target: str, keys: Expression) -> Expression:
        """The text of a set of keys, duplicates replaced by the rows that stand for them."""
        part = sa.func.unnest(sa.func.string_to_array(keys, ",")).table_valued(KEY, name="part").render_derived()
        survivor = self.survivors[target].alias()
        into = sa.func.coalesce(survivor.c.into_key, part.c.key)
        text = sa.func.string_agg(sa.distinct(into), aggregate_order_by(sa.literal_column("','"), into))
        return sa.select(text).select_from(part.outerjoin(survivor, survivor.c.key == part.c.key)).scalar_subquery()

    def _surplus(self) -> Condition:
        """A record of UniERP that should have gone with its row: what is kept or archived is none."""
        gone = self.unierp.c.key.is_not(None) & (self.shop.c.key.is_(None) | (self.shop.c[STATUS] == WITHDRAWN))
        match self.entity.withdrawal:
            case Withdrawal.DELETE:
                return gone
            case Withdrawal.ARCHIVE if "active" in self.unierp.c:
                return gone & self.unierp.c.active
            case Withdrawal.ZERO:
                return gone & (self.unierp.c.quantity != 0)
        return sa.false()

    def verdicts(self) -> sa.Select[Any]:
        """One row per staged row that passed the gate or failed it, and per surplus record: entity, key, what the pair
        comes to, and the names of the fields that differ."""
        names = [sa.case((differs, name)) for name, differs in self.differs.items()]
        fields = sa.case((self.both, sa.func.nullif(sa.func.concat_ws(", ", *names), "")))
        key = sa.func.coalesce(self.shop.c.key, self.unierp.c.key)
        return (
            sa.select(sa.literal(self.entity.name), key, self.verdict, fields)
            .select_from(self.rows)
            .where(self.verdict.is_not(None))
        )

    def differences(self) -> sa.Select[Any]:
        """One row per field that differs and per record that is missing or too much, with the reason."""
        rows = self.rows
        parts = [
            self._difference(
                rows,
                self.both & differs,
                field=name,
                shop=_text(self.entity[name], self.shop.c[name]),
                unierp=_text(self.entity[name], self.unierp.c[name]),
                reason=self._reason(self.entity[name], self.base),
            )
            for name, differs in self.differs.items()
        ]
        parts += [
            self._difference(rows, self.missing, reason=sa.literal("it is not in UniERP")),
            self._difference(
                rows, self._merged_into_nothing(), reason=sa.literal("the row it was merged into is not there")
            ),
            self._difference(rows, self.surplus, reason=sa.literal("it is in UniERP, but gone from the shop")),
        ]
        found = sa.union_all(*parts).subquery("found")
        return sa.select(found).order_by(sa.func.length(found.c.key), found.c.key, found.c.field)

    def _difference(
        self,
        rows: sa.FromClause,
        condition: Condition,
        *,
        reason: Expression,
        field: str = WHOLE_RECORD,
        shop: Expression | None = None,
        unierp: Expression | None = None,
    ) -> sa.Select[Any]:
        nothing = sa.cast(sa.null(), sa.Text)
        return (
            sa.select(
                sa.literal(self.entity.name).label("entity"),
                sa.func.coalesce(self.shop.c.key, self.unierp.c.key).label(KEY),
                sa.literal(field).label("field"),
                (nothing if shop is None else shop).label("shop"),
                (nothing if unierp is None else unierp).label("unierp"),
                sa.func.coalesce(self.pending.c.reason, reason).label("reason"),
            )
            .select_from(rows)
            .where(condition)
        )

    def _reason(self, field: Field, base: sa.FromClause) -> Expression:
        if field.role is Role.VERIFY:
            return sa.literal("UniERP computes another value")
        agreed = base.c[field.name]
        return sa.case(
            (base.c.key.is_(None), "the two never agreed on it"),
            (agreed.is_not_distinct_from(self.shop.c[field.name]), "it was changed in UniERP"),
            (agreed.is_not_distinct_from(self.unierp.c[field.name]), "it was changed in the shop"),
            else_="both changed it",
        )

    def _merged_into_nothing(self) -> Condition:
        staged = STAGING[self.entity.name].alias("into_row")
        survivor = self.survivors[self.entity.name].alias()
        there = sa.exists().where(
            survivor.c.key == self.shop.c.key,
            staged.c.key == survivor.c.into_key,
            staged.c[STATUS].in_([ACCEPTED, QUARANTINED]),
        )
        return (self.shop.c[STATUS] == MERGED) & ~there


def _text(field: Field, value: Expression) -> Expression:
    """A value as plans, conflicts and the ledger show it."""
    if field.kind is Kind.TIMESTAMP:
        return sa.func.to_char(sa.func.timezone("UTC", value), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    return sa.cast(value, sa.Text)


# What every pair of rows comes to, for the length of one rebuild

_VERDICTS: Final = sa.Table(
    "verdicts",
    sa.MetaData(),
    sa.Column("entity", sa.Text),
    sa.Column(KEY, sa.Text),
    sa.Column("verdict", sa.Text),
    sa.Column("fields", sa.Text),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)


def _judge(tx: Transaction, entities: Collection[str]) -> None:
    """Fills the verdicts of these entities."""
    tx.execute(sa.schema.CreateTable(_VERDICTS))
    for name in entities:
        rows = _Comparison(ENTITIES[name]).verdicts()
        tx.execute(sa.insert(_VERDICTS).from_select([column.name for column in _VERDICTS.columns], rows))
    merged = sa.select(_VERDICTS.c.entity).where(_VERDICTS.c.verdict == MERGED).distinct()
    for name in tx.read(merged)["entity"]:
        _judge_duplicates(tx, name)


def _judge_duplicates(tx: Transaction, entity: str) -> None:
    """Lets an entity's merged duplicates share the verdict of the row they were merged into, but count no difference
    twice."""
    duplicate, into, survivors = _VERDICTS.alias("duplicate"), _VERDICTS.alias("into_row"), _survivors(entity)
    stands = sa.and_(
        into.c.entity == entity, into.c.key == survivors.c.into_key, into.c.verdict.not_in([MERGED, SURPLUS])
    )
    verdict = sa.case(
        (into.c.verdict.is_(None), MISSING), (into.c.verdict.in_([HELD, QUARANTINED]), HELD), else_=MATCHED
    )
    shared = (
        sa.select(duplicate.c.key, verdict.label("verdict"))
        .select_from(duplicate.outerjoin(survivors, survivors.c.key == duplicate.c.key).outerjoin(into, stands))
        .where(duplicate.c.entity == entity, duplicate.c.verdict == MERGED)
        .subquery("shared")
    )
    tx.execute(
        sa.update(_VERDICTS)
        .where(_VERDICTS.c.entity == entity, _VERDICTS.c.key == shared.c.key)
        .values(verdict=shared.c.verdict)
    )


def _summarise(tx: Transaction, position: int, entity: Entity) -> dict[str, int]:
    tx.execute(sa.delete(RECONCILIATION_SUMMARY).where(RECONCILIATION_SUMMARY.c.entity == entity.name))
    tx.execute(sa.insert(RECONCILIATION_SUMMARY).from_select(*_summary(position, entity)))
    return {"reconciliation_summary": len(ENTITIES)}


def _summary(position: int, entity: Entity) -> tuple[list[str], sa.Select[Any]]:
    landing = LANDING_UNIERP[entity.name]

    def number(*verdicts: str) -> Expression:
        return sa.func.count().filter(_VERDICTS.c.verdict.in_(verdicts))

    compared = number(MATCHED, MISSING, SURPLUS, DIFFERING)
    accuracy = sa.func.trunc(sa.cast(number(MATCHED) * 100, sa.Numeric) / sa.func.nullif(compared, 0), 4)
    columns: dict[str, Expression] = {
        "entity": sa.literal(entity.name),
        "position": sa.literal(position),
        "domain": sa.literal(entity.domain),
        "shop_count": number(MATCHED, MISSING, DIFFERING, HELD),
        "unierp_count": sa.select(sa.func.count()).where(~landing.c._deleted).scalar_subquery(),
        **{verdict: number(verdict) for verdict in (MATCHED, MISSING, SURPLUS, DIFFERING, HELD, QUARANTINED)},
        "accuracy_percent": sa.func.coalesce(accuracy, 100),
    }
    return list(columns), sa.select(*columns.values()).where(_VERDICTS.c.entity == entity.name)


# The reports that are SQL as an analyst would write it

_SALES_DAILY: Final = sa.text("""
WITH sold AS (
    SELECT
        CAST(ordered_at AT TIME ZONE current_setting('unierp.time_zone') AS date) AS day,
        coalesce(channel, 'unknown') AS channel,
        currency,
        total AS gross,
        coalesce(discount_total, 0) AS discount,
        coalesce(tax_total, 0) AS tax,
        coalesce(shipping_total, 0) AS shipping
    FROM staging.orders
    WHERE _status = 'accepted' AND state = 'confirmed'
),
-- Once for each day and currency, not for each order.
rates AS MATERIALIZED (
    SELECT
        wanted.day, wanted.currency,
        CASE WHEN wanted.currency = :company_currency THEN 1 ELSE latest.rate END AS rate
    FROM (SELECT DISTINCT day, currency FROM sold) AS wanted
    LEFT JOIN LATERAL (
        SELECT known.rate FROM staging.currency_rates AS known
        WHERE known._status = 'accepted' AND known.currency = wanted.currency AND known.day <= wanted.day
        ORDER BY known.day DESC LIMIT 1
    ) AS latest ON true
),
converted AS (
    SELECT
        sold.*,
        round(gross / rate, 2) AS gross_company,
        round(discount / rate, 2) AS discount_company,
        round(tax / rate, 2) AS tax_company,
        round(shipping / rate, 2) AS shipping_company
    FROM sold JOIN rates USING (day, currency)
)
INSERT INTO reporting.sales_daily (
    day, channel, currency, orders, gross, discount, tax, net, shipping,
    company_currency, gross_company, discount_company, tax_company, net_company, shipping_company
)
SELECT
    day, channel, currency, count(*), sum(gross), sum(discount), sum(tax), sum(gross - tax), sum(shipping),
    :company_currency,
    -- A sum that leaves out the orders without a rate would pass for the whole: rather none.
    CASE WHEN count(*) = count(gross_company) THEN sum(gross_company) END,
    CASE WHEN count(*) = count(gross_company) THEN sum(discount_company) END,
    CASE WHEN count(*) = count(gross_company) THEN sum(tax_company) END,
    CASE WHEN count(*) = count(gross_company) THEN sum(gross_company - tax_company) END,
    CASE WHEN count(*) = count(gross_company) THEN sum(shipping_company) END
FROM converted
GROUP BY day, channel, currency
""")

_STOCK_RECONCILIATION: Final = sa.text("""
INSERT INTO reporting.stock_reconciliation (
    variant, location, sku, location_name, shop_available, unierp_available, difference
)
SELECT
    level.variant, level.location, variant.sku, location.name,
    level.available, unierp.available, level.available - unierp.available
FROM staging.stock_levels AS level
LEFT JOIN staging.variants AS variant ON variant.key = level.variant
LEFT JOIN staging.locations AS location ON location.key = level.location
LEFT JOIN landing_unierp.stock_levels AS unierp ON unierp.key = level.key AND NOT unierp._deleted
WHERE level._status = 'accepted'
""")

_ORDER_RECONCILIATION: Final = sa.text("""
WITH documents AS (
    SELECT key AS of_order, 0 AS place, '' AS called, 'orders' AS entity, key, _status FROM staging.orders
    UNION ALL
    SELECT "order", 1, 'line ' || key || ' ', 'order_lines', key, _status FROM staging.order_lines
    UNION ALL
    SELECT "order", 2, 'shipment ' || key || ' ', 'shipments', key, _status FROM staging.shipments
    UNION ALL
    SELECT "order", 3, 'invoice ' || key || ' ', 'invoices', key, _status FROM staging.invoices
    UNION ALL
    SELECT "order", 4, 'payment ' || key || ' ', 'payments', key, _status FROM staging.payments
),
causes AS (
    SELECT of_order, place, called, key, 'quarantined' AS cause, coalesce(message, 'fails the rule ' || rule) AS said
    FROM documents JOIN quarantine.rows USING (entity, key)
    WHERE _status = 'quarantined' AND outcome = 'quarantine'
    UNION ALL
    SELECT of_order, place, called, key, CASE WHEN state IN ('held', 'undone') THEN 'held' ELSE 'unequal' END, reason
    FROM documents JOIN sync.pending USING (entity, key)
    WHERE _status = 'accepted'
    UNION ALL
    SELECT of_order, place, called, key, 'unequal', CASE verdict
        WHEN 'differing' THEN 'differs in ' || fields
        WHEN 'missing' THEN 'is not in UniERP'
        ELSE 'is in UniERP, but gone from the shop'
    END
    FROM documents JOIN verdicts USING (entity, key)
    WHERE verdict IN ('differing', 'missing', 'surplus')
),
reasons AS (
    -- What is wrong with the order itself comes before what follows from it for its documents.
    SELECT of_order, cause, coalesce(
        string_agg(said, '; ' ORDER BY said) FILTER (WHERE place = 0),
        string_agg(called || said, '; ' ORDER BY place, length(key), key, said)
    ) AS reason
    FROM causes GROUP BY of_order, cause
),
due AS (
    SELECT "order" AS of_order, sum(total) AS amount FROM staging.invoices WHERE _status = 'accepted' GROUP BY "order"
),
invoiced AS (
    SELECT staged."order" AS of_order, sum(unierp.total) AS amount, sum(unierp.residual) AS residual
    FROM staging.invoices AS staged JOIN landing_unierp.invoices AS unierp USING (key)
    WHERE NOT unierp._deleted AND unierp.state = 'posted' AND staged._status = 'accepted'
    GROUP BY staged."order"
),
captured AS (
    SELECT "order" AS of_order, sum(amount) AS amount
    FROM staging.payments WHERE _status <> 'withdrawn' GROUP BY "order"
),
paid AS (
    SELECT staged."order" AS of_order, sum(unierp.amount) AS amount
    FROM staging.payments AS staged JOIN landing_unierp.payments AS unierp USING (key)
    WHERE NOT unierp._deleted AND unierp.state = 'posted'
    GROUP BY staged."order"
),
compared AS (
    SELECT
        shop.key, shop.number, shop.currency, shop.total AS shop_total,
        unierp.total AS unierp_total,
        coalesce(invoiced.amount, 0) AS invoiced,
        coalesce(captured.amount, 0) AS paid_shop,
        coalesce(paid.amount, 0) AS paid_unierp,
        shop.total - unierp.total AS difference,
        shop.state AS shop_state,
        CASE WHEN NOT unierp._deleted THEN unierp.state END AS unierp_state,
        shop._status = 'quarantined' AS failed,
        unierp._deleted AS gone,
        quarantined.reason AS quarantined,
        held.reason AS held,
        concat_ws('; ',
            CASE WHEN unierp.total <> shop.total
                THEN concat('total is ', unierp.total, ' in UniERP and ', shop.total, ' in the shop') END,
            CASE WHEN coalesce(invoiced.amount, 0) <> coalesce(due.amount, 0)
                THEN concat('invoiced are ', coalesce(invoiced.amount, 0), ' and due ', coalesce(due.amount, 0)) END,
            CASE WHEN coalesce(paid.amount, 0) <> coalesce(captured.amount, 0) THEN concat(
                'paid are ', coalesce(paid.amount, 0), ' in UniERP and ', coalesce(captured.amount, 0), ' in the shop'
            ) END,
            CASE WHEN invoiced.residual <> invoiced.amount - coalesce(paid.amount, 0) THEN concat(
                'its invoices have ', invoiced.residual, ' open where ', invoiced.amount - coalesce(paid.amount, 0),
                ' should be'
            ) END,
            unequal.reason
        ) AS unequal
    FROM staging.orders AS shop
    LEFT JOIN landing_unierp.orders AS unierp ON unierp.key = shop.key
    LEFT JOIN due ON due.of_order = shop.key
    LEFT JOIN invoiced ON invoiced.of_order = shop.key
    LEFT JOIN captured ON captured.of_order = shop.key
    LEFT JOIN paid ON paid.of_order = shop.key
    LEFT JOIN reasons AS quarantined ON quarantined.of_order = shop.key AND quarantined.cause = 'quarantined'
    LEFT JOIN reasons AS held ON held.of_order = shop.key AND held.cause = 'held'
    LEFT JOIN reasons AS unequal ON unequal.of_order = shop.key AND unequal.cause = 'unequal'
    WHERE shop._status IN ('accepted', 'quarantined')
),
judged AS (
    SELECT compared.*, CASE
        WHEN failed OR quarantined IS NOT NULL THEN 'quarantined'
        WHEN held IS NOT NULL THEN 'held'
        WHEN gone IS NULL THEN 'pending'
        WHEN gone THEN 'missing'
        WHEN unequal <> '' THEN 'differs'
        ELSE 'matched'
    END AS outcome
    FROM compared
)
INSERT INTO reporting.order_reconciliation (
    key, number, currency, shop_total, unierp_total, invoiced, paid_shop, paid_unierp, difference,
    shop_state, unierp_state, state, reason
)
SELECT
    key, number, currency, shop_total,
    CASE WHEN NOT gone THEN unierp_total END,
    invoiced, paid_shop, paid_unierp,
    CASE WHEN NOT gone THEN difference END,
    shop_state, unierp_state, outcome,
    CASE outcome WHEN 'quarantined' THEN quarantined WHEN 'held' THEN held WHEN 'matched' THEN NULL ELSE unequal END
FROM judged
""")


def _rebuild_sales(tx: Transaction) -> dict[str, int]:
    return {"sales_daily": _refill(tx, SALES_DAILY, _SALES_DAILY.bindparams(company_currency=COMPANY_CURRENCY))}


def _rebuild_stock(tx: Transaction) -> dict[str, int]:
    return {"stock_reconciliation": _refill(tx, STOCK_RECONCILIATION, _STOCK_RECONCILIATION)}


def _rebuild_orders(tx: Transaction) -> dict[str, int]:
    return {"order_reconciliation": _refill(tx, ORDER_RECONCILIATION, _ORDER_RECONCILIATION)}


def _refill(tx: Transaction, table: sa.Table, statement: sa.Executable) -> int:
    tx.execute(sa.delete(table))
    return tx.execute(statement)


# When a report is out of date


@dataclass(frozen=True, slots=True)
class _Report:
    """What is rebuilt together, and what it is made of: the tables ``inputs``, and of what is pending, merged and
    quarantined the rows of the entities in ``beside``. It needs the verdicts of the entities it ``judges``; ``way``
    tells what of their declarations goes into it."""

    name: str
    inputs: tuple[sa.Table, ...]
    rebuild: Callable[[Transaction], dict[str, int]]
    beside: frozenset[str] = frozenset()
    judges: tuple[str, ...] = ()
    way: str = ""


def _of_entities(
    name: str, entities: Sequence[Entity], rebuild: Callable[[Transaction], dict[str, int]], place: int = 0
) -> _Report:
    """A report that is made of the verdicts of these entities; ``place`` is where it stands among others like it."""
    targets = {field.target for entity in entities for field in entity.compared if field.target}
    names = tuple(entity.name for entity in entities)
    inputs = (*(STAGING[each] for each in names), *(LANDING_UNIERP[each] for each in names))
    declared = [
        (
            entity.domain,
            str(entity.withdrawal),
            [(field.name, str(field.kind), field.target) for field in entity.compared],
        )
        for entity in entities
    ]
    return _Report(name, inputs, rebuild, frozenset({*names, *targets}), names, f"{place} {declared}")


_REPORTS: Final = (
    _Report("sales", (STAGING["orders"], STAGING["currency_rates"]), _rebuild_sales),
    _Report(
        "stock",
        (STAGING["stock_levels"], STAGING["variants"], STAGING["locations"], LANDING_UNIERP["stock_levels"]),
        _rebuild_stock,
    ),
    _of_entities(
        "orders",
        [ENTITIES[name] for name in ("orders", "order_lines", "shipments", "invoices", "payments")],
        _rebuild_orders,
    ),
    *(
        _of_entities(
            f"reconciliation of {entity.name}", [entity], partial(_summarise, position=place, entity=entity), place
        )
        for place, entity in enumerate(ENTITIES.values(), start=1)
    ),
)

_CURSOR: Final = "report:"
"""What the names of the cursors begin with that remember what the reports were made of."""
_CHANGED_AT: Final = {PENDING: "since", MERGES: "merged_at", QUARANTINE: "first_seen_at"}
"""Column that tells the age of rows in tables that do not number their changes."""


def _stale(tx: Transaction) -> dict[_Report, str]:
    """The reports whose inputs are not what they were made of, each with a text that tells these inputs: it changes
    with them, and with the program that makes the report."""
    numbered = {table for report in _REPORTS for table in report.inputs}
    states = {
        (name, entity): (newest, rows)
        for name, entity, newest, rows in tx.read(
            sa.union_all(*map(_state_of_numbered, numbered), *map(_states_beside, _CHANGED_AT))
        ).iter_rows()
    }
    known = tx.cursors(_CURSOR)
    stale = {}
    for report in _REPORTS:
        names = {table.fullname for table in report.inputs}
        made_of = sorted(
            (where, state) for where, state in states.items() if where[0] in names or where[1] in report.beside
        )
        inputs = hashlib.sha256(_PROGRAM + repr((report.way, made_of)).encode()).hexdigest()
        if known.get(f"{_CURSOR}{report.name}", "").split(" ")[0] != inputs:
            stale[report] = inputs
    return stale


def _state_of_numbered(table: sa.Table) -> sa.Select[Any]:
    # The number of rows says nothing more: such rows are flagged, not deleted.
    return sa.select(
        sa.literal(table.fullname).label("name"),
        sa.literal("").label("entity"),
        sa.func.coalesce(sa.cast(sa.func.max(table.c[SEQ]), sa.Text), "").label("newest"),
        sa.literal(0).label("rows"),
    ).select_from(table)


def _states_beside(table: sa.Table) -> sa.Select[Any]:
    return (
        sa.select(
            sa.literal(table.fullname).label("name"),
            table.c.entity,
            sa.cast(sa.func.max(table.c[_CHANGED_AT[table]]), sa.Text).label("newest"),
            sa.func.count().label("rows"),
        )
        .select_from(table)
        .group_by(table.c.entity)
    )


_PROGRAM: Final = Path(__file__).read_bytes()
"""This module: a report made by another version of it is out of date."""
