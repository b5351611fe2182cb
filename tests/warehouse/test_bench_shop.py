"""The bench's changes in a real database of a shop."""

from decimal import Decimal

import psycopg

from unierp_assets.bench.shop import OPENED, change, dearer, is_changed, make_shop
from unierp_assets.storefront.sample import Sample, write_sample


def test_one_row_in_a_hundred_gets_a_new_price_of_its_own(database: str) -> None:
    write_sample(database, Sample(0, make_shop(1000, 0).rows, ()))
    with psycopg.connect(database, autocommit=True) as connection:
        before = dict(connection.execute("SELECT id, amount FROM shop.prices").fetchall())
        untouched = dict(connection.execute("SELECT id, updated_at FROM shop.prices").fetchall())
        change(database, "prices", "amount", lambda prices: dearer(prices, 1))
        after = connection.execute("SELECT id, amount, updated_at FROM shop.prices").fetchall()
    rises = {id_: amount - before[id_] for id_, amount, _ in after if amount != before[id_]}
    assert sorted(rises) == [number for number in range(1, 1001) if is_changed(number)]
    assert sorted(rises.values()) == [Decimal("1.00") + Decimal(step) / 100 for step in range(10)]
    assert all(stamp > untouched[id_] >= OPENED for id_, _, stamp in after if id_ in rises)
    assert all(stamp == untouched[id_] for id_, _, stamp in after if id_ not in rises)
