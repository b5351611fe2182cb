"""Pictures are drawn from whatever there is, also from nothing."""

import base64
import io
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from PIL import Image

from unierp_assets.assets.plots import day_of_work

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
HOUR = datetime(2026, 11, 22, 11, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
THROUGHPUT = {"hour": INSTANT, "system": pl.String, "entries": pl.Int64}
DELAYS = {"hour": INSTANT, "changes": pl.Int64, "median": pl.Int64, "p95": pl.Int64}
UNIERP, STOREFRONT, SLOWEST = (0x71, 0x4B, 0x67), (0x2B, 0x8A, 0x8A), (0xC2, 0x55, 0x2D)


def drawn(throughput: list[tuple[object, ...]], delays: list[tuple[object, ...]]) -> Image.Image:
    written = pl.DataFrame(throughput, schema=THROUGHPUT, orient="row")
    address = day_of_work(written, pl.DataFrame(delays, schema=DELAYS, orient="row"), NOW)
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


def of_colour(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many of its points have the colour."""
    return sum(count for count, found in picture.getcolors(picture.width * picture.height) or [] if found == colour)


@pytest.mark.parametrize("systems", [[], ["unierp"], ["storefront"], ["unierp", "storefront"]])
def test_each_system_that_was_written_is_drawn_in_its_colour(systems: list[str]) -> None:
    picture = drawn([(HOUR, system, 40) for system in systems], [])
    for system, colour in (("unierp", UNIERP), ("storefront", STOREFRONT)):
        assert (of_colour(picture, colour) > 1000) is (system in systems), (system, of_colour(picture, colour))


def test_delays_are_drawn_where_there_are_some() -> None:
    some = [(HOUR - timedelta(hours=hours), 5, 4, 9) for hours in range(10)]
    assert of_colour(drawn([], some), SLOWEST) > of_colour(drawn([], []), SLOWEST) + 100
