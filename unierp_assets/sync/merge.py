"""The three-way comparison of base, ours and theirs, field by field. Pure functions on polars frames.

*Ours* is the storefront's staged row, *theirs* UniERP's row as last read, *base* what both last agreed on. How the
frames are read belongs to :mod:`unierp_assets.sync.plan`, how the result is written to :mod:`unierp_assets.sync.apply`.
"""

from dataclasses import dataclass

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Kind, System, Withdrawal

TO_UNIERP = "_to_unierp"
"""Column with the names of the fields to write to UniERP."""
TO_STOREFRONT = "_to_storefront"
"""Column with the names of the fields to write to the storefront."""

OURS, THEIRS, BASE = "__ours", "__theirs", "__base"

CONFLICTS = pl.Schema(
    {
        KEY: pl.String(),
        "field": pl.String(),
        "base": pl.String(),
        "ours": pl.String(),
        "theirs": pl.String(),
        "strategy": pl.String(),
        "outcome": pl.String(),
    }
)
DISPUTES = pl.Schema({KEY: pl.String(), "field": pl.String(), "ours": pl.String(), "theirs": pl.String()})


@dataclass(frozen=True, slots=True)
class Merged:
    """What the comparison of some rows came to.

    ``creates``: whole rows of ours that UniERP has not. ``updates``: key, the merged value of every synced field, and
    the columns :data:`TO_UNIERP` and :data:`TO_STOREFRONT`. ``former``: key and theirs of the same rows, for what is
    shown and remembered. ``withdrawn``: keys the storefront no longer has but UniERP does. ``agreed``: key and synced
    fields of the rows for which nothing is to be written, but of which the base does not know yet. ``disputed``: what
    UniERP computed differently (key, field, ours, theirs). ``conflicts``: fields both sides changed.
    """

    creates: pl.DataFrame
    updates: pl.DataFrame
    former: pl.DataFrame
    withdrawn: pl.DataFrame
    agreed: pl.DataFrame
    disputed: pl.DataFrame
    conflicts: pl.DataFrame


def normalised(entity: Entity, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the values Odoo cannot leave empty filled in: numbers as zero, booleans as false."""
    fills = [
        pl.col(field.name).fill_null(False if field.kind is Kind.BOOLEAN else 0)
        for field in entity.fields
        if field.name in frame.columns and field.kind in (Kind.BOOLEAN, Kind.DECIMAL, Kind.INTEGER)
    ]
    return frame.with_columns(fills)


def merge(
    entity: Entity, ours: pl.DataFrame, theirs: pl.DataFrame, base: pl.DataFrame, withdrawn: pl.DataFrame
) -> Merged:
    """Compares rows by key.

    ``ours``: key and all fields of the entity. ``theirs``: key and the compared fields. ``base``: key and the synced
    fields. ``withdrawn``: keys that are gone from the storefront. No frame may hold a key twice.

    A field that only one side changed since the base takes that side's value; changed alike, both agree; changed
    differently, the field's strategy decides and the conflict is recorded. A value that wins over a system to which the
    field does not flow is kept where it is: the base then remembers the loser, so that the next comparison sees one
    change, not two. A field of the storefront that does not flow there is put right in UniERP.
    """
    ours, theirs = normalised(entity, ours), normalised(entity, theirs)
    synced = [field.name for field in entity.synced]
    creates = ours.join(theirs.select(KEY), on=KEY, how="anti")
    both = _side_by_side(entity, ours, theirs, base)
    decided = both.with_columns(
        expression.alias(f"{field.name}__{name}")
        for field in entity.synced
        for name, expression in _decision(field).items()
    )
    conflicts = [_conflicts(decided, field) for field in entity.synced]
    decided = decided.with_columns(
        _names_where(entity, "to_unierp").alias(TO_UNIERP),
        _names_where(entity, "to_storefront").alias(TO_STOREFRONT),
    )
    idle = (pl.col(TO_UNIERP).list.len() == 0) & (pl.col(TO_STOREFRONT).list.len() == 0)
    values = [pl.col(f"{name}__value").alias(name) for name in synced]
    unknown = ~pl.col(f"has{BASE}")
    for name in synced:
        unknown = unknown | pl.col(f"{name}__value").ne_missing(pl.col(f"{name}{BASE}"))
    updates = decided.filter(~idle)
    return Merged(
        creates=creates,
        updates=updates.select(KEY, *values, TO_UNIERP, TO_STOREFRONT),
        former=updates.select(KEY, *(pl.col(f"{name}{THEIRS}").alias(name) for name in synced)),
        withdrawn=_withdrawn(entity, theirs, withdrawn),
        agreed=decided.filter(idle & unknown).select(KEY, *(pl.col(f"{n}__value").alias(n) for n in synced)),
        disputed=_disputed(entity, ours, theirs),
        conflicts=pl.concat([pl.DataFrame(schema=CONFLICTS), *conflicts]),
    )


def _side_by_side(entity: Entity, ours: pl.DataFrame, theirs: pl.DataFrame, base: pl.DataFrame) -> pl.DataFrame:
    names = [field.name for field in entity.synced]

    def side(frame: pl.DataFrame, suffix: str) -> pl.DataFrame:
        return frame.select(KEY, *(pl.col(name).alias(f"{name}{suffix}") for name in names))

    known = side(normalised(entity, base), BASE).with_columns(pl.lit(True).alias(f"has{BASE}"))
    return (
        side(ours, OURS)
        .join(side(theirs, THEIRS), on=KEY, how="inner")
        .join(known, on=KEY, how="left")
        .with_columns(pl.col(f"has{BASE}").fill_null(False))
    )


def _decision(field: Field) -> dict[str, pl.Expr]:
    ours, theirs, base = (pl.col(f"{field.name}{side}") for side in (OURS, THEIRS, BASE))
    differs = ours.ne_missing(theirs)
    ours_changed = ~pl.col(f"has{BASE}") | ours.ne_missing(base)
    theirs_changed = ~pl.col(f"has{BASE}") | theirs.ne_missing(base)
    both_changed = differs & ours_changed & theirs_changed
    # Without a base nobody knows who changed what: the owner decides, but that is no conflict to report.
    conflict = both_changed & pl.col(f"has{BASE}") & pl.lit(System.UNIERP in field.flows_to)
    owner_is_unierp = pl.lit(field.owner is System.UNIERP)
    theirs_win = differs & ((theirs_changed & ~ours_changed) | (both_changed & owner_is_unierp))
    if System.UNIERP not in field.flows_to:
        theirs_win = differs
    elif System.STOREFRONT not in field.flows_to and field.owner is System.STOREFRONT:
        theirs_win = pl.lit(False)
    flows_back = pl.lit(System.STOREFRONT in field.flows_to)
    kept = theirs_win & ~flows_back
    return {
        "conflict": conflict,
        "theirs_win": theirs_win,
        "to_unierp": differs & ~theirs_win,
        "to_storefront": theirs_win & flows_back,
        "value": pl.when(theirs_win & ~kept).then(theirs).otherwise(ours),
    }


def _names_where(entity: Entity, decision: str) -> pl.Expr:
    names = [
        pl.when(pl.col(f"{field.name}__{decision}")).then(pl.lit(field.name)).otherwise(None) for field in entity.synced
    ]
    return pl.concat_list(names).list.drop_nulls()


def _conflicts(decided: pl.DataFrame, field: Field) -> pl.DataFrame:
    rows = decided.filter(pl.col(f"{field.name}__conflict"))
    return rows.select(
        KEY,
        field=pl.lit(field.name),
        base=as_text(field, pl.col(f"{field.name}{BASE}")),
        ours=as_text(field, pl.col(f"{field.name}{OURS}")),
        theirs=as_text(field, pl.col(f"{field.name}{THEIRS}")),
        strategy=pl.lit(field.strategy),
        outcome=pl.when(pl.col(f"{field.name}__theirs_win")).then(pl.lit("theirs")).otherwise(pl.lit("ours")),
    )


def _withdrawn(entity: Entity, theirs: pl.DataFrame, withdrawn: pl.DataFrame) -> pl.DataFrame:
    gone = theirs.join(withdrawn.select(KEY), on=KEY, how="semi")
    if entity.withdrawal is Withdrawal.KEEP:
        gone = gone.clear()
    elif "active" in gone.columns:
        gone = gone.filter(pl.col("active"))
    return gone.select(KEY)


def _disputed(entity: Entity, ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    both = ours.join(theirs, on=KEY, suffix=THEIRS)
    found = [pl.DataFrame(schema=DISPUTES)]
    for field in entity.compared:
        if field in entity.synced:
            continue
        rows = both.filter(pl.col(field.name).ne_missing(pl.col(f"{field.name}{THEIRS}")))
        found.append(
            rows.select(
                KEY,
                field=pl.lit(field.name),
                ours=as_text(field, pl.col(field.name)),
                theirs=as_text(field, pl.col(f"{field.name}{THEIRS}")),
            )
        )
    return pl.concat(found)


def as_text(field: Field, value: pl.Expr) -> pl.Expr:
    """The canonical text of a value, as plans, conflicts and the ledger show it."""
    if field.kind is Kind.TIMESTAMP:
        return value.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.cast(pl.String)
