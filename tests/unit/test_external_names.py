"""Names of external ids: each key has one, and no other name stands for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unierp_assets.sync.load.codec import external_name, parse_external_name


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_every_key_is_found_again_by_its_name(key: str) -> None:
    assert parse_external_name(external_name("taxes", key)) == ("taxes", key)


@pytest.mark.parametrize(
    "name",
    [
        "payments__3_account_move",  # the journal entry, named by Odoo 14 after its payment
        "customers__a_41~",  # what needs no code is not written as one
        "customers__1_ffffff~",  # no character has this code
        "customers___0~",  # no database keeps these two in a text
        "customers___d800~",
        "customers__",
        "__7",
        "customers_7",
        "hand-made",
    ],
)
def test_another_name_stands_for_no_key(name: str) -> None:
    assert parse_external_name(name) is None
