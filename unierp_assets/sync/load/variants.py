"""What variants need beyond the ordinary way of loading: their configuration, and codes that change places."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from unierp_assets.entities.spec import KEY, Field
from unierp_assets.odoo import bind, load, raise_first, search_read
from unierp_assets.sync.compare.merge import TO_UNIERP
from unierp_assets.sync.load.applier import Applier, Result, held
from unierp_assets.sync.load.barcodes import exchange_barcodes, free_barcodes, give_up_barcodes
from unierp_assets.sync.load.codec import external_name
from unierp_assets.sync.load.shapes import Shape, Shapes, taken
from unierp_assets.sync.memory.state import FAILED, bound_keys

VALUES = "attribute_values"


class Variants(Applier):
    """Variants: created for their configuration, or found where Odoo made them with their product."""

    @property
    def loaded_fields(self) -> list[Field]:
        return [field for field in super().loaded_fields if field.name != VALUES]

    def create(self) -> list[Result]:
        rows = self.plan.creates
        templates = self.plan.ids["products"]
        products = {key: templates[key] for key in rows["product"].unique().to_list()}
        shapes = Shapes(self.context, products).settle(rows[KEY].to_list())
        results: list[Result] = []
        places: dict[str, list[int]] = {}
        adopted: dict[str, int] = {}
        with self.context.warehouse.transaction() as tx:
            ids = [id_ for shape in shapes.values() for id_ in shape.known.variants]
            owners = bound_keys(tx, self.entity.name, ids)
        for row in rows.iter_rows(named=True):
            refusal = self._refusal(row, shapes.get(row[KEY]), owners)
            if refusal:
                results.append(refusal)
                continue
            shape = shapes[row[KEY]]
            combination = shape.places(shape.wanted[row[KEY]])
            twin = shape.holder(combination) if row["active"] else None
            if twin:
                adopted[row[KEY]] = twin.id
            else:
                places[row[KEY]] = sorted(combination)
        names = [self.codec.column(field) for field in self.loaded_fields]
        cells = {
            row[KEY]: [self.codec.cell(field, row[field.name], self.plan.ids) for field in self.loaded_fields]
            for row in rows.iter_rows(named=True)
        }
        free_barcodes(
            self.context, rows.filter(pl.col(KEY).is_in([*places, *adopted]))["barcode"].drop_nulls().to_list()
        )
        results += self._adopt(adopted, names, cells)
        made = [row for row in rows.select(KEY, "product").iter_rows(named=True) if row[KEY] in places]
        if not made:
            return results
        outcomes = load(
            self.session,
            self.entity.model,
            ["id", "product_tmpl_id/.id", "product_template_attribute_value_ids/.id", *names],
            [
                [
                    self.external_id(row[KEY]),
                    templates[row["product"]],
                    ",".join(map(str, places[row[KEY]])),
                    *cells[row[KEY]],
                ]
                for row in made
            ],
            keys=[row[KEY] for row in made],
            batch=self.context.batch,
        )
        return results + [Result.of(outcome.key, outcome) for outcome in outcomes]

    def _refusal(self, row: dict[str, Any], shape: Shape | None, owners: Mapping[int, str]) -> Result | None:
        """Why a new variant cannot be there yet."""
        key = row[KEY]
        if shape is None:
            return held(key, "waits for its attribute values, which are not in UniERP yet")
        if shape.error:
            return Result(key, state=FAILED, reason=str(shape.error), error=shape.error)
        if key in shape.refused:
            return held(key, shape.refused[key])
        if several := [attribute for attribute, listed in shape.foreign.items() if len(listed) > 1]:
            rows = search_read(self.session, "product.attribute", [("id", "in", several)], ["name"])
            named = ", ".join(row["name"] for row in rows)
            return held(key, f"in UniERP its product also differs by {named}: take that off there, or make it here")
        if not row["active"]:
            return None
        combination = shape.places(shape.wanted[key])
        twin = shape.holder(combination)
        if twin and twin.id in owners:
            return held(key, taken(owners[twin.id], twin.code or f"record {twin.id}"))
        if twin and twin.code and twin.code != row["sku"]:
            return held(key, taken(None, twin.code))
        return None

    def _adopt(self, adopted: dict[str, int], names: list[str], cells: dict[str, list[Any]]) -> list[Result]:
        """Gives the variants that Odoo made with their product our values, and only then their external ids.

        The other way round a run that ended in between would leave a variant that is known and empty: its emptiness
        would be taken for a change made in UniERP and written to the shop.
        """
        if not adopted:
            return []
        outcomes = load(
            self.session,
            self.entity.model,
            [".id", *names],
            [[id_, *cells[key]] for key, id_ in adopted.items()],
            keys=list(adopted),
            batch=self.context.batch,
        )
        filled = {external_name(self.entity.name, each.key): adopted[each.key] for each in outcomes if each.ok}
        raise_first(bind(self.session, self.context.namespace, self.entity.model, filled))
        return [Result.of(outcome.key, outcome) for outcome in outcomes]

    def update(self) -> list[Result]:
        rows = self.plan.updates
        refused = self._reconfigure(rows.filter(pl.col(TO_UNIERP).list.contains(VALUES)))
        rows = rows.filter(~pl.col(KEY).is_in(list(refused)))
        recoded = rows.filter(pl.col(TO_UNIERP).list.contains("barcode"))
        exchanged = exchange_barcodes(
            self.context, dict(recoded.select(KEY, "barcode").iter_rows()), self.ids_of(recoded[KEY].to_list())
        )
        failed = {
            key: Result(key, state=FAILED, reason=str(error), error=error) for key, error in exchanged.items() if error
        }
        rows = rows.filter(~pl.col(KEY).is_in(list(failed)))
        done = pl.col(KEY).is_in(list(exchanged))
        return [
            *refused.values(),
            *failed.values(),
            *self.write(rows.filter(~done), leave_out=(VALUES,)),
            *self.write(rows.filter(done), leave_out=(VALUES, "barcode")),
        ]

    def withdraw(self) -> list[Result]:
        """Archives what the shop has no more; its barcodes are free for other articles then."""
        give_up_barcodes(self.context, list(self.ids_of(self.plan.withdrawn[KEY].to_list()).values()))
        return super().withdraw()

    def _reconfigure(self, rows: pl.DataFrame) -> dict[str, Result]:
        """Gives variants other attribute values; what became of those that could not have them."""
        keys = rows[KEY].to_list()
        if not keys:
            return {}
        found, ids, waiting = self.staged(keys, "product", "products")
        shapes = Shapes(self.context, ids).settle(found[KEY].to_list())
        refused = {result.key: result for result in waiting}
        for key, shape in shapes.items():
            if shape.error:
                refused[key] = Result(key, shape.bound.get(key), FAILED, str(shape.error), shape.error)
            elif key in shape.refused:
                refused[key] = held(key, shape.refused[key], shape.bound.get(key))
        return refused
