"""Canonical forms of the values people type: e-mail addresses, phone numbers, VAT ids, barcodes, countries.

Each function works on a polars expression and asks a well-kept library once per distinct value. What a library
cannot read is kept as it is (trimmed): it is the gate that refuses it, with the value in the report.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import polars as pl


def _each(expression: pl.Expr, function: Callable[[str], str | bool | None], dtype: pl.DataType) -> pl.Expr:
    def apply(series: pl.Series) -> pl.Series:
        distinct = series.unique().drop_nulls()
        results = [function(value) for value in distinct.to_list()]
        return series.replace_strict(distinct, pl.Series(results, dtype=dtype), default=None, return_dtype=dtype)

    return expression.map_batches(apply, return_dtype=dtype)


def phone(expression: pl.Expr) -> pl.Expr:
    """Phone numbers in E.164 (``+4930123456``); what is no international number stays as it is."""
    return _each(expression, _phone, pl.String())


def is_email(expression: pl.Expr) -> pl.Expr:
    """Whether the text is an e-mail address by the rules of the RFCs (no look-up of its domain). Null stays null."""
    return _each(expression, _is_email, pl.Boolean())


def is_vat(expression: pl.Expr) -> pl.Expr:
    """Whether the text is a VAT id with a right check digit; the first two letters are the country."""
    return _each(expression, _is_vat, pl.Boolean())


def is_barcode(expression: pl.Expr) -> pl.Expr:
    """Whether the text is an EAN-8, UPC-A, EAN-13 or GTIN-14 with a right check digit."""
    return _each(expression, _is_barcode, pl.Boolean())


def country(expression: pl.Expr) -> pl.Expr:
    """ISO 3166 alpha-2 codes from codes or English names; what is unknown stays as it is (in capitals)."""
    return _each(expression, _country, pl.String())


def is_country(expression: pl.Expr) -> pl.Expr:
    """Whether the text is an ISO 3166 alpha-2 code."""
    return _each(expression, _is_country, pl.Boolean())


def region(country_code: pl.Expr, name: pl.Expr) -> pl.Expr:
    """ISO 3166-2 codes (``US-CA``, ``ES-M``) from a country's code and a region's code or name; null where there is no
    such region."""
    return _each(pl.concat_str(country_code, name, separator="\n"), _region, pl.String())


def _phone(value: str) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        return value
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _is_email(value: str) -> bool:
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return False
    return True


def _is_vat(value: str) -> bool:
    from stdnum.eu import vat as eu_vat
    from stdnum.gb import vat as gb_vat

    if value.startswith("GB"):
        return bool(gb_vat.is_valid(value))
    return bool(eu_vat.is_valid(value))


def _is_barcode(value: str) -> bool:
    from stdnum import ean

    return bool(ean.is_valid(value))


@lru_cache(maxsize=4096)
def _country(value: str) -> str:
    import pycountry

    code = value.strip().upper()
    code = _OTHER_CODES.get(code, code)
    if pycountry.countries.get(alpha_2=code):
        return code
    found = pycountry.countries.get(name=value.strip()) or pycountry.countries.get(alpha_3=code)
    return str(found.alpha_2) if found else code


def _is_country(value: str) -> bool:
    import pycountry

    return value == _KOSOVO or pycountry.countries.get(alpha_2=value) is not None


_KOSOVO = "XK"
"""In use everywhere, though ISO only reserves it."""

_OTHER_CODES = {"EL": "GR", "UK": "GB"}
"""What the European Union writes for a country whose ISO code is another."""


@lru_cache(maxsize=4096)
def _region(pair: str) -> str | None:
    import pycountry

    country_code, _, text = pair.partition("\n")
    code = text.strip().upper()
    found = pycountry.subdivisions.get(code=code if code.startswith(f"{country_code}-") else f"{country_code}-{code}")
    return str(found.code) if found else _regions(country_code).get(_plain(text))


@lru_cache(maxsize=512)
def _regions(country_code: str) -> dict[str, str]:
    """Codes of a country's regions by their names without accents. A name goes before a part of one ("Valencia" of
    "Valencia / València"), and a part that several names have stands for none."""
    import pycountry

    regions = list(pycountry.subdivisions.get(country_code=country_code) or ())
    parts = [(part, each.code) for each in regions for part in map(_plain, re.split(r"[/\[\],]", each.name)) if part]
    bearers = Counter(part for part, _ in parts)
    whole = {_plain(each.name): str(each.code) for each in regions}
    return {part: code for part, code in parts if bearers[part] == 1} | whole


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
