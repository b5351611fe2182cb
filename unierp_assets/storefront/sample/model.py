"""The sample as a value: its rows, what is wrong in it, and how many of each there are.

Belongs here: :func:`make_sample` and what it returns. Does not belong here: how single rows come about (``rows.py``,
``faults.py``) and where they are written (``store.py``).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unierp_assets.storefront.contract import contract_tables
from unierp_assets.storefront.sample.faults import Fault, Outcome, plant
from unierp_assets.storefront.sample.rows import Row, Shop


@dataclass(frozen=True)
class Counts:
    """What a run over the sample must find. Tables and rules without any are 0."""

    rows: Counter[str]
    """Rows per table."""
    good: Counter[str]
    """Rows per table that must be loaded as records of their own: neither rejected, merged nor held."""
    faults: Counter[str]
    """Rows per rule, consequences not among them."""
    consequences: Counter[str]
    """Rows per rule that are rejected because another row is."""


@dataclass(frozen=True)
class Sample:
    """Rows by table in the order of the contract's columns, and what is wrong among them."""

    seed: int
    rows: dict[str, list[Row]]
    faults: tuple[Fault, ...]

    def records(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table by column name."""
        names = [column.name for column in contract_tables()[table].columns]
        return (dict(zip(names, row, strict=True)) for row in self.rows[table])

    def keys(self, rule: str) -> list[str]:
        """The keys of the rows that break a rule."""
        return [fault.key for fault in self.faults if fault.rule == rule]

    def counts(self) -> Counts:
        """What a run over the sample must find."""
        rows = Counter({table: len(rows) for table, rows in self.rows.items()})
        touched = {(fault.table, fault.key) for fault in self.faults}
        return Counts(
            rows=rows,
            good=Counter({table: number - sum(t == table for t, _ in touched) for table, number in rows.items()}),
            faults=Counter(fault.rule for fault in self.faults if not fault.consequence),
            consequences=Counter(fault.rule for fault in self.faults if fault.consequence),
        )

    def outcome(self, outcome: Outcome) -> Counter[str]:
        """Rows per table that end like this, consequences among them."""
        return Counter(table for table, _ in {(f.table, f.key) for f in self.faults if f.outcome is outcome})


def make_sample(
    products: int = 200, customers: int = 300, orders: int = 400, seed: int = 7, *, faulty: bool = True
) -> Sample:
    """A refurbished-electronics shop with so many good products, customers and orders, and faulty rows on top.

    The same arguments give the same rows, byte for byte, on any day. There are 3 faults of each kind, and one more
    for every 1,000 of the largest of the three numbers; without ``faulty`` there are none. ``ValueError`` where a
    number is negative, or where orders have nothing to be placed by or for.
    """
    if min(products, customers, orders) < 0:
        raise ValueError("A sample cannot have fewer than no products, customers or orders.")
    if not products or not customers:
        raise ValueError("A sample needs at least one product and one customer.")
    shop = Shop(seed)
    shop.furnish()
    shop.add_catalogue(products)
    shop.add_customers(customers)
    shop.add_orders(orders)
    faults = plant(shop, 3 + max(products, customers, orders) // 1000) if faulty else []
    shop.add_stock()
    return Sample(seed, shop.rows, tuple(faults))
