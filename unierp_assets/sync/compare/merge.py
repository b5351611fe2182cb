"""The three-way comparison of base, ours and theirs, field by field. Pure functions on polars frames.

*Ours* is the storefront's staged row, *theirs* UniERP's row as last read, *base* what both last agreed on. How the
frames are read belongs to :mod:`unierp_assets.sync.compare.plan`, how the result is written to
:mod:`unierp_assets.sync.load.apply`.
"""

from dataclasses import dataclass

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Kind, Strategy, System, Withdrawal

TO_UNIERP = "_to_unierp"
"""Column with the names of the fields to write to UniERP."""
TO_STOREFRONT = "_to_storefront"
"""Column with the names of the fields to write to the storefront."""

CHANGED_AT = "_changed_at"
"""Column of ours and theirs with the instant the side's row last changed; what the strategy `latest` looks at."""

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
DECISIONS = pl.Schema(
    {
        KEY: pl.String(),
        "field": pl.String(),
        "ours": pl.String(),
        "theirs": pl.String(),
        "take": pl.String(),
        "value": pl.String(),
    }
)
"""What a person decided about a conflict: ``take`` is `ours`, `theirs` or `value`; it holds while both sides stand as
they stood when it was made."""
DISPUTES = pl.Schema({KEY: pl.String(), "field": pl.String(), "ours": pl.String(), "theirs": pl.String()})


@dataclass(frozen=True, slots=True)
class Merged:
    """What the comparison of some rows came to.

    ``creates``: whole rows of ours that UniERP has not. ``updates``: key, the merged value of every synced field, and
    the columns :data:`TO_UNIERP` and :data:`TO_STOREFRONT`. ``former``: key and theirs of the same rows, for what is
    shown and remembered. ``withdrawn``: keys the storefront no longer has but UniERP does. ``agreed``: key and synced
    fields of the rows for which nothing is to be written, but of which the base does not know yet. ``disputed``: what
    UniERP computed differently (key, field, ours, theirs). ``conflicts``: fields both sides changed; those without an
    outcome wait for a person, and their rows are in none of the other frames.
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
    entity: Entity,
    ours: pl.DataFrame,
    theirs: pl.DataFrame,
    base: pl.DataFrame,
    withdrawn: pl.DataFrame,
    decisions: pl.DataFrame | None = None,
) -> Merged:
    """Compares rows by key.

    ``ours``: key and all fields of the entity. ``theirs``: key and the compared fields. Both may carry
    :data:`CHANGED_AT`. ``base``: key and the synced fields. ``withdrawn``: keys that are gone from the storefront.
    ``decisions``: rows of :data:`DECISIONS`. No frame may hold a key (decisions: a key and field) twice.

    A field that only one side changed since the base takes that side's value; changed alike, both agree; changed
    differently, the field's strategy decides and the conflict is recorded. A value that wins over a system to which the
    field does not flow is kept where it is: the base then remembers the loser, so that the next comparison sees one
    change, not two. A field of the storefront that does not flow there is put right in UniERP. What a record needs only
    while it is on sale (``only_while``) is left alone on both sides while it is not.
    """
    ours, theirs = normalised(entity, ours), normalised(entity, theirs)
    synced = [field.name for field in entity.synced]
    creates = needed(entity, ours.join(theirs.select(KEY), on=KEY, how="anti").drop(CHANGED_AT, strict=False))
    both = _side_by_side(entity, ours, theirs, base)
    both = _with_decisions(entity, both, pl.DataFrame(schema=DECISIONS) if decisions is None else decisions)
    decided = both.with_columns(
        expression.alias(f"{field.name}__{name}")
        for field in entity.synced
        for name, expression in _decision(field).items()
    )
    decided = decided.with_columns(
        expression.alias(f"{field.name}__{name}")
        for field in entity.synced
        if field.only_while
        for name, expression in _decision_while(field, field.only_while).items()
    )
    conflicts = pl.concat([pl.DataFrame(schema=CONFLICTS), *(_conflicts(decided, field) for field in entity.synced)])
    decided = decided.filter(~pl.any_horizontal(pl.col(f"{name}__undecided") for name in synced)).with_columns(
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
        former=updates.select(KEY, *(pl.col(f"{name}{side}") for name in synced for side in (OURS, THEIRS))),
        withdrawn=_withdrawn(entity, theirs, withdrawn),
        agreed=decided.filter(idle & unknown).select(KEY, *(pl.col(f"{n}__value").alias(n) for n in synced)),
        disputed=_disputed(entity, ours, theirs),
        conflicts=conflicts,
    )


def needed(entity: Entity, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame without the values its records need only while something is true that is not."""
    return frame.with_columns(
        pl.when(pl.col(field.only_while)).then(pl.col(field.name)).alias(field.name)
        for field in entity.fields
        if field.only_while and field.name in frame.columns
    )


def _side_by_side(entity: Entity, ours: pl.DataFrame, theirs: pl.DataFrame, base: pl.DataFrame) -> pl.DataFrame:
    names = [field.name for field in entity.synced]
    never = pl.lit(None, pl.Datetime("us", "UTC"))

    def side(frame: pl.DataFrame, suffix: str) -> pl.DataFrame:
        changed = pl.col(CHANGED_AT) if CHANGED_AT in frame.columns else never
        return frame.select(
            KEY, changed.alias(f"at{suffix}"), *(pl.col(name).alias(f"{name}{suffix}") for name in names)
        )

    known = side(needed(entity, normalised(entity, base)), BASE).with_columns(pl.lit(True).alias(f"has{BASE}"))
    return (
        side(ours, OURS)
        .join(side(theirs, THEIRS), on=KEY, how="inner")
        .join(known, on=KEY, how="left")
        .with_columns(pl.col(f"has{BASE}").fill_null(False))
    )


def _with_decisions(entity: Entity, both: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Adds, per field that a person decides, what was decided of the values as they stand."""
    for field in entity.synced:
        if field.strategy is not Strategy.MANUAL:
            continue
        made = decisions.filter(pl.col("field") == field.name).drop("field")
        made = made.select(KEY, *(pl.col(name).alias(f"{field.name}__decided_{name}") for name in made.columns[1:]))
        stands = pl.lit(True)
        for name, side in (("ours", OURS), ("theirs", THEIRS)):
            now = as_text(field, pl.col(f"{field.name}{side}"))
            stands = stands & now.eq_missing(pl.col(f"{field.name}__decided_{name}"))
        both = both.join(made, on=KEY, how="left").with_columns(
            pl.when(stands).then(pl.col(f"{field.name}__decided_take")).alias(f"{field.name}__take")
        )
    return both


def _decision(field: Field) -> dict[str, pl.Expr]:
    ours, theirs, base = (pl.col(f"{field.name}{side}") for side in (OURS, THEIRS, BASE))
    known = pl.col(f"has{BASE}")
    there, back = System.UNIERP in field.flows_to, System.STOREFRONT in field.flows_to
    differs = ours.ne_missing(theirs)
    ours_changed = ~known | ours.ne_missing(base)
    theirs_changed = ~known | theirs.ne_missing(base)
    # An empty value of the shop takes nothing away, unless the shop had one before.
    silent = ours.is_null() & base.is_null() & pl.lit(field.gives_way)
    both_changed = differs & ours_changed & theirs_changed
    # Without a base nobody knows who changed what: the owner decides, but that is no conflict to report.
    conflict = both_changed & known & pl.lit(there)
    owner_wins = pl.lit(field.owner is System.UNIERP)
    undecided = pl.lit(False)
    if not there:
        theirs_win = differs
    elif not back and field.owner is System.STOREFRONT:
        theirs_win = silent
    else:
        preferred = owner_wins
        if field.strategy is Strategy.LATEST:
            later = pl.col(f"at{THEIRS}") > pl.col(f"at{OURS}")
            preferred = pl.when(known & later.is_not_null()).then(later).otherwise(owner_wins)
        theirs_win = differs & (silent | (theirs_changed & ~ours_changed) | (both_changed & preferred))
    value = pl.when(theirs_win).then(theirs).otherwise(ours)
    outcome = pl.when(theirs_win).then(pl.lit("theirs")).otherwise(pl.lit("ours"))
    if field.strategy is Strategy.UNION:
        value = pl.when(known).then(_union(ours, theirs, base)).otherwise(value)
        outcome = pl.lit("both")
    if field.strategy is Strategy.MANUAL:
        take = pl.col(f"{field.name}__take")
        undecided = conflict & take.is_null()
        chosen = from_text(field, pl.col(f"{field.name}__decided_value"))
        decided = pl.when(take == "ours").then(ours).when(take == "theirs").then(theirs).otherwise(chosen)
        value = pl.when(conflict & take.is_not_null()).then(decided).otherwise(value)
        outcome = pl.when(conflict).then(take).otherwise(outcome)
    # What cannot flow back is kept where it is: the base then remembers the other side.
    kept = value.ne_missing(ours) & pl.lit(not back)
    return {
        "conflict": conflict,
        "undecided": undecided,
        "outcome": outcome,
        "to_unierp": value.ne_missing(theirs) & pl.lit(there),
        "to_storefront": value.ne_missing(ours) & pl.lit(back),
        "value": pl.when(kept).then(ours).otherwise(value),
    }


def _decision_while(field: Field, condition: str) -> dict[str, pl.Expr]:
    """The decision about a field whose value is needed only while the condition holds."""
    holds, ends = pl.col(f"{condition}__value"), pl.col(f"{condition}__to_unierp")
    given_up = ~holds & ends & pl.col(f"{field.name}{THEIRS}").is_not_null()
    return {
        "conflict": pl.col(f"{field.name}__conflict") & holds,
        "to_unierp": pl.when(holds).then(pl.col(f"{field.name}__to_unierp")).otherwise(given_up),
        "to_storefront": pl.col(f"{field.name}__to_storefront") & holds,
        "value": pl.when(holds).then(pl.col(f"{field.name}__value")),
    }


def _union(ours: pl.Expr, theirs: pl.Expr, base: pl.Expr) -> pl.Expr:
    """What either side added is kept, what either removed is gone."""
    mine, yours, before = (side.fill_null("").str.split(",") for side in (ours, theirs, base))
    removed = before.list.set_difference(mine).list.set_union(before.list.set_difference(yours))
    merged = mine.list.set_union(yours).list.set_difference(removed).list.sort().list.join(",").str.strip_chars(",")
    return pl.when(merged == "").then(None).otherwise(merged)


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
        strategy=pl.lit(field.strategy.value),
        outcome=pl.col(f"{field.name}__outcome"),
    )


def _withdrawn(entity: Entity, theirs: pl.DataFrame, withdrawn: pl.DataFrame) -> pl.DataFrame:
    gone = theirs.join(withdrawn.select(KEY), on=KEY, how="semi")
    if entity.withdrawal is Withdrawal.KEEP:
        gone = gone.clear()
    elif entity.withdrawal is Withdrawal.ZERO:
        gone = gone.filter(pl.col("quantity") != 0)
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


def from_text(field: Field, text: pl.Expr) -> pl.Expr:
    """The value a canonical text stands for; null where it stands for none."""
    match field.kind:
        case Kind.TIMESTAMP:
            return text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False)
        case Kind.BOOLEAN:
            return text.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
        case Kind.DATE:
            return text.str.to_date("%Y-%m-%d", strict=False)
        case _:
            return text.cast(field.dtype, strict=False)
