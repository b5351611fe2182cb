"""Attribute lines of products and the values of their variants, changed so that every record stays what it is.

Whenever Odoo changes an attribute line it makes, wakes, archives or deletes variants until they fit the lines. Nothing
of that is wanted where the variants are known: here lines are prepared while they are archived, and lines and variants
change in one transaction, after which no variant is left for Odoo to mend. What a product should offer is for the
callers to decide.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unierp_assets.odoo.loading import load_in_order
from unierp_assets.odoo.outcomes import raise_first
from unierp_assets.odoo.records import create, search_read, write_changed
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import ref, text

LINE, PLACE, VARIANT = "product.template.attribute.line", "product.template.attribute.value", "product.product"
QUIET = {"create_product_product": False, "update_product_template_attribute_values": False}
"""Keeps Odoo from fitting the variants to what is written. Releases that know only one of the two fit them all the same
where a line is created: hence a line is archived until the variants have its values. Archived records must stay out of
Odoo's sight there (no ``active_test``), or an archived line counts and no variant fits."""


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute of a product; ``values`` are what it offers."""

    id: int
    active: bool
    values: frozenset[int]


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant. ``values`` are those of its attributes, ``places`` Odoo's records of these on the product."""

    id: int
    active: bool
    values: frozenset[int]
    places: frozenset[int]
    code: str | None
    barcode: str | None


@dataclass(slots=True)
class Configuration:
    """What a product offers and what its variants have, archived ones too. ``lines`` by attribute, of those by which
    variants differ; ``places`` are Odoo's records of values on this product, by value."""

    template: int
    lines: dict[int, Line] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    variants: dict[int, Variant] = field(default_factory=dict)

    @property
    def attributes(self) -> frozenset[int]:
        """The attributes by which the product's variants differ now."""
        return frozenset(attribute for attribute, line in self.lines.items() if line.active)


def configurations(session: OdooSession, templates: Collection[int]) -> dict[int, Configuration]:
    """The configurations of products, by id of the template."""
    wanted = sorted(templates)
    found = {template: Configuration(template) for template in wanted}
    mine = [("product_tmpl_id", "in", wanted)]
    never = {
        row["id"]
        for row in search_read(session, "product.attribute", [("create_variant", "=", "no_variant")], ["name"])
    }
    fields = ["product_tmpl_id", "attribute_id", "active", "value_ids"]
    for row in search_read(session, LINE, mine, fields, archived=True):
        attribute, lines = ref(row["attribute_id"]) or 0, found[ref(row["product_tmpl_id"]) or 0].lines
        known = lines.get(attribute)
        if attribute not in never and not (known and known.active):
            lines[attribute] = Line(row["id"], row["active"], frozenset(row["value_ids"]))
    line_of = {line.id: each.template for each in found.values() for line in each.lines.values()}
    value_of: dict[int, int] = {}
    fields = ["product_tmpl_id", "attribute_line_id", "product_attribute_value_id"]
    for row in search_read(session, PLACE, mine, fields):
        value_of[row["id"]] = ref(row["product_attribute_value_id"]) or 0
        template = line_of.get(ref(row["attribute_line_id"]) or 0)
        if template:
            found[template].places[value_of[row["id"]]] = row["id"]
    fields = ["product_tmpl_id", "active", "product_template_attribute_value_ids", "default_code", "barcode"]
    for row in search_read(session, VARIANT, mine, fields, archived=True):
        places = frozenset(row["product_template_attribute_value_ids"])
        found[ref(row["product_tmpl_id"]) or 0].variants[row["id"]] = Variant(
            row["id"],
            row["active"],
            frozenset(value_of[place] for place in places if place in value_of),
            places,
            text(row["default_code"]),
            text(row["barcode"]),
        )
    return found


def offer(
    session: OdooSession, wanted: Mapping[int, Mapping[int, Collection[int]]], known: Mapping[int, Configuration]
) -> None:
    """Has products offer values: ``wanted`` has them by template and attribute. A line that is new to a product stays
    archived until :func:`reconfigure`, unless the product has no variant yet. May be repeated."""
    added: dict[int, dict[str, Any]] = {}
    for template, by_attribute in wanted.items():
        for attribute, values in by_attribute.items():
            line = known[template].lines.get(attribute)
            if line is None:
                _add_line(session, known[template], attribute, values)
            elif missing := sorted(set(values) - line.values):
                added[line.id] = {"value_ids": [(4, value) for value in missing]}
    raise_first(write_changed(session, LINE, added, context=QUIET))
    mine = [("product_tmpl_id", "in", sorted(wanted))]
    rows = [*search_read(session, LINE, mine, ["product_tmpl_id", "attribute_id", "value_ids"], archived=True)]
    places = search_read(
        session,
        PLACE,
        [("attribute_line_id", "in", [row["id"] for row in rows])],
        ["attribute_line_id", "product_attribute_value_id", "ptav_active"],
    )
    there = {(ref(row["attribute_line_id"]), ref(row["product_attribute_value_id"])): row for row in places}
    fresh, asleep = [], {}
    for row in rows:
        values = wanted[ref(row["product_tmpl_id"]) or 0].get(ref(row["attribute_id"]) or 0, ())
        for value in sorted(set(values) & set(row["value_ids"])):
            place = there.get((row["id"], value))
            if place is None:
                fresh.append({"product_attribute_value_id": value, "attribute_line_id": row["id"]})
            elif not place["ptav_active"]:
                asleep[place["id"]] = {"ptav_active": True}
    raise_first(write_changed(session, PLACE, asleep, context=QUIET))
    raise_first(create(session, PLACE, fresh, context=QUIET))


def _add_line(session: OdooSession, known: Configuration, attribute: int, values: Collection[int]) -> None:
    line = {"attribute_id": attribute, "value_ids": [(6, 0, sorted(values))], "active": not known.variants}
    _write_templates(
        session, attribute, (known.template, {"attribute_line_ids": [(0, 0, line)]}), _asleep(known.variants.values())
    )


def reconfigure(
    session: OdooSession,
    known: Configuration,
    attributes: Collection[int],
    combinations: Mapping[int, Collection[int]],
) -> None:
    """Has the variants of a product differ by these attributes, whose lines were prepared by :func:`offer`.

    ``combinations`` has the places of every variant of the product, archived ones too. One transaction: a variant that
    is archived stays so, and none is made.
    """
    lines = [
        (1, line.id, {"active": attribute in attributes})
        for attribute, line in sorted(known.lines.items())
        if line.active != (attribute in attributes)
    ]
    variants = [
        (1, id_, {"product_template_attribute_value_ids": [(6, 0, sorted(places))]})
        for id_, places in combinations.items()
        if frozenset(places) != known.variants[id_].places
    ]
    values = {"product_variant_ids": variants, "attribute_line_ids": lines}
    through = min({*attributes, *known.lines})
    _write_templates(session, through, (known.template, values), _asleep(known.variants.values()))


def exchange(session: OdooSession, known: Configuration, combinations: Mapping[int, Collection[int]]) -> None:
    """Gives variants of a product other values of the same attributes, in one transaction, also where they change
    places. The caller has seen to it that no two active variants end with the same values."""
    now = {id_: each.places for id_, each in known.variants.items() if each.active}
    rows = [
        (id_, ",".join(map(str, sorted(places))))
        for id_, places in ordered({id_: frozenset(places) for id_, places in combinations.items()}, now, frozenset())
    ]
    load_in_order(session, VARIANT, [".id", "product_template_attribute_value_ids/.id"], rows)


def ordered(wanted: Mapping[int, Any], now: Mapping[int, Any], empty: Any) -> list[tuple[int, Any]]:
    """Steps (record, value) that bring records to values that no two of them may have at a time; where they change
    places in a ring, one of them is ``empty`` meanwhile.

    >>> ordered({1: "a", 2: "b"}, {1: "b", 2: "a"}, None)
    [(1, None), (2, 'b'), (1, 'a')]
    >>> ordered({1: "b", 2: "c"}, {1: "a", 2: "b"}, None)
    [(2, 'c'), (1, 'b')]
    """
    held = dict(now)
    waiting = dict(wanted)
    steps: list[tuple[int, Any]] = []
    while waiting:
        taken = {value: id_ for id_, value in held.items() if id_ in waiting and value != empty}
        free = [id_ for id_, value in waiting.items() if taken.get(value, id_) == id_]
        for id_ in free:
            held[id_] = waiting.pop(id_)
            steps.append((id_, held[id_]))
        if not free:
            first = next(iter(waiting))
            held[first] = empty
            steps.append((first, empty))
    return steps


def _asleep(variants: Iterable[Variant]) -> dict[str, Any]:
    """What has archived variants stay so: Odoo wakes those that fit."""
    return {"product_variant_ids": [(1, each.id, {"active": False}) for each in variants if not each.active]}


def _write_templates(
    session: OdooSession, attribute: int, change: tuple[int, Mapping[str, Any]], then: Mapping[str, Any]
) -> None:
    """Writes two things to a product, one after the other, in one transaction: through one of its attributes, whose
    list of products is not changed by that."""
    template, values = change
    commands = [(1, template, dict(values)), (1, template, dict(then))]
    session.step("product.attribute", "write", [attribute], {"product_tmpl_ids": commands}, context=QUIET)
