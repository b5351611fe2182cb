"""Runs inside a new Odoo, once, before its database is kept as a template: the settings the lab's company has.

What does not belong here: anything a synchronisation needs to work (a user's own Odoo never sees this file). The code
keeps to Python 3.9, which Odoo 14 runs on.
"""

from typing import Any


def bootstrap(env: Any) -> None:
    """Set up the company in Odoo's environment ``env`` (of a superuser)."""
    company = env.ref("base.main_company")
    # Odoo 19 rounds tax globally by default and 14 per line; a shop's documents are rounded per line.
    company.write({"country_id": env.ref("base.us").id, "tax_calculation_rounding_method": "round_per_line"})
    if company.currency_id.name != "USD" or not env["account.journal"].search([("type", "=", "sale")]):
        raise RuntimeError("the new company has no USD books")
    # With two digits a discount amount cannot be given back exactly by its percentage.
    env["decimal.precision"].search([("name", "=", "Discount")]).write({"digits": 6})

    settings = env["res.config.settings"]
    wanted = {
        "group_discount_per_so_line": True,
        "group_multi_currency": True,
        "group_product_pricelist": True,
        "group_product_variant": True,
        "group_sale_pricelist": True,
        "group_stock_multi_locations": True,
        "product_pricelist_setting": "advanced",
    }
    known = settings.fields_get()
    settings.create({name: value for name, value in wanted.items() if name in known}).execute()
    env.cr.commit()
