"""The probes of four generations of Odoo: 19 and 14 as recorded from servers, 13 and 12 from their documentation."""

import pytest
from odoo_fake import features_of, recorded_fields

from unierp_assets.odoo.catalogue import CONCEPTS, module_of
from unierp_assets.odoo.errors import OdooMissingModule, OdooUnsupported
from unierp_assets.odoo.features import Features

FIELDS = [
    ("sale.order.line", "tax", "tax_ids", "tax_id", "tax_id", "tax_id"),
    ("sale.order.line", "uom", "product_uom_id", "product_uom", "product_uom", "product_uom"),
    ("purchase.order.line", "tax", "tax_ids", "taxes_id", "taxes_id", "taxes_id"),
    ("purchase.order.line", "uom", "product_uom_id", "product_uom", "product_uom", "product_uom"),
    ("stock.picking", "moves", "move_ids", "move_lines", "move_lines", "move_lines"),
    ("stock.move", "done", "quantity", "quantity_done", "quantity_done", "quantity_done"),
    ("stock.move", "returnable", "quantity", "product_qty", "product_qty", "product_qty"),
    ("stock.move", "aim", "location_final_id", "location_dest_id", "location_dest_id", "location_dest_id"),
    ("stock.move.line", "done", "quantity", "qty_done", "qty_done", "qty_done"),
    ("product.template", "image", "image_1920", "image_1920", "image_1920", "image"),
    ("product.product", "image", "image_variant_1920", "image_variant_1920", "image_variant_1920", "image_variant"),
    ("account.account", "class", "account_type", "user_type_id", "user_type_id", "user_type_id"),
    ("res.users", "groups", "group_ids", "groups_id", "groups_id", "groups_id"),
    ("product.supplierinfo", "vendor", "partner_id", "name", "name", "name"),
    ("uom.uom", "ratio", "factor", "factor_inv", "factor_inv", "factor_inv"),
    ("account.payment", "reference", "memo", "ref", "communication", "communication"),
    ("account.payment", "date", "date", "date", "payment_date", "payment_date"),
]


@pytest.mark.parametrize(("model", "concept", "v19", "v14", "v13", "v12"), FIELDS)
def test_a_field_is_called_what_its_generation_calls_it(
    model: str, concept: str, v19: str, v14: str, v13: str, v12: str
) -> None:
    names = {version: features_of(version).field(model, concept) for version in (19, 14, 13, 12)}
    assert names == {19: v19, 14: v14, 13: v13, 12: v12}


@pytest.mark.parametrize(
    ("concept", "v19", "v14", "v13", "v12"),
    [
        ("lot", "stock.lot", "stock.production.lot", "stock.production.lot", "stock.production.lot"),
        ("invoice", "account.move", "account.move", "account.move", "account.invoice"),
        (
            "payment_register",
            "account.payment.register",
            "account.payment.register",
            "account.payment.register",
            "account.register.payments",
        ),
        ("return", "action_create_returns", "create_returns", "create_returns", "create_returns"),
        ("set_stock", "quants", "inventory", "inventory", "inventory"),
        ("validate", "button_validate", "button_validate", "action_done", "action_done"),
        ("pay", "action_post", "action_post", "post", "post"),
        (
            "withdraw",
            ("action_cancel",),
            ("action_draft", "action_cancel"),
            ("action_draft", "cancel"),
            ("action_draft", "cancel"),
        ),
        ("move_name", False, True, True, True),
        ("payment_register_amount", True, True, False, False),
        ("parallel_numbers", True, False, False, False),
        ("customer", {"customer_rank": 1}, {"customer_rank": 1}, {"customer_rank": 1}, {"customer": True}),
        ("supplier", {"supplier_rank": 1}, {"supplier_rank": 1}, {"supplier_rank": 1}, {"supplier": True}),
        (
            "storable",
            {"type": "consu", "is_storable": True},
            {"type": "product"},
            {"type": "product"},
            {"type": "product"},
        ),
    ],
)
def test_a_concept_is_said_as_its_generation_says_it(
    concept: str, v19: object, v14: object, v13: object, v12: object
) -> None:
    answers = {version: features_of(version).choose(concept) for version in (19, 14, 13, 12)}
    assert answers == {19: v19, 14: v14, 13: v13, 12: v12}


@pytest.mark.parametrize(
    ("version", "kind", "paid"), [(19, "move_type", "payment_state"), (13, "type", "invoice_payment_state")]
)
def test_invoices_tell_their_kind_and_their_payment_by_generation(version: int, kind: str, paid: str) -> None:
    features = features_of(version)
    assert features.field("account.move", "type") == kind
    assert features.field("account.move", "paid") == paid


def test_loyalty_is_unknown_to_odoo_12() -> None:
    assert features_of(19).model("loyalty_card") == "loyalty.card"
    assert features_of(14).model("loyalty_card") == "coupon.coupon"
    assert features_of(13).model("loyalty_card") == "sale.coupon"
    with pytest.raises(OdooMissingModule, match="install the app 'loyalty'"):
        features_of(12).model("loyalty_card")


def test_a_field_no_generation_names_is_unsupported() -> None:
    features = Features(lambda model: {"id": {"type": "integer"}})
    with pytest.raises(OdooUnsupported, match=r"no sale\.order\.line/tax"):
        features.field("sale.order.line", "tax")


def test_an_unknown_concept_is_a_mistake_of_the_program() -> None:
    with pytest.raises(KeyError):
        features_of(19).field("sale.order.line", "colour")


def test_a_model_is_asked_once_and_again_after_it_was_forgotten() -> None:
    asked: list[str] = []

    def fields_get(model: str) -> dict[str, dict[str, str]]:
        asked.append(model)
        return {"name": {"type": "char"}}

    features = Features(fields_get)
    assert features.has("res.partner", "name")
    assert not features.has("res.partner", "customer")
    assert asked == ["res.partner"]
    features.forget()
    assert features.has("res.partner")
    assert asked == ["res.partner"] * 2


def test_a_missing_app_is_named_with_the_server() -> None:
    def fields_get(model: str) -> dict[str, dict[str, str]]:
        raise OdooMissingModule(f"no {model}")

    features = Features(fields_get, server="https://erp.example.com/main")
    with pytest.raises(OdooMissingModule) as caught:
        features.require("delivery.carrier")
    assert str(caught.value) == (
        "UniERP has no model delivery.carrier for this user"
        " (server https://erp.example.com/main, model delivery.carrier): install the app 'delivery' in UniERP."
    )


def test_a_missing_field_names_the_app_that_adds_it() -> None:
    features = Features(lambda model: {"name": {"type": "char"}})
    with pytest.raises(OdooMissingModule, match="install the app 'sale_stock'"):
        features.require_field("stock.picking", "sale_id")


@pytest.mark.parametrize(
    ("model", "module"),
    [
        ("sale.order", "sale_management"),
        ("sale.coupon.program", "sale_coupon"),
        ("stock.valuation.layer", "stock_account"),
        ("stock.picking", "stock"),
        ("x_studio.thing", None),
    ],
)
def test_the_app_of_a_model_is_that_of_its_longest_known_prefix(model: str, module: str | None) -> None:
    assert module_of(model) == module


def test_numbers_are_given_on_one_connection_where_they_would_collide() -> None:
    assert features_of(14).number_lanes(4) == 1
    assert features_of(19).number_lanes(4) == 4


@pytest.mark.parametrize("version", [19, 14, 13, 12])
def test_every_concept_has_an_answer_or_a_reason_on_every_generation(version: int) -> None:
    features = features_of(version)
    models = recorded_fields(version)
    for concept, options in CONCEPTS.items():
        holding = [option for option in options if option.model in models and features.has(option.model, option.field)]
        if holding:
            assert features.choose(concept) == holding[0].value
        else:
            with pytest.raises((OdooMissingModule, OdooUnsupported)):
                features.choose(concept)
