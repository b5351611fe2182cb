"""Shipments: goods that left, with carrier and tracking number. An order may leave in several."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, Role, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per shipment; ``contents`` lists order line and quantity as ``line:quantity``, joined by commas."""
    contents = (
        inputs["shipment_lines"]
        .sort("order_line_id")
        .group_by(KEY, maintain_order=True)
        .agg(contents=pl.format("{}:{}", "order_line_id", "quantity").str.join(","))
    )
    return (
        inputs["shipments"]
        .join(contents, on=KEY, how="left")
        .select(
            KEY,
            order=pl.col("order_id").cast(pl.String),
            contents=pl.col("contents"),
            carrier=cleaned("carrier"),
            tracking_number=cleaned("tracking_number"),
            shipped_at=pl.col("shipped_at").dt.truncate("1s"),
            state=pl.lit("done"),
        )
    )


SHIPMENTS = Entity(
    name="shipments",
    domain="orders",
    description="Shipments of orders (validated deliveries in Odoo's words).",
    model="stock.picking",
    inputs=(Input("shipments", "id"), Input("shipment_lines", "shipment_id")),
    fields=(
        Field("order", Kind.REFERENCE, "Key of the order.", role=Role.INITIAL, target="orders"),
        Field("contents", Kind.TEXT, "Order lines and quantities, `line:quantity,...`.", role=Role.INITIAL),
        Field("carrier", Kind.TEXT, "Carrier.", role=Role.STAGED),
        Field("tracking_number", Kind.TEXT, "Tracking number.", odoo="carrier_tracking_ref"),
        Field("shipped_at", Kind.TIMESTAMP, "When the goods left.", odoo="date_done"),
        Field("state", Kind.TEXT, "`done` once the goods have left.", odoo="state"),
    ),
    stage=stage,
    touches=("stock_levels", "orders", "order_lines"),
    readback=(Field("document", Kind.TEXT, "Number of the delivery in UniERP.", odoo="name"),),
)
