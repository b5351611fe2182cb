"""A merchant who changes the catalogue as chance has it, in the shop and in UniERP, and remembers what was touched.

What belongs here: the changes, each such that the shop's rules hold afterwards, and what stands on both sides. What
does not: what has to be so after a sync (:mod:`test_catalogue_sequences`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from small_shop import SmallShop
from stdnum import ean

CODES, VALUES, ACTIVE = "codes", "values", "active"
"""What of a variant a change touches: SKU and barcode, attribute values, whether it is on sale."""


@dataclass
class Variant:
    """A variant of the shop; ``values`` by attribute."""

    key: int
    sku: str
    barcode: str
    values: dict[int, int]
    active: bool = True


@dataclass
class Product:
    key: int
    attributes: list[int]
    variants: list[Variant] = field(default_factory=list)
    active: bool = True

    def combinations(self) -> set[frozenset[int]]:
        return {frozenset(each.values.values()) for each in self.variants}


@dataclass
class Merchant:
    """Two products of two attributes at most, each variant in stock and in an open order."""

    shop: SmallShop
    rng: Random
    location: int
    customer: int
    attributes: dict[int, list[int]]
    products: list[Product] = field(default_factory=list)
    touched: dict[int, set[str]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    serial: int = 0

    # What there is

    def open_shop(self) -> None:
        """The products before the changes."""
        for _ in range(2):
            chosen = self.rng.sample(sorted(self.attributes), self.rng.randint(0, 2))
            key = self.shop.product(f"Product {self.rng.random()}")
            self.products.append(Product(key, chosen))
            for _ in range(self.rng.randint(2, 4) if chosen else 1):
                self.add_variant(self.products[-1])
        for product in self.products:
            for number, variant in enumerate(product.variants, 2):
                self.shop.stock(variant.key, self.location, 10 * number)
                order = self.shop.order(self.customer, total=10)
                self.shop.line(order, variant.key)
        self.touched.clear()
        self.told.clear()

    @property
    def variants(self) -> list[Variant]:
        return [variant for product in self.products for variant in product.variants]

    def _touch(self, variant: Variant, *what: str) -> None:
        self.touched.setdefault(variant.key, set()).update(what)

    def _code(self) -> str:
        self.serial += 1
        number = f"{self.rng.randrange(10**7):07}{self.serial % 10**5:05}"
        return number + ean.calc_check_digit(number)

    def _values(self, attributes: list[int]) -> dict[int, int]:
        return {attribute: self.rng.choice(self.attributes[attribute]) for attribute in attributes}

    # What is changed in the shop

    def add_variant(self, product: Product) -> None:
        for _ in range(20):
            values = self._values(product.attributes)
            if frozenset(values.values()) not in product.combinations():
                code = self._code()
                self._insert(product, Variant(0, f"SKU-{code}", code, values))
                return

    def _insert(self, product: Product, new: Variant) -> None:
        new.key = self.shop.variant(product.key, new.sku, *new.values.values(), barcode=new.barcode)
        product.variants.append(new)
        self._touch(new, CODES, VALUES, ACTIVE)
        self.told.append(f"new variant {new.key} {new.values} of {product.key}")

    def _delete(self, product: Product, gone: Variant) -> None:
        for table in ("variant_values", "stock_levels", "prices"):
            self.shop.world.shop(f"DELETE FROM {table} WHERE variant_id = %s", gone.key)
        self.shop.remove("variants", gone.key)
        product.variants.remove(gone)
        self._touch(gone, CODES, VALUES, ACTIVE)
        self.told.append(f"variant {gone.key} deleted")

    def delete_variant(self, product: Product) -> None:
        if len(product.variants) > 1:
            self._delete(product, self.rng.choice(product.variants))

    def make_variant_anew(self, product: Product) -> None:
        """Under another key, with the same codes and values."""
        old = self.rng.choice(product.variants)
        self._delete(product, old)
        self._insert(product, Variant(0, old.sku, old.barcode, dict(old.values)))

    def _set_values(self, variant: Variant, values: dict[int, int]) -> None:
        self.shop.world.shop("DELETE FROM variant_values WHERE variant_id = %s", variant.key)
        for value in values.values():
            self.shop.add("variant_values", variant_id=variant.key, attribute_value_id=value)
        variant.values = values
        self._touch(variant, VALUES)
        self.told.append(f"variant {variant.key} has {values}")

    def add_attribute(self, product: Product) -> None:
        more = sorted(set(self.attributes) - set(product.attributes))
        if more and len(product.attributes) < 3:
            product.attributes.append(self.rng.choice(more))
            for variant in product.variants:
                self._set_values(variant, variant.values | self._values(product.attributes[-1:]))

    def drop_attribute(self, product: Product) -> None:
        if not product.attributes:
            return
        dropped = product.attributes.pop(self.rng.randrange(len(product.attributes)))
        left: set[frozenset[int]] = set()
        for variant in [*product.variants]:
            values = {attribute: value for attribute, value in variant.values.items() if attribute != dropped}
            if frozenset(values.values()) in left:
                self._delete(product, variant)
            else:
                left.add(frozenset(values.values()))
                self._set_values(variant, values)

    def change_value(self, product: Product) -> None:
        variant, values = self.rng.choice(product.variants), self._values(product.attributes)
        if frozenset(values.values()) not in product.combinations():
            self._set_values(variant, values)

    def exchange_values(self, product: Product) -> None:
        """In a ring of all variants of the product."""
        listed = [variant.values for variant in product.variants]
        if len(listed) > 1:
            for variant, values in zip(product.variants, [*listed[1:], listed[0]], strict=True):
                self._set_values(variant, values)

    def exchange_codes(self, product: Product) -> None:
        """In a ring over both products."""
        ring = self.rng.sample(self.variants, min(len(self.variants), self.rng.randint(2, 3)))
        codes = [(variant.sku, variant.barcode) for variant in ring]
        for variant, (sku, barcode) in zip(ring, [*codes[1:], codes[0]], strict=True):
            variant.sku, variant.barcode = sku, barcode
            self.shop.change("variants", variant.key, sku=sku, barcode=barcode)
            self._touch(variant, CODES)
            self.told.append(f"variant {variant.key} has code {barcode}")

    def switch_variant(self, product: Product) -> None:
        variant = self.rng.choice(product.variants)
        variant.active = not variant.active
        self.shop.change("variants", variant.key, active=variant.active)
        self._touch(variant, ACTIVE, CODES)
        self.told.append(f"variant {variant.key} is active: {variant.active}")

    def switch_product(self, product: Product) -> None:
        product.active = not product.active
        self.shop.change("products", product.key, active=product.active)
        for variant in product.variants:
            self._touch(variant, ACTIVE, CODES)
        self.told.append(f"product {product.key} is active: {product.active}")

    def add_value(self, product: Product) -> None:
        attribute = self.rng.choice(sorted(self.attributes))
        name = f"Value {self._code()}"
        self.attributes[attribute].append(
            int(self.shop.add("attribute_values", attribute_id=attribute, name=name, position=9))
        )

    def rename(self, product: Product) -> None:
        attribute = self.rng.choice(sorted(self.attributes))
        value = self.rng.choice(self.attributes[attribute])
        self.shop.change("attributes", attribute, name=f"Attribute {self._code()}")
        self.shop.change("attribute_values", value, name=f"Value {self._code()}")

    # What is changed in UniERP

    def _write(self, variant: Variant, values: dict[str, Any]) -> None:
        bound = self.shop.world.warehouse_rows(
            "SELECT odoo_id FROM sync.bindings WHERE entity = 'variants' AND key = %s", str(variant.key)
        )
        if bound:
            self.shop.world.session.call("product.product", "write", [bound[0][0]], values)
            self.told.append(f"UniERP: variant {variant.key} {values}")

    def recode_in_unierp(self, product: Product) -> None:
        variant = self.rng.choice(product.variants)
        if self.touched.get(variant.key):
            return
        self._write(variant, {"default_code": f"OFFICE-{self._code()}"})
        self._touch(variant, CODES)

    def switch_in_unierp(self, product: Product) -> None:
        variant = self.rng.choice(product.variants)
        if self.touched.get(variant.key) or not product.active:
            return
        variant.active = not variant.active
        self._write(variant, {"active": variant.active})
        self._touch(variant, ACTIVE, CODES)

    CHANGES: tuple[Callable[["Merchant", Product], None], ...] = (
        add_variant, delete_variant, make_variant_anew, add_attribute, drop_attribute, change_value, exchange_values,
        exchange_codes, switch_variant, switch_product, add_value, rename, recode_in_unierp, switch_in_unierp,
    )  # fmt: skip

    def change(self) -> None:
        """One change by chance."""
        product = self.rng.choice(self.products)
        self.rng.choice(self.CHANGES)(self, product)

    # What stands on both sides

    def state(self) -> dict[tuple[int, str], Any]:
        """By variant and aspect what stands in UniERP and in the shop, stock and open orders apart from what a change
        touches."""
        world, found = self.shop.world, dict[tuple[int, str], Any]()
        bound = dict(world.warehouse_rows("SELECT key, odoo_id FROM sync.bindings WHERE entity = 'variants'"))
        fields = ["default_code", "barcode", "active", "qty_available", "product_template_attribute_value_ids"]
        records = world.session.call("product.product", "read", sorted(set(bound.values())), fields)
        by_id = {record["id"]: record for record in records}
        places = {place for record in records for place in record["product_template_attribute_value_ids"]}
        of_place = {
            row["id"]: row["product_attribute_value_id"][0]
            for row in world.session.call(
                "product.template.attribute.value", "read", sorted(places), ["product_attribute_value_id"]
            )
        }
        lines = dict(
            world.odoo_rows(
                "SELECT d.name, l.product_id FROM sale_order_line l JOIN ir_model_data d ON d.res_id = l.id "
                "AND d.model = 'sale.order.line' AND d.module = 'unierp'"
            )
        )
        ordered: dict[int, list[int]] = {}
        for line, variant in world.shop("SELECT id, variant_id FROM order_lines"):
            ordered.setdefault(variant, []).append(lines.get(f"order_lines__{line}"))
        available = dict(world.shop("SELECT variant_id, available FROM stock_levels"))
        for key, sku, barcode, active in world.shop("SELECT id, sku, barcode, active FROM variants"):
            record = by_id[bound[str(key)]]
            found[key, "id"] = record["id"]
            found[key, "stock"] = (record["qty_available"], available.get(key))
            found[key, "orders"] = ordered.get(key)
            found[key, CODES] = (record["default_code"], record["barcode"], sku, barcode)
            found[key, ACTIVE] = (record["active"], active)
            found[key, VALUES] = {of_place[place] for place in record["product_template_attribute_value_ids"]}
        return found
