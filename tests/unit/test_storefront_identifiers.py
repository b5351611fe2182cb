"""The sample's identifiers are valid where they say so, judged by independent libraries."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import ean, luhn
from stdnum.eu import vat as eu_vat
from stdnum.gb import vat as gb_vat

from unierp_assets.storefront.sample import identifiers
from unierp_assets.storefront.sample.pools import COUNTRIES, Country

serials = st.integers(min_value=0, max_value=10**8 - 1)


@given(serials)
def test_barcodes_are_valid_and_a_wrong_check_digit_is_noticed(serial: int) -> None:
    barcode = identifiers.ean13(serial)
    assert ean.is_valid(barcode)
    assert not ean.is_valid(identifiers.wrong_check_digit(barcode))


@given(serials, serials)
def test_two_serials_have_two_barcodes(one: int, other: int) -> None:
    assert (identifiers.ean13(one) == identifiers.ean13(other)) == (one == other)


@pytest.mark.parametrize("country", ["GB", "DE", "FR"])
@given(serial=serials)
def test_vat_numbers_are_valid_and_a_wrong_check_digit_is_noticed(country: str, serial: int) -> None:
    judge = gb_vat if country == "GB" else eu_vat
    number = identifiers.vat_number(country, serial)
    assert judge.is_valid(number)
    assert not judge.is_valid(identifiers.wrong_check_digit(number))


def test_a_country_without_vat_numbers_has_none() -> None:
    with pytest.raises(ValueError, match="'US'"):
        identifiers.vat_number("US", 1)


# Published examples of the formats' specifications.
@pytest.mark.parametrize(
    ("body", "check"), [("47312482", "9"), ("00000000", "5")], ids=["S10 of the UPU", "remainder zero"]
)
def test_postal_tracking_numbers_carry_the_check_digit_of_s10(body: str, check: str) -> None:
    assert identifiers.tracking_number("royal_mail", int(body)) == f"RX{body}{check}GB"


def test_parcel_tracking_numbers_carry_their_check_digits() -> None:
    assert identifiers.tracking_number("ups", 1) == "1ZA999990300000019"
    dhl = identifiers.tracking_number("dhl", 7)
    assert len(dhl) == 20
    assert sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(dhl))) % 10 == 0


@given(st.text(alphabet="0123456789", min_size=1, max_size=20))
def test_luhn_digits_agree_with_the_library(body: str) -> None:
    assert identifiers._luhn_check_digit(body) == luhn.calc_check_digit(body)


def test_an_unknown_carrier_has_no_tracking_numbers() -> None:
    with pytest.raises(ValueError, match="'pigeon'"):
        identifiers.tracking_number("pigeon", 1)


@pytest.mark.parametrize("country", COUNTRIES, ids=lambda country: country.code)
def test_telephone_numbers_are_possible_in_their_country(country: Country) -> None:
    for template in country.phones:
        for digit in "0123456789":
            number = phonenumbers.parse(template.replace("#", digit))
            assert phonenumbers.is_valid_number(number), template
            assert phonenumbers.region_code_for_number(number) == country.code
