"""Identifiers with check digits, computed so that the sample's good rows are really good.

Belongs here: pure functions from a serial number to an identifier. Does not belong here: randomness, rows.
"""

from typing import Final

_UPS_LETTER_BASE: Final = 2
_MOD97: Final = 97


def ean13(serial: int) -> str:
    """A GTIN-13 in the range 20 to 29, which GS1 leaves to shops themselves, so that it is nobody's product."""
    body = f"2{serial:011d}"
    return body + _gs1_check_digit(body)


def wrong_check_digit(number: str) -> str:
    """The same number with a last digit that is not its check digit."""
    return number[:-1] + str((int(number[-1]) + 1) % 10)


def vat_number(country: str, serial: int) -> str:
    """A VAT number of GB, DE or FR with its country prefix and right check digits."""
    match country:
        case "GB":
            body = f"{1_000_000 + serial % 8_990_000:07d}"
            weighted = sum(int(digit) * weight for digit, weight in zip(body, range(8, 1, -1), strict=True))
            # Numbers from 1 000 000 on may use either modulus; this is the older one.
            return f"GB{body}{_MOD97 - weighted % _MOD97:02d}"
        case "DE":
            body = f"{10_000_000 + serial % 89_990_000:08d}"
            return f"DE{body}{_iso7064_mod11_10(body)}"
        case "FR":
            body = f"{30_000_000 + serial % 60_000_000:08d}"
            siren = body + _luhn_check_digit(body)
            return f"FR{(12 + 3 * (int(siren) % _MOD97)) % _MOD97:02d}{siren}"
        case _:
            raise ValueError(f"There is no VAT number for {country!r} here.")


def tracking_number(carrier: str, serial: int) -> str:
    """A tracking number in the form of ``ups``, ``royal_mail``, ``colissimo`` or ``dhl``, with its check digit."""
    match carrier:
        case "ups":
            body = f"A9999903{serial % 10_000_000:07d}"
            values = [(ord(mark) - ord("A") + _UPS_LETTER_BASE) % 10 if mark.isalpha() else int(mark) for mark in body]
            total = sum(value * (2 if place % 2 else 1) for place, value in enumerate(values))
            return f"1Z{body}{-total % 10}"
        case "royal_mail":
            return _s10("RX", serial, "GB")
        case "colissimo":
            return _s10("CX", serial, "FR")
        case "dhl":
            body = f"0034043{serial % 10**12:012d}"
            return body + _gs1_check_digit(body)
        case _:
            raise ValueError(f"There is no carrier {carrier!r} here.")


def tracking_url(carrier: str, number: str) -> str:
    """A page for the parcel, on the shop's own invented host."""
    return f"https://track.shop.example/{carrier}/{number}"


def _gs1_check_digit(body: str) -> str:
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)


def _luhn_check_digit(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (1 if place % 2 else 2)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def _iso7064_mod11_10(body: str) -> str:
    check = 5
    for digit in body:
        check = (((check or 10) * 2) % 11 + int(digit)) % 10
    return str((1 - ((check or 10) * 2) % 11) % 10)


def _s10(service: str, serial: int, country: str) -> str:
    body = f"{serial % 10**8:08d}"
    weighted = sum(int(digit) * weight for digit, weight in zip(body, (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
    check = 11 - weighted % 11
    return f"{service}{body}{ {10: 0, 11: 5}.get(check, check) }{country}"
