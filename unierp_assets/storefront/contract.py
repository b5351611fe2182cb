"""The storefront contract: the tables and columns a shop offers, and what each of them means.

Belongs here: the SQLAlchemy tables of the contract, their comments, the DDL that keeps ``updated_at`` true, and the
page that is generated from them (:func:`contract_markdown`). Does not belong here: reading a shop (``sql.py``), sample
rows (``sample``), and anything about what the rows become later.

A shop whose own schema differs offers views with these names and columns. There are no foreign keys and hardly any
constraints, on purpose: real shops hold orders of deleted customers and prices below zero, and such a row has to be
storable here so that it can be found, named and held back instead of being refused where nobody looks. Only the key
of a table is unique, and only the key and ``updated_at`` are never null.
"""

import sys
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    event,
)
from sqlalchemy.sql.type_api import TypeEngine

DEFAULT_SCHEMA: Final = "shop"
COMPANY_CURRENCY: Final = "USD"
"""The currency of the company's books; exchange rates are units of a currency for one of these."""
UPDATED_AT: Final = "updated_at"

MONEY: Final = Numeric(16, 4)
QUANTITY: Final = Numeric(16, 4)
PERCENT: Final = Numeric(9, 4)
RATE: Final = Numeric(18, 8)
INSTANT: Final = DateTime(timezone=True)

PROGRESS_COLUMNS: Final = ("delivery_status", "tracking_numbers", "invoice_numbers", "invoiced_total", "paid_total")
"""What UniERP tells the shop about an order: columns of ``orders`` that the shop itself never writes."""

LINE_ARITHMETIC: Final = """\
Amounts are rounded per line to the decimals of the order's currency, halves away from zero.

- `prices_include_tax`: `gross = round(quantity * unit_price - discount_amount)`,
  `tax_amount = gross - round(gross / (1 + rate / 100))`, `total = gross`.
- otherwise: `net = round(quantity * unit_price - discount_amount)`, `tax_amount = round(net * rate / 100)`,
  `total = net + tax_amount`.
- Of an order: `total` is the sum of its lines' `total`, `tax_total` of their `tax_amount`, `discount_total` of their
  `discount_amount` (a coupon is allocated to the lines), `shipping_total` is the `total` of the shipping line.
- A line without `tax_code` has no tax. The tax of a line has `included` equal to the order's `prices_include_tax`.
"""


def _key(name: str, type_: TypeEngine[Any] | type[TypeEngine[Any]], comment: str) -> Column[Any]:
    return Column(name, type_, primary_key=True, autoincrement=False, comment=comment)


def _column(
    name: str,
    type_: TypeEngine[Any] | type[TypeEngine[Any]],
    comment: str,
    *,
    personal: bool = False,
    written: bool = False,
) -> Column[Any]:
    marks = {name: True for name, holds in (("personal", personal), ("written", written)) if holds}
    return Column(name, type_, nullable=True, comment=comment, info=marks)


def _table(metadata: MetaData, name: str, comment: str, *columns: Column[Any], writes: tuple[str, ...] = ()) -> Table:
    updated_at = Column(
        UPDATED_AT,
        INSTANT,
        nullable=False,
        # No default: the trigger fills it, also for statements that name the column and give NULL.
        comment="When this row last changed; set by the database. The cursor of incremental reads.",
    )
    table = Table(name, metadata, *columns, updated_at, comment=comment, info={"writes": writes})
    (key,) = table.primary_key.columns
    Index(f"ix_{name}_{UPDATED_AT}", updated_at, key)
    return table


def _catalogue(metadata: MetaData) -> None:
    _table(
        metadata,
        "currencies",
        "Currencies the shop knows.",
        _key("code", Text, "ISO 4217 code, upper case."),
        _column("name", Text, "English name."),
        _column("decimals", Integer, "Decimals amounts in this currency are rounded to."),
        _column("active", Boolean, "Whether the shop sells in this currency today."),
    )
    _table(
        metadata,
        "exchange_rates",
        "Daily exchange rates against the company's currency.",
        _key("id", BigInteger, "Key."),
        _column("currency", Text, "currencies.code."),
        _column("valid_on", Date, "Day (UTC) from which the rate holds, until the next one."),
        _column("rate", RATE, f"Units of the currency for one unit of the company's currency ({COMPANY_CURRENCY})."),
    )
    _table(
        metadata,
        "taxes",
        "Taxes lines are sold under.",
        _key("code", Text, "Code of the tax in the shop, stable over time."),
        _column("name", Text, "Name shown on invoices."),
        _column("country", Text, "ISO 3166-1 alpha-2 code of the country that levies it."),
        _column("rate", PERCENT, "Percent of the net amount, for example 20."),
        _column("included", Boolean, "Whether prices under this tax include it."),
    )
    _table(
        metadata,
        "categories",
        "The category tree of the catalogue.",
        _key("id", BigInteger, "Key."),
        _column("name", Text, "Name without its parents' names.", written=True),
        _column("parent_id", BigInteger, "categories.id of the parent; null at the root.", written=True),
        _column("position", Integer, "Order among its siblings."),
        _column("active", Boolean, "Whether it is shown."),
    )
    _table(
        metadata,
        "attributes",
        "What variants of a product differ by, for example colour.",
        _key("id", BigInteger, "Key."),
        _column("name", Text, "Name."),
        _column("position", Integer, "Order in which attributes are shown."),
    )
    _table(
        metadata,
        "attribute_values",
        "The values an attribute can have, for example black.",
        _key("id", BigInteger, "Key."),
        _column("attribute_id", BigInteger, "attributes.id."),
        _column("name", Text, "Name, unique within its attribute."),
        _column("position", Integer, "Order within the attribute."),
    )
    _table(
        metadata,
        "products",
        "Products as customers see them; what is sold is one of a product's variants.",
        _key("id", BigInteger, "Key."),
        _column("name", Text, "Name.", written=True),
        _column("description", Text, "Description as plain text.", written=True),
        _column("category_id", BigInteger, "categories.id.", written=True),
        _column("tax_code", Text, "taxes.code the product is normally sold under; null for none.", written=True),
        _column("active", Boolean, "Whether it is offered.", written=True),
        _column("created_at", INSTANT, "When it was created."),
    )
    _table(
        metadata,
        "variants",
        "What is sold and stocked. A product without attributes has exactly one.",
        _key("id", BigInteger, "Key."),
        _column("product_id", BigInteger, "products.id."),
        _column("sku", Text, "Stock-keeping unit, unique in the shop.", written=True),
        _column("barcode", Text, "EAN-13 or other GTIN with its check digit; null for none.", written=True),
        _column("weight_kg", QUANTITY, "Weight in kilograms.", written=True),
        _column("cost_amount", MONEY, "What one unit costs the shop, without tax.", written=True),
        _column("cost_currency", Text, "currencies.code of cost_amount."),
        _column("position", Integer, "Order within the product."),
        _column("active", Boolean, "Whether it is offered.", written=True),
    )
    _table(
        metadata,
        "variant_values",
        "Which attribute values a variant has: at most one of each attribute, the same attributes for all variants "
        "of a product, and no two variants of a product with the same values.",
        _key("id", BigInteger, "Key."),
        _column("variant_id", BigInteger, "variants.id."),
        _column("attribute_value_id", BigInteger, "attribute_values.id."),
    )
    _table(
        metadata,
        "prices",
        "Prices of variants. At most one undated price for each variant and currency; dated prices override it "
        "while they hold.",
        _key("id", BigInteger, "Key."),
        _column("variant_id", BigInteger, "variants.id."),
        _column("currency", Text, "currencies.code."),
        _column(
            "amount",
            MONEY,
            "Price of one unit, with or without tax as the shop shows it in this currency.",
            written=True,
        ),
        _column("valid_from", INSTANT, "First instant it holds; null for always.", written=True),
        _column("valid_to", INSTANT, "First instant it no longer holds; null for never ending.", written=True),
        writes=("DELETE",),
    )


def _stock(metadata: MetaData) -> None:
    _table(
        metadata,
        "locations",
        "Where stock is kept.",
        _key("id", BigInteger, "Key."),
        _column("code", Text, "Short code, unique."),
        _column("name", Text, "Name."),
        _column("country", Text, "ISO 3166-1 alpha-2 code."),
    )
    _table(
        metadata,
        "stock_levels",
        "Stock per variant and location, one row for each pair.",
        _key("id", BigInteger, "Key."),
        _column("variant_id", BigInteger, "variants.id."),
        _column("location_id", BigInteger, "locations.id."),
        _column("on_hand", QUANTITY, "Units in the location."),
        _column(
            "available",
            QUANTITY,
            "Units the shop believes it may still sell; each sync writes back what is really available.",
            written=True,
        ),
    )


def _people(metadata: MetaData) -> None:
    _table(
        metadata,
        "customer_groups",
        "Groups customers are put in, for example trade customers.",
        _key("id", BigInteger, "Key."),
        _column("name", Text, "Name."),
    )
    _table(
        metadata,
        "customers",
        "People and companies that buy. A guest has no account; buying again as a guest may make another row.",
        _key("id", BigInteger, "Key."),
        _column("kind", Text, "`registered` or `guest`."),
        _column("email", Text, "E-mail address as it was typed.", personal=True),
        _column("first_name", Text, "First name.", personal=True),
        _column("last_name", Text, "Last name.", personal=True),
        _column("company", Text, "Company name; null for private persons.", personal=True),
        _column(
            "vat",
            Text,
            "VAT identification number with its country prefix; null for none.",
            personal=True,
            written=True,
        ),
        _column("phone", Text, "Telephone number as it was typed.", personal=True, written=True),
        _column("language", Text, "Language tag, for example `en-GB`."),
        _column("created_at", INSTANT, "When the row was created."),
        _column("active", Boolean, "Whether the customer may buy.", written=True),
    )
    _table(
        metadata,
        "customer_group_members",
        "Which customers are in which groups.",
        _key("id", BigInteger, "Key."),
        _column("customer_id", BigInteger, "customers.id."),
        _column("group_id", BigInteger, "customer_groups.id."),
        writes=("INSERT", "DELETE"),
    )
    _table(
        metadata,
        "addresses",
        "Addresses of customers.",
        _key("id", BigInteger, "Key."),
        _column("customer_id", BigInteger, "customers.id."),
        _column("kind", Text, "`billing` or `shipping`."),
        _column("name", Text, "Recipient.", personal=True),
        _column("company", Text, "Company of the recipient; null for none.", personal=True),
        _column("street", Text, "Street and number.", personal=True),
        _column("street2", Text, "Second line; null for none.", personal=True),
        _column("city", Text, "City.", personal=True),
        _column("postcode", Text, "Postal code.", personal=True),
        _column("region", Text, "State or province: the subdivision part of ISO 3166-2 (`CA`); null for none."),
        _column("country", Text, "ISO 3166-1 alpha-2 code."),
        _column("phone", Text, "Telephone number at this address; null for none.", personal=True),
    )


def _orders(metadata: MetaData) -> None:
    _table(
        metadata,
        "orders",
        "Orders. How their amounts are computed is said under Line arithmetic.",
        _key("id", BigInteger, "Key."),
        _column("number", Text, "Number shown to the customer, unique."),
        _column("customer_id", BigInteger, "customers.id."),
        _column("channel", Text, "Where it was placed: `web`, `app` or `phone`."),
        _column("currency", Text, "currencies.code of every amount of the order."),
        _column("prices_include_tax", Boolean, "Whether unit prices and discounts of its lines include tax."),
        _column("status", Text, "`pending`, `confirmed`, `shipped`, `completed` or `cancelled`.", written=True),
        _column("placed_at", INSTANT, "When it was placed."),
        _column("billing_address_id", BigInteger, "addresses.id."),
        _column("shipping_address_id", BigInteger, "addresses.id."),
        _column("coupon_code", Text, "Coupon the customer used; null for none. Its effect is in the lines."),
        _column("discount_total", MONEY, "Sum of the lines' discount_amount."),
        _column("shipping_total", MONEY, "Total of the shipping line, with tax; 0 without one."),
        _column("tax_total", MONEY, "Sum of the lines' tax_amount."),
        _column("total", MONEY, "Sum of the lines' total: what the customer pays."),
        _column(
            "delivery_status",
            Text,
            "`none`, `partial` or `full`: what UniERP has delivered; null until it knows the order.",
            written=True,
        ),
        _column("tracking_numbers", Text, "Tracking numbers of UniERP's deliveries, joined by commas.", written=True),
        _column(
            "invoice_numbers", Text, "Numbers of UniERP's invoices and credit notes, joined by commas.", written=True
        ),
        _column(
            "invoiced_total", MONEY, "Invoiced in UniERP less credited; null until it knows the order.", written=True
        ),
        _column("paid_total", MONEY, "Received in UniERP less paid back; null until it knows the order.", written=True),
    )
    _table(
        metadata,
        "order_lines",
        "Lines of orders, the shipping charge among them.",
        _key("id", BigInteger, "Key."),
        _column("order_id", BigInteger, "orders.id."),
        _column("position", Integer, "Order within the order, from 1."),
        _column("kind", Text, "`product` or `shipping`; at most one shipping line per order."),
        _column("variant_id", BigInteger, "variants.id; null for shipping."),
        _column("name", Text, "Text of the line as the customer saw it."),
        _column("quantity", QUANTITY, "Units, above 0."),
        _column("unit_price", MONEY, "Price of one unit before discount, with tax if the order's prices include it."),
        _column("discount_amount", MONEY, "Taken off the whole line, 0 or more; includes its part of a coupon."),
        _column("tax_code", Text, "taxes.code; null for no tax."),
        _column("tax_amount", MONEY, "Tax of the line."),
        _column("total", MONEY, "What the customer pays for the line, with tax."),
    )
    _table(
        metadata,
        "order_status_history",
        "Every status an order has had.",
        _key("id", BigInteger, "Key."),
        _column("order_id", BigInteger, "orders.id."),
        _column("status", Text, "As orders.status."),
        _column("at", INSTANT, "Since when."),
    )
    _table(
        metadata,
        "payments",
        "Payments of orders, failed attempts among them.",
        _key("id", BigInteger, "Key."),
        _column("order_id", BigInteger, "orders.id."),
        _column("method", Text, "`card`, `paypal` or `bank_transfer`."),
        _column("status", Text, "`authorised`, `captured`, `partially_captured` or `failed`."),
        _column("currency", Text, "currencies.code; the order's currency."),
        _column("authorised_amount", MONEY, "Amount the customer agreed to; 0 for a failed attempt."),
        _column("captured_amount", MONEY, "Amount really taken; 0 until something is captured."),
        _column("captured_at", INSTANT, "When it was taken; null until then."),
        _column("reference", Text, "Reference of the payment provider, unique."),
    )
    _table(
        metadata,
        "shipments",
        "Parcels that left. An order may be shipped in parts: it stays `confirmed` until the last one has left.",
        _key("id", BigInteger, "Key."),
        _column("order_id", BigInteger, "orders.id."),
        _column("carrier", Text, "`ups`, `royal_mail`, `dhl` or `colissimo`."),
        _column("tracking_number", Text, "Tracking number of the carrier."),
        _column("tracking_url", Text, "Page that shows where the parcel is."),
        _column("shipped_at", INSTANT, "When it left."),
    )
    _table(
        metadata,
        "shipment_lines",
        "What was in a parcel.",
        _key("id", BigInteger, "Key."),
        _column("shipment_id", BigInteger, "shipments.id."),
        _column("order_line_id", BigInteger, "order_lines.id."),
        _column("quantity", QUANTITY, "Units of the line in this parcel."),
    )


# Keeps updated_at true where a statement does not set it itself.
_TOUCH_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.updated_at := coalesce(NEW.updated_at, clock_timestamp());
    ELSIF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$
"""
_TOUCH_TRIGGER: Final = (
    "CREATE TRIGGER touch_updated_at BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
)


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


@cache
def contract_metadata(schema: str = DEFAULT_SCHEMA) -> MetaData:
    """The contract's tables in ``schema``; ``create_all`` also creates the schema, the comments and the triggers.

    ``Table.primary_key`` is the key, ``Column.info["personal"]`` marks personal data. The order of
    ``metadata.tables`` is the order in which rows can be read so that what a row points to was read before it.
    """
    metadata = MetaData(schema=schema)
    _catalogue(metadata)
    _stock(metadata)
    _people(metadata)
    _orders(metadata)

    def before_create(target: MetaData, connection: Connection, **_options: object) -> None:
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {_quote(schema)}")
        connection.exec_driver_sql(_TOUCH_FUNCTION.format(function=function))

    def after_create(target: Table, connection: Connection, **_options: object) -> None:
        table_name = f"{_quote(schema)}.{_quote(target.name)}"
        connection.exec_driver_sql(_TOUCH_TRIGGER.format(table=table_name, function=function))

    function = f"{_quote(schema)}.touch_updated_at"
    event.listen(metadata, "before_create", before_create)
    for table in metadata.tables.values():
        event.listen(table, "after_create", after_create)
    return metadata


def contract_tables(schema: str = DEFAULT_SCHEMA) -> dict[str, Table]:
    """The contract's tables by their bare names, in reading order."""
    return {table.name: table for table in contract_metadata(schema).tables.values()}


def key_column(table: Table) -> Column[Any]:
    """The one column that identifies a row of a contract table."""
    (key,) = table.primary_key.columns
    return key


def is_personal(column: Column[Any]) -> bool:
    """Whether a column holds personal data."""
    return bool(column.info.get("personal"))


def is_written(column: Column[Any]) -> bool:
    """Whether the sync writes the column back to the shop."""
    return bool(column.info.get("written"))


def type_name(column: Column[Any]) -> str:
    """The column's PostgreSQL type as documentation writes it, for example ``numeric(16,4)``."""
    match column.type:
        case DateTime():
            return "timestamptz"
        case Numeric() as numeric:
            return f"numeric({numeric.precision},{numeric.scale})"
        case other:
            return str(other).lower()


def contract_markdown() -> str:
    """The contract as a Markdown page, generated from the tables and their comments."""
    lines = [
        "# The storefront contract",
        "",
        "<!-- Generated: python -m unierp_assets.storefront.contract > docs/storefront-contract.md -->",
        "",
        "What a shop offers so that it can be kept in agreement with UniERP: the tables below, or views with the same",
        f"names and columns, in one PostgreSQL schema (`{DEFAULT_SCHEMA}` unless configured otherwise).",
        "",
        "- There are no foreign keys and hardly any constraints, on purpose: real shops are dirty, and a faulty row",
        "  has to be storable so that it can be found, named and held back. A faulty row never stops a good one.",
        "- Every table has one key column that never changes, and `updated_at`, which must grow with every change of",
        "  the row. The tables of the sample do this by a trigger; a view offers the column it has. Its steps, and the",
        "  distance of the shop's clock from ours, must be smaller than the overlap (`UNIERP_OVERLAP_SECONDS`).",
        "- Amounts and quantities are exact (`numeric`), never floating point. Instants carry a time zone.",
        "- **personal** marks personal data: it is not shown to analysts and is subject to erasure.",
        "- **written** marks what flows back from UniERP; nothing else is ever written. A view needs an",
        "  `INSTEAD OF UPDATE` trigger for it. A row that changed in the shop since it was read is not overwritten.",
        "",
        "## Line arithmetic",
        "",
        LINE_ARITHMETIC,
        "## Tables",
    ]
    for table in contract_tables().values():
        lines += ["", f"### {table.name}", "", str(table.comment), "", "| column | type | meaning |", "|---|---|---|"]
        for column in table.columns:
            held = {"key": column.primary_key, "personal": is_personal(column), "written": is_written(column)}
            marks = "".join(f" **{mark}**" for mark, holds in held.items() if holds)
            lines.append(f"| `{column.name}` | {type_name(column)} | {column.comment}{marks} |")
    lines += [
        "",
        "## Rights",
        "",
        "What the user of the sync needs, here called `unierp`:",
        "",
        "```sql",
        *grants("unierp"),
        "```",
    ]
    return "\n".join(lines) + "\n"


def grants(role: str, schema: str = DEFAULT_SCHEMA) -> list[str]:
    """The SQL that gives a user what a sync needs: reading everything, writing what flows back."""
    found = [f"GRANT USAGE ON SCHEMA {schema} TO {role};", f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};"]
    for name, table in contract_tables(schema).items():
        columns = ", ".join(column.name for column in table.columns if is_written(column))
        rights = [*([f"UPDATE ({columns})"] if columns else []), *table.info["writes"]]
        if rights:
            found.append(f"GRANT {', '.join(rights)} ON {schema}.{name} TO {role};")
    return found


if __name__ == "__main__":
    sys.stdout.write(contract_markdown())
