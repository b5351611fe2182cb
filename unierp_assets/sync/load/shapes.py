"""How the products in UniERP come to differ as the shop's variants do: by which attributes, and which variant has what.

A record that stands for a variant stays that record, whatever the shop does to attributes. Here it is decided what each
product and each of its records needs; how Odoo is brought to it is in :mod:`unierp_assets.odoo.configuration`.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import OdooError, search_read, values
from unierp_assets.odoo.configuration import Configuration, Variant, configurations, exchange, offer, reconfigure
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.memory.state import any_of, bound_ids
from unierp_assets.warehouse.tables import ACCEPTED, BINDINGS, STAGING, WITHDRAWN


@dataclass(slots=True)
class Shape:
    """One product: what UniERP has (``known``), by which attributes its variants are to differ (``attributes``), the
    values each variant of the shop is to have (``wanted``, by key) and which record stands for it (``bound``). ``ours``
    are the attributes the shop knows.

    ``refused`` has, by key, why a variant cannot have what the shop says; ``error`` what the server said to it all.
    """

    known: Configuration
    ours: frozenset[int] = frozenset()
    attributes: frozenset[int] = frozenset()
    wanted: dict[str, frozenset[int]] = field(default_factory=dict)
    bound: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    error: OdooError | None = None

    @property
    def foreign(self) -> dict[int, frozenset[int]]:
        """What people added to the product in UniERP: attributes the shop does not know, with their values."""
        return {
            attribute: line.values
            for attribute, line in self.known.lines.items()
            if line.active and attribute not in self.ours
        }

    def places(self, wanted: Collection[int], id_: int | None = None) -> frozenset[int]:
        """Odoo's records of these values on the product, with those of the foreign attributes: the record's own, or the
        only one there is."""
        foreign = self.foreign
        own = self.known.variants[id_].values if id_ else frozenset()
        more = {
            value for listed in foreign.values() for value in (own & listed or (listed if len(listed) == 1 else ()))
        }
        return frozenset(self.known.places[value] for value in {*wanted, *more})

    def holder(self, places: Collection[int]) -> Variant | None:
        """The active variant that has these places now."""
        return next((each for each in self.known.variants.values() if each.active and each.places == places), None)


class Shapes:
    """The shapes of some products, read at once and then settled."""

    def __init__(self, context: SyncContext, products: Mapping[str, int]) -> None:
        self.context = context
        self.products = dict(products)
        self.attribute_of: dict[int, int] = {}
        self._read()

    def _read(self) -> None:
        """What the shop says of these products' variants and what UniERP has."""
        staged = STAGING["variants"]
        with self.context.warehouse.transaction() as tx:
            rows = tx.read(
                sa.select(staged.c.key, staged.c.product, staged.c.attribute_values, staged.c.active, staged.c._status)
                .where(any_of(staged.c.product, list(self.products)), staged.c._status != WITHDRAWN)
                .order_by(sa.func.length(staged.c.key), staged.c.key)
            )
            named = rows["attribute_values"].drop_nulls().str.split(",").explode().unique().to_list()
            ids = bound_ids(tx, "attribute_values", named)
            bound = bound_ids(tx, "variants", rows[KEY].to_list())
            attributes = tx.read(sa.select(BINDINGS.c.odoo_id).where(BINDINGS.c.entity == "attributes"))
        ours = frozenset(attributes["odoo_id"].to_list())
        known = configurations(self.context.session, set(self.products.values()))
        used = {*ids.values(), *(value for each in known.values() for value in each.places)}
        self.attribute_of = {
            row["id"]: values.ref(row["attribute_id"]) or 0
            for row in search_read(
                self.context.session, "product.attribute.value", [("id", "in", sorted(used))], ["attribute_id"]
            )
        }
        self.shapes = {product: Shape(known[template], ours) for product, template in self.products.items()}
        on_sale: dict[str, Counter[frozenset[int]]] = {product: Counter() for product in self.products}
        off_sale: dict[str, Counter[frozenset[int]]] = {product: Counter() for product in self.products}
        for row in rows.iter_rows(named=True):
            shape = self.shapes[row["product"]]
            if row[KEY] in bound:
                shape.bound[row[KEY]] = bound[row[KEY]]
            keys = row["attribute_values"].split(",") if row["attribute_values"] else []
            if all(key in ids for key in keys):
                shape.wanted[row[KEY]] = frozenset(ids[key] for key in keys)
                if row["_status"] == ACCEPTED:
                    counted = on_sale if row["active"] else off_sale
                    counted[row["product"]][self._attributes(shape.wanted[row[KEY]])] += 1
        for product, shape in self.shapes.items():
            shape.attributes = self._agreed(shape, on_sale[product] or off_sale[product])

    def _attributes(self, wanted: Collection[int]) -> frozenset[int]:
        return frozenset(self.attribute_of[value] for value in wanted if value in self.attribute_of)

    def _agreed(self, shape: Shape, counted: Counter[frozenset[int]]) -> frozenset[int]:
        """By which attributes a product's variants are to differ: what all of the shop's say that are on sale, or all
        where none is. Where they do not agree the product stays as it is, or, where UniERP has no variant yet, follows
        the most of them."""
        now = shape.known.attributes & shape.ours
        if not counted:
            return now
        if len(counted) > 1 and shape.bound:
            return now
        return max(counted, key=lambda each: (counted[each], len(each)))

    def settle(self, keys: Collection[str]) -> dict[str, Shape]:
        """Brings the products of these variants to their shapes; the shape of each variant, by key."""
        of = {key: shape for shape in self.shapes.values() for key in shape.wanted if key in set(keys)}
        offered: dict[int, dict[int, set[int]]] = {}
        for shape in {id(each): each for each in of.values()}.values():
            self._look_over(shape)
            missing = {
                value
                for key, wanted in shape.wanted.items()
                if key not in shape.refused
                for value in wanted
                if not self._offers(shape, value)
            }
            for value in missing:
                offered.setdefault(shape.known.template, {}).setdefault(self.attribute_of[value], set()).add(value)
        if offered:
            self._offer(offered)
        for shape in {id(each): each for each in of.values()}.values():
            if shape.error is None:
                try:
                    self._fit(shape)
                except OdooError as error:
                    shape.error = error
        return of

    def _offers(self, shape: Shape, value: int) -> bool:
        line = shape.known.lines.get(self.attribute_of[value])
        return value in shape.known.places and line is not None and value in line.values

    def _look_over(self, shape: Shape) -> None:
        """Finds what cannot have the values it should have."""
        for key, wanted in shape.wanted.items():
            if self._attributes(wanted) != shape.attributes or len(wanted) != len(shape.attributes):
                shape.refused[key] = (
                    f"it differs by {self._names(self._attributes(wanted))}, its product's other variants by "
                    f"{self._names(shape.attributes)}: give all variants of the product the same attributes in the shop"
                )

    def _names(self, attributes: Collection[int]) -> str:
        rows = search_read(self.context.session, "product.attribute", [("id", "in", sorted(attributes))], ["name"])
        return ", ".join(sorted(row["name"] for row in rows)) or "no attribute"

    def _offer(self, offered: Mapping[int, Mapping[int, Collection[int]]]) -> None:
        by_template = {shape.known.template: shape for shape in self.shapes.values()}
        known = {template: shape.known for template, shape in by_template.items()}
        try:
            offer(self.context.session, offered, known)
        except OdooError:
            # One by one: a product that Odoo refuses holds up no other.
            for template, wanted in offered.items():
                try:
                    offer(self.context.session, {template: wanted}, known)
                except OdooError as error:
                    by_template[template].error = error
        for template, found in configurations(self.context.session, offered).items():
            by_template[template].known = found

    def _fit(self, shape: Shape) -> None:
        """Has the records that are there differ as they should."""
        wanted = {
            id_: shape.wanted[key]
            for key, id_ in shape.bound.items()
            if key in shape.wanted and key not in shape.refused and id_ in shape.known.variants
        }
        if shape.known.attributes & shape.ours != shape.attributes:
            self._change_attributes(shape, wanted)
        else:
            self._change_values(shape, wanted)

    def _change_attributes(self, shape: Shape, wanted: dict[int, frozenset[int]]) -> None:
        attributes = shape.attributes | frozenset(shape.foreign)
        combinations = {id_: shape.places(values_, id_) for id_, values_ in wanted.items()}
        active = {places for id_, places in combinations.items() if shape.known.variants[id_].active}
        usual = Counter(value for values_ in wanted.values() for value in values_)
        for id_, variant in shape.known.variants.items():
            if id_ in combinations:
                continue
            # What the shop says nothing of gets the value most of the others have, as Odoo itself would do it.
            filled = frozenset(
                next(
                    (value for value in variant.values if self.attribute_of.get(value) == attribute),
                    max(
                        (value for value in usual if self.attribute_of[value] == attribute),
                        key=lambda value: (usual[value], -value),
                    ),
                )
                for attribute in shape.attributes
            )
            combinations[id_] = shape.places(filled, id_)
            if variant.active and combinations[id_] in active:
                named = variant.code or f"record {id_}"
                reason = (
                    f"UniERP's variant {named} of this product, which the shop does not have, would be the same: "
                    "archive it in UniERP, or give it values of its own there"
                )
                shape.refused |= dict.fromkeys(shape.wanted, reason)
                return
            if variant.active:
                active.add(combinations[id_])
        reconfigure(self.context.session, shape.known, attributes, combinations)
        shape.known = configurations(self.context.session, [shape.known.template])[shape.known.template]

    def _change_values(self, shape: Shape, wanted: dict[int, frozenset[int]]) -> None:
        variants = shape.known.variants
        changed = {id_: shape.places(values_, id_) for id_, values_ in wanted.items()}
        changed = {id_: places for id_, places in changed.items() if places != variants[id_].places}
        keys = {id_: key for key, id_ in shape.bound.items()}
        while True:
            staying = {each.places: each.id for each in variants.values() if each.active and each.id not in changed}
            blocked = {id_ for id_, places in changed.items() if variants[id_].active and places in staying}
            if not blocked:
                break
            for id_ in blocked:
                other = variants[staying[changed.pop(id_)]]
                shape.refused[keys[id_]] = taken(keys.get(other.id), other.code or f"record {other.id}")
        if changed:
            exchange(self.context.session, shape.known, changed)
            shape.known = configurations(self.context.session, [shape.known.template])[shape.known.template]


def taken(key: str | None, name: str) -> str:
    """Why a variant cannot have its attribute values."""
    whose = f"variant {key} ({name})" if key else f"variant {name} of UniERP, which the shop does not have"
    return f"its attribute values are still those of {whose}"
