"""Addresses of UniERP's pages, as far as they can be told without a server."""

from unierp_assets.entities import ENTITIES
from unierp_assets.odoo.links import LISTS, list_url, record_url


def test_the_page_of_a_record_names_database_model_and_id() -> None:
    assert record_url("http://erp:8069/", "books", "sale.order", 7) == (
        "http://erp:8069/web?db=books#id=7&model=sale.order&view_type=form"
    )


def test_a_list_is_opened_by_its_action_and_a_model_without_one_has_no_page() -> None:
    assert list_url("http://erp", "my books", "sale.order") == "http://erp/web?db=my%20books#action=sale.action_orders"
    assert list_url("http://erp", "books", "ir.cron") is None


def test_every_model_of_an_entity_has_a_list() -> None:
    assert {entity.model for entity in ENTITIES.values()} <= set(LISTS)
