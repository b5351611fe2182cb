"""Good rows of the sample shop: a catalogue, customers, and orders whose amounts are right to the cent.

Belongs here: everything that holds by the contract. Does not belong here: what is wrong on purpose (``faults.py``)
and how rows get into a database (``store.py``).

Amounts are whole cents until they become rows; rates are whole ten-thousandths of a percent. A line whose rounding
would fall on exactly half a cent is not drawn: systems that are both right about everything else disagree there.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import product as combinations
from random import Random
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from unierp_assets.storefront.contract import PROGRESS_COLUMNS, UPDATED_AT, contract_tables, key_column
from unierp_assets.storefront.sample import identifiers
from unierp_assets.storefront.sample.pools import (
    ATTRIBUTES,
    BRANDS,
    CENTS,
    COUNTRIES,
    CURRENCIES,
    CUSTOMER_GROUPS,
    EXCHANGE_RATES,
    FAMILIES,
    FIXED_COUPON,
    LOCATIONS,
    PERCENT_COUPONS,
    PERIOD_DAYS,
    REFERENCE,
    SHIPPING_CENTS,
    TAXES,
    Attribute,
    Country,
    Family,
    Tax,
    name_pools,
    tax_for,
)

Row = tuple[Any, ...]
Values = tuple[tuple[Attribute, int], ...]
"""The values of a variant: an attribute and the place of one of its values, for each of its attributes."""

_AS_DRAWN: Final[Mapping[str, object]] = MappingProxyType({})
_DAY: Final = 86_400
_HOUR: Final = 3_600
_MAX_VARIANTS: Final = 8
_RATE_DAYS: Final = PERIOD_DAYS + 35
"""Rates begin well before the first order."""
_EMAIL_HOSTS: Final = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.net")
_POSTCODE_LETTERS: Final = "ABDEFGHJLNPQRSTUWXYZ"
_LONGEST_HISTORY_DAYS: Final = 11


def _within(earliest: int, latest: int) -> Callable[[Random], int]:
    """Draws seconds after the order was placed."""
    return lambda rng: rng.randrange(earliest, latest)


# What an order of each status went through, and when: at once, within two hours, after days.
_PENDING: Final = ("pending", _within(0, 1))
_CONFIRMED: Final = ("confirmed", _within(60, 2 * _HOUR))
_SHIPPED: Final = ("shipped", _within(_DAY, 4 * _DAY))
_HISTORIES: Final = {
    "pending": (_PENDING,),
    "confirmed": (_PENDING, _CONFIRMED),
    "shipped": (_PENDING, _CONFIRMED, _SHIPPED),
    "completed": (_PENDING, _CONFIRMED, _SHIPPED, ("completed", _within(5 * _DAY, _LONGEST_HISTORY_DAYS * _DAY))),
    "cancelled": (_PENDING, ("cancelled", _within(2 * _HOUR, _DAY))),
}
_COUNTRY_BY_CODE: Final = {country.code: country for country in COUNTRIES}


@lru_cache(maxsize=200_000)
def money(cents: int) -> Decimal:
    """Cents as an amount with two decimals."""
    return Decimal(cents).scaleb(-2)


def half_up(numerator: int, denominator: int) -> int:
    """Quotient rounded to a whole number, halves away from zero."""
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def is_half(numerator: int, denominator: int) -> bool:
    """Whether the quotient lies exactly between two whole numbers."""
    return (2 * numerator) % denominator == 0 and (2 * numerator // denominator) % 2 == 1


class Line(NamedTuple):
    """An order line, amounts in cents."""

    kind: str
    variant_id: int | None
    name: str
    quantity: int
    unit_price: int
    discount: int
    tax_code: str | None
    tax: int
    total: int


def priced(
    name: str,
    quantity: int,
    unit_price: int,
    discount: int,
    tax: Tax | None,
    included: bool,
    variant_id: int | None,
) -> Line | None:
    """A line by the contract's arithmetic; none where its rounding or its discount in percent would be ambiguous."""
    base = quantity * unit_price
    amount = base - discount
    if discount and not _is_representable(base, discount):
        return None
    rate = int(tax.rate * 10_000) if tax else 0
    if included:
        numerator, denominator = amount * 1_000_000, 1_000_000 + rate
        tax_amount, total = amount - half_up(numerator, denominator), amount
    else:
        numerator, denominator = amount * rate, 1_000_000
        tax_amount = half_up(numerator, denominator)
        total = amount + tax_amount
    if is_half(numerator, denominator):
        return None
    kind = "shipping" if variant_id is None else "product"
    return Line(kind, variant_id, name, quantity, unit_price, discount, tax.code if tax else None, tax_amount, total)


def _is_representable(base: int, discount: int) -> bool:
    """Whether a percentage of two decimals takes exactly this discount off, as systems that know no amounts need."""
    percent = half_up(discount * 10_000, base)
    numerator = base * (10_000 - percent)
    return half_up(numerator, 10_000) == base - discount and not is_half(numerator, 10_000)


class Variant(NamedTuple):
    """What can be ordered: prices in cents by currency, a promotion as currency, first and last day and cents."""

    id: int
    name: str
    prices: dict[str, int]
    promotion: tuple[str, datetime, datetime, int] | None

    def price(self, currency: str, at: datetime) -> int:
        """The price that holds at an instant."""
        if self.promotion:
            promoted, start, end, cents = self.promotion
            if promoted == currency and start <= at < end:
                return cents
        return self.prices[currency]


class Product(NamedTuple):
    """A written product: its price in whole dollars before its variants differ, weight in grams, what is sold of it."""

    id: int
    name: str
    whole: int
    grams: int
    sellable: list[Variant]


class Buyer(NamedTuple):
    """A customer that can order."""

    id: int
    country: Country
    region: str | None
    is_company: bool
    billing_address_id: int
    shipping_address_id: int


class Item(NamedTuple):
    """A line of a written order."""

    id: int
    line: Line


@dataclass(frozen=True)
class Order:
    """A written order, for what follows it."""

    id: int
    currency: str
    total: int
    placed_at: datetime
    items: tuple[Item, ...]


class Shop:
    """Collects the rows of a shop. The same seed and sizes give the same rows."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows: dict[str, list[Row]] = {}
        self.sold: Counter[int] = Counter()
        self.sellable: list[Variant] = []
        self.buyers: list[Buyer] = []
        self.stocked: list[tuple[int, bool]] = []
        """Variants that get stock levels, and whether they are still sold."""
        self._columns: dict[str, list[str]] = {}
        for name, table in contract_tables().items():
            self.rows[name] = []
            key = key_column(table).name
            self._columns[name] = [column.name for column in table.columns if column.name not in (key, UPDATED_AT)]
        self._names = name_pools(seed)
        self._attribute_value_ids: dict[str, int] = {}
        self._category_ids: dict[tuple[str, ...], int] = {}
        self._family_shares = [family.share for family in FAMILIES]

    def stream(self, purpose: str) -> Random:
        """A random stream of its own, so that more of one thing does not change another."""
        return Random(f"{self.seed}/{purpose}")

    def add(self, table: str, updated_at: datetime, key: str | None = None, /, **values: object) -> int:
        """Append a row and return its number, which is its key unless the table has keys of its own."""
        rows = self.rows[table]
        number = len(rows) + 1
        rows.append((number if key is None else key, *[values[name] for name in self._columns[table]], updated_at))
        if len(values) != len(self._columns[table]):
            raise TypeError(f"{table} has no columns {sorted(set(values) - set(self._columns[table]))}")
        return number

    # -- the shop itself ----------------------------------------------------------------------------------------

    def furnish(self) -> None:
        """Currencies, rates, taxes, categories, attributes, locations and groups: what every size of shop has."""
        rng = self.stream("furniture")
        for code, name in CURRENCIES:
            self.add("currencies", self.changed_at(rng), code, name=name, decimals=2, active=True)
        for code, start in EXCHANGE_RATES.items():
            millionths = start
            for day in range(-_RATE_DAYS, 1):
                millionths += rng.randint(-3000, 3000)
                valid_on = REFERENCE + timedelta(days=day)
                self.add(
                    "exchange_rates",
                    max(valid_on, REFERENCE - timedelta(days=PERIOD_DAYS)),
                    currency=code,
                    valid_on=valid_on.date(),
                    rate=Decimal(millionths).scaleb(-6),
                )
        for tax in TAXES:
            self.add(
                "taxes",
                self.changed_at(rng),
                tax.code,
                name=tax.name,
                country=tax.country,
                rate=tax.rate,
                included=tax.included,
            )
        for family in FAMILIES:
            for depth in range(1, len(family.path) + 1):
                path = family.path[:depth]
                if path not in self._category_ids:
                    self._category_ids[path] = self.add(
                        "categories",
                        self.changed_at(rng),
                        name=path[-1],
                        parent_id=self._category_ids.get(path[:-1]),
                        position=len(self._category_ids) + 1,
                        active=True,
                    )
        for position, attribute in enumerate(ATTRIBUTES, 1):
            attribute_id = self.add("attributes", self.changed_at(rng), name=attribute.name, position=position)
            for place, (name, code) in enumerate(attribute.values, 1):
                self._attribute_value_ids[f"{attribute.name}/{code}"] = self.add(
                    "attribute_values", self.changed_at(rng), attribute_id=attribute_id, name=name, position=place
                )
        for code, name, country in LOCATIONS:
            self.add("locations", self.changed_at(rng), code=code, name=name, country=country)
        for name in CUSTOMER_GROUPS:
            self.add("customer_groups", self.changed_at(rng), name=name)

    def changed_at(self, rng: Random) -> datetime:
        """Some instant of the period before the reference, with microseconds."""
        return REFERENCE - timedelta(microseconds=rng.randrange(1, PERIOD_DAYS * _DAY * 1_000_000))

    # -- catalogue ----------------------------------------------------------------------------------------------

    def add_catalogue(self, products: int) -> None:
        """So many products with their variants and prices."""
        rng = self.stream("catalogue")
        for family in rng.choices(FAMILIES, self._family_shares, k=products):
            active = rng.random() >= 0.02
            self.sellable += self.add_product(rng, family, self._shape(rng, family), active=active).sellable

    def _shape(self, rng: Random, family: Family) -> list[Values]:
        """The attribute values of each variant of a new product: one to eight, all different, same attributes."""
        if not family.attributes or rng.random() < 0.12:
            return [()]
        chosen = []
        for attribute in family.attributes:
            count = rng.randint(1, min(3, len(attribute.values)))
            chosen.append([(attribute, place) for place in sorted(rng.sample(range(len(attribute.values)), count))])
        every = list(combinations(*chosen))
        count = min(len(every), rng.randint(1, _MAX_VARIANTS))
        return [every[place] for place in sorted(rng.sample(range(len(every)), count))]

    def add_product(
        self,
        rng: Random,
        family: Family,
        shape: Sequence[Values],
        *,
        active: bool = True,
        sold: bool = True,
        replaced: Mapping[str, object] = _AS_DRAWN,
    ) -> Product:
        """A product with one variant for each entry of ``shape``, with prices and stock if they are ``sold``.

        ``replaced`` are columns of the product that get other values than it would have.
        """
        brand, line = rng.choice(BRANDS), rng.choice(family.lines)
        number = len(self.rows["products"]) + 1
        name = f"{brand} {line} {number} {family.noun}"
        columns: dict[str, object] = {
            "name": name,
            "description": f"Refurbished {family.noun} {brand} {line} {number}, tested, with 12 months of warranty.",
            "category_id": self._category_ids[family.path],
            "tax_code": "US-CA" if rng.random() < 0.9 else None,
            "active": active,
            "created_at": REFERENCE - timedelta(seconds=rng.randrange((PERIOD_DAYS + 1) * _DAY, 900 * _DAY)),
        }
        product_id = self.add("products", self.changed_at(rng), **{**columns, **replaced})
        product = Product(product_id, name, rng.randint(*family.prices), rng.randint(*family.grams), [])
        for values in shape:
            self.add_variant(rng, product, values, active=active, sold=sold)
        return product

    def add_variant(
        self,
        rng: Random,
        product: Product,
        values: Values,
        *,
        active: bool = True,
        sold: bool = True,
        replaced: Mapping[str, object] = _AS_DRAWN,
    ) -> int:
        """A variant with its values, and with prices and stock if it is ``sold``; ``replaced`` are columns of it."""
        codes = [attribute.values[place][1] for attribute, place in values]
        whole = product.whole
        for attribute, place in values:
            # More storage costs more, a lesser grade less.
            whole += {"Storage": whole * place // 8, "Grade": -(whole * place // 10)}.get(attribute.name, 0)
        serial = len(self.rows["variants"]) + 1
        columns: dict[str, object] = {
            "product_id": product.id,
            "sku": "-".join([f"{product.name[:3].upper()}{product.id:06d}", *codes]),
            "barcode": identifiers.ean13(serial) if rng.random() >= 0.05 else None,
            "weight_kg": Decimal(max(product.grams // 10, 1)).scaleb(-2),
            "cost_amount": money(whole * rng.randint(50, 70) + 25),
            "cost_currency": "USD",
            "position": len(product.sellable) + 1,
            "active": active,
        }
        updated_at = self.changed_at(rng)
        variant_id = self.add("variants", updated_at, **{**columns, **replaced})
        for attribute, place in values:
            value_id = self._attribute_value_ids[f"{attribute.name}/{attribute.values[place][1]}"]
            self.add("variant_values", updated_at, variant_id=variant_id, attribute_value_id=value_id)
        if sold:
            product.sellable.append(self._add_prices(rng, variant_id, ", ".join([product.name, *codes]), whole))
            self.stocked.append((variant_id, active))
        return variant_id

    def _add_prices(self, rng: Random, variant_id: int, name: str, whole: int) -> Variant:
        prices = {
            "USD": whole * CENTS - 1,
            "GBP": max(whole * 83 // 100, 1) * CENTS - 1,
            "EUR": max(whole * 96 // 100, 1) * CENTS - 1,
        }
        for currency, cents in prices.items():
            self.add_price(self.changed_at(rng), variant_id, currency, cents)
        promotion = None
        if rng.random() < 0.1:
            currency = rng.choice(list(prices))
            start = REFERENCE - timedelta(days=rng.randint(-10, PERIOD_DAYS))
            end = start + timedelta(days=rng.randint(5, 30))
            promotion = currency, start, end, half_up(prices[currency] * 85, 100)
            self.add_price(self.changed_at(rng), variant_id, currency, promotion[3], start, end)
        return Variant(variant_id, name, prices, promotion)

    def add_price(
        self,
        updated_at: datetime,
        variant_id: int,
        currency: str,
        cents: int,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
    ) -> int:
        """A price of a variant."""
        return self.add(
            "prices",
            updated_at,
            variant_id=variant_id,
            currency=currency,
            amount=money(cents),
            valid_from=valid_from,
            valid_to=valid_to,
        )

    def add_stock(self) -> None:
        """Stock levels that cover everything ordered so far, at each location. Variants off sale are sold out."""
        rng = self.stream("stock")
        for variant_id, active in self.stocked:
            for location_id in range(1, len(LOCATIONS) + 1):
                units = self.sold[variant_id] + rng.randint(5, 60) if active else 0
                self.add_stock_level(self.changed_at(rng), variant_id, location_id, units)

    def add_stock_level(self, updated_at: datetime, variant_id: int, location_id: int, units: int) -> int:
        """Units of a variant at a location, all of them available."""
        return self.add(
            "stock_levels",
            updated_at,
            variant_id=variant_id,
            location_id=location_id,
            on_hand=Decimal(units),
            available=Decimal(units),
        )

    # -- customers ----------------------------------------------------------------------------------------------

    def add_customers(self, customers: int) -> None:
        """So many people and companies with their addresses and groups."""
        rng = self.stream("customers")
        for _ in range(customers):
            country = rng.choices(COUNTRIES, (4, 3, 2, 2))[0]
            company = rng.random() < 0.2
            kind = "guest" if not company and rng.random() < 0.3 else "registered"
            active = kind == "guest" or rng.random() >= 0.02
            buyer = self.add_customer(rng, country, kind=kind, company=company, active=active)
            if active:
                self.buyers.append(buyer)

    def add_customer(
        self, rng: Random, country: Country, *, kind: str = "registered", company: bool = False, active: bool = True
    ) -> Buyer:
        """A customer with a billing address and, more often than not, a shipping address elsewhere in the country."""
        names = self._names[country.code]
        first, last = rng.choice(names.first), rng.choice(names.last)
        number = len(self.rows["customers"]) + 1
        company_name = f"{rng.choice(names.companies)} {number}" if company else None
        has_vat = company and country.code != "US" and rng.random() < 0.8
        created_at = REFERENCE - timedelta(seconds=rng.randrange((PERIOD_DAYS + 1) * _DAY, 700 * _DAY))
        customer_id = self.add_person(
            self.changed_at(rng),
            country,
            kind=kind,
            email=f"{_ascii(first)}.{_ascii(last)}.{number}@{rng.choice(_EMAIL_HOSTS)}",
            first_name=first,
            last_name=last,
            company=company_name,
            vat=identifiers.vat_number(country.code, rng.randrange(10**8)) if has_vat else None,
            phone=self.phone(rng, country) if rng.random() < 0.85 else None,
            created_at=created_at,
            active=active,
        )
        if company:
            self._join_group(rng, customer_id, "Trade")
        elif kind == "registered":
            self._join_group(rng, customer_id, "Retail")
            for group, share in (("VIP", 0.08), ("Newsletter", 0.3)):
                if rng.random() < share:
                    self._join_group(rng, customer_id, group)
        recipient = f"{first} {last}"
        billing_id, region = self.add_address(rng, country, customer_id, "billing", recipient, company_name)
        shipping_id = billing_id
        if rng.random() < 0.7:
            shipping_id, region = self.add_address(rng, country, customer_id, "shipping", recipient, company_name)
        return Buyer(customer_id, country, region, company, billing_id, shipping_id)

    def add_person(self, updated_at: datetime, country: Country, **values: object) -> int:
        """The row of a customer alone; ``values`` are its columns but for the language."""
        return self.add("customers", updated_at, language=country.language, **values)

    def _join_group(self, rng: Random, customer_id: int, group: str) -> None:
        group_id = CUSTOMER_GROUPS.index(group) + 1
        self.add("customer_group_members", self.changed_at(rng), customer_id=customer_id, group_id=group_id)

    def add_address(
        self,
        rng: Random,
        country: Country,
        customer_id: int,
        kind: str,
        name: str,
        company: str | None = None,
        *,
        country_code: str | None = None,
    ) -> tuple[int, str | None]:
        """An address in a city of the country; its key and its region. ``country_code`` replaces the country's."""
        city, district, region = rng.choice(country.cities)
        if country.postcode_digits:
            postcode = f"{district}{rng.randint(1, 9):0{country.postcode_digits - len(district)}d}"
        else:
            letters = "".join(rng.choices(_POSTCODE_LETTERS, k=2))
            postcode = f"{district} {rng.randint(1, 9)}{letters}"
        address_id = self.add(
            "addresses",
            self.changed_at(rng),
            customer_id=customer_id,
            kind=kind,
            name=name,
            company=company,
            street=rng.choice(self._names[country.code].streets),
            street2=f"Floor {rng.randint(1, 9)}" if rng.random() < 0.1 else None,
            city=city,
            postcode=postcode,
            region=region,
            country=country_code or country.code,
            phone=self.phone(rng, country) if rng.random() < 0.3 else None,
        )
        return address_id, region

    def phone(self, rng: Random, country: Country) -> str:
        """A telephone number of the country, international and with the blanks people type."""
        return "".join(str(rng.randrange(10)) if mark == "#" else mark for mark in rng.choice(country.phones))

    # -- orders -------------------------------------------------------------------------------------------------

    def add_orders(self, orders: int) -> None:
        """So many orders of the customers, in every state, with what followed them."""
        rng = self.stream("orders")
        for _ in range(orders):
            self.add_order(rng, rng.choice(self.buyers))

    def add_order(self, rng: Random, buyer: Buyer, *, status: str | None = None) -> Order:
        """An order with lines, history, payments and shipments that fit its status."""
        status = status or rng.choices(tuple(_HISTORIES), (8, 27, 18, 40, 7))[0]
        placed_at = self.placed_at(rng)
        history = [(step, placed_at + timedelta(seconds=after(rng))) for step, after in _HISTORIES[status]]
        lines, coupon = self.draw_lines(rng, buyer, placed_at)
        order = self.write_order(rng, buyer, lines, placed_at, status=status, coupon=coupon, changed_at=history[-1][1])
        for step, at in history:
            self.add("order_status_history", at, order_id=order.id, status=step, at=at)
        since = dict(history)
        match status:
            case "pending" if rng.random() < 0.6:
                self.add_payment(rng, order, rng.choice(("authorised", "failed")))
            case "cancelled" if rng.random() < 0.6:
                self.add_payment(rng, order, "failed")
            case "confirmed":
                self._add_progress(rng, buyer, order, since["confirmed"])
            case "shipped" | "completed":
                self.add_payment(rng, order, "captured", order.total, since["confirmed"])
                self._ship_all(rng, buyer, order, since["confirmed"], since["shipped"])
        return order

    def placed_at(self, rng: Random) -> datetime:
        """When an order was placed: within the period, and long enough ago for all that may have followed."""
        return REFERENCE - timedelta(seconds=rng.randrange(_LONGEST_HISTORY_DAYS * _DAY, (PERIOD_DAYS - 1) * _DAY))

    def draw_lines(
        self, rng: Random, buyer: Buyer, placed_at: datetime, *, included: bool | None = None
    ) -> tuple[list[Line], str | None]:
        """Lines of one to four articles and shipping, with or without discounts, and the coupon that was used."""
        if included is None:
            included = buyer.country.prices_include_tax and not buyer.is_company
        tax = tax_for(buyer.country.code, buyer.region, included)
        currency = buyer.country.currency
        while True:
            count = min(rng.choices((1, 2, 3, 4), (45, 30, 15, 10))[0], len(self.sellable))
            basket = [
                (variant, rng.choices((1, 2, 3), (80, 15, 5))[0], variant.price(currency, placed_at))
                for variant in (self.sellable[place] for place in rng.sample(range(len(self.sellable)), count))
            ]
            bases = [quantity * price for _, quantity, price in basket]
            discounts, coupon = self._draw_discounts(rng, bases)
            lines = [
                priced(variant.name, quantity, price, discount, tax, included, variant.id)
                for (variant, quantity, price), discount in zip(basket, discounts, strict=True)
            ]
            if rng.random() < 0.85:
                cents = rng.choice(SHIPPING_CENTS[currency])
                lines.append(priced("Shipping", 1, cents, 0, tax, included, None))
            exact = [line for line in lines if line is not None]
            # Drawn again as a whole where one line would be ambiguous: see the module's docstring.
            if len(exact) == len(lines):
                return exact, coupon

    def _draw_discounts(self, rng: Random, bases: list[int]) -> tuple[list[int], str | None]:
        draw = rng.random()
        if draw < 0.15:
            coupon, percent = rng.choice(list(PERCENT_COUPONS.items()))
            return [base - half_up(base * (100 - percent), 100) for base in bases], coupon
        if draw < 0.2 and sum(bases) > 2 * FIXED_COUPON[1]:
            return _allocate(FIXED_COUPON[1], bases), FIXED_COUPON[0]
        if draw < 0.35:
            percents = [rng.choice((0, 5, 10, 20)) for _ in bases]
            return [
                base - half_up(base * (100 - percent), 100) for base, percent in zip(bases, percents, strict=True)
            ], None
        return [0] * len(bases), None

    def write_order(
        self,
        rng: Random,
        buyer: Buyer,
        lines: Sequence[Line],
        placed_at: datetime,
        *,
        status: str = "confirmed",
        coupon: str | None = None,
        included: bool | None = None,
        changed_at: datetime | None = None,
        replaced: Mapping[str, object] = _AS_DRAWN,
    ) -> Order:
        """The rows of an order and of its lines, and nothing that follows it. ``replaced`` are columns of the order."""
        if included is None:
            included = buyer.country.prices_include_tax and not buyer.is_company
        currency = buyer.country.currency
        number = len(self.rows["orders"]) + 1
        total = sum(line.total for line in lines)
        columns: dict[str, object] = {
            "number": f"S{100_000 + number}",
            "customer_id": buyer.id,
            "channel": rng.choices(("web", "app", "phone"), (70, 25, 5))[0],
            "currency": currency,
            "prices_include_tax": included,
            "status": status,
            "placed_at": placed_at,
            "billing_address_id": buyer.billing_address_id,
            "shipping_address_id": buyer.shipping_address_id,
            "coupon_code": coupon,
            "discount_total": money(sum(line.discount for line in lines)),
            "shipping_total": money(sum(line.total for line in lines if line.kind == "shipping")),
            "tax_total": money(sum(line.tax for line in lines)),
            "total": money(total),
            **dict.fromkeys(PROGRESS_COLUMNS),  # UniERP knows nothing of it yet
        }
        # The fraction of a second belongs to the change alone: two orders rarely change in the same microsecond.
        updated_at = (changed_at or placed_at) + timedelta(microseconds=rng.randrange(1, 1_000_000))
        order_id = self.add("orders", updated_at, **{**columns, **replaced})
        items = []
        for position, line in enumerate(lines, 1):
            line_id = self.add(
                "order_lines",
                updated_at,
                order_id=order_id,
                position=position,
                kind=line.kind,
                variant_id=line.variant_id,
                name=line.name,
                quantity=Decimal(line.quantity),
                unit_price=money(line.unit_price),
                discount_amount=money(line.discount),
                tax_code=line.tax_code,
                tax_amount=money(line.tax),
                total=money(line.total),
            )
            items.append(Item(line_id, line))
            if line.variant_id is not None:
                self.sold[line.variant_id] += max(line.quantity, 0)
        return Order(order_id, currency, total, placed_at, tuple(items))

    def _add_progress(self, rng: Random, buyer: Buyer, order: Order, confirmed_at: datetime) -> None:
        """What can have happened to an order that has not left completely."""
        draw = rng.random()
        if draw < 0.3:
            self.add_payment(rng, order, "authorised")
        elif draw < 0.6:
            if rng.random() < 0.3:
                self.add_payment(rng, order, "failed")
            self.add_payment(rng, order, "captured", order.total, confirmed_at)
        elif draw < 0.8:
            captured = half_up(order.total * rng.randint(20, 80), 100)
            self.add_payment(rng, order, "partially_captured", captured, confirmed_at)
        goods = [item for item in order.items if item.line.kind == "product"]
        if rng.random() < 0.35 and sum(item.line.quantity for item in goods) > 1:
            # One unit of the first line leaves; at least one other unit stays.
            shipped_at = confirmed_at + timedelta(seconds=rng.randrange(_DAY, 3 * _DAY))
            self.add_shipment(rng, buyer, order.id, shipped_at, [(goods[0].id, 1)])

    def _ship_all(self, rng: Random, buyer: Buyer, order: Order, confirmed_at: datetime, shipped_at: datetime) -> None:
        units = [(item.id, item.line.quantity) for item in order.items if item.line.kind == "product"]
        if len(units) > 1 and rng.random() < 0.25:
            earlier = shipped_at - (shipped_at - confirmed_at) / 3
            self.add_shipment(rng, buyer, order.id, earlier.replace(microsecond=0), units[:1])
            units = units[1:]
        self.add_shipment(rng, buyer, order.id, shipped_at, units)

    def add_shipment(
        self, rng: Random, buyer: Buyer, order_id: int, shipped_at: datetime, units: Sequence[tuple[int, int]]
    ) -> int:
        """A parcel with (order line, units) in it."""
        carrier = buyer.country.carrier
        tracking = identifiers.tracking_number(carrier, len(self.rows["shipments"]) + 1)
        shipment_id = self.add(
            "shipments",
            shipped_at,
            order_id=order_id,
            carrier=carrier,
            tracking_number=tracking,
            tracking_url=identifiers.tracking_url(carrier, tracking),
            shipped_at=shipped_at,
        )
        for line_id, quantity in units:
            self.add(
                "shipment_lines",
                shipped_at,
                shipment_id=shipment_id,
                order_line_id=line_id,
                quantity=Decimal(quantity),
            )
        return shipment_id

    def add_payment(
        self,
        rng: Random,
        order: Order,
        status: str,
        captured: int = 0,
        captured_at: datetime | None = None,
        *,
        authorised: int | None = None,
    ) -> int:
        """A payment in the order's currency; authorised for the order's total unless told otherwise."""
        if authorised is None:
            authorised = 0 if status == "failed" else order.total
        return self.add(
            "payments",
            captured_at or order.placed_at,
            order_id=order.id,
            method=rng.choices(("card", "paypal", "bank_transfer"), (70, 20, 10))[0],
            status=status,
            currency=order.currency,
            authorised_amount=money(authorised),
            captured_amount=money(captured),
            captured_at=captured_at,
            reference=f"PAY-{len(self.rows['payments']) + 1:08d}-{rng.randrange(16**6):06x}",
        )


def country(code: str) -> Country:
    """One of the sample's countries by its code."""
    return _COUNTRY_BY_CODE[code]


def _allocate(amount: int, bases: list[int]) -> list[int]:
    """An amount spread over lines in proportion, to the cent; what is left goes to the first."""
    parts = [amount * base // sum(bases) for base in bases]
    parts[0] += amount - sum(parts)
    return parts


@lru_cache(maxsize=10_000)
def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return "".join(mark for mark in plain.lower() if mark.isalnum())
