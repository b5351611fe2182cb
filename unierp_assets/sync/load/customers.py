"""What addresses of customers need beyond the ordinary way of loading."""

from unierp_assets.sync.load.applier import Applier


class Addresses(Applier):
    """Addresses, all new ones of a customer in one call.

    Odoo gives a customer the address of its first contact, where that is its only one at the end of the call, and each
    call writes the customer.
    """

    family = "customer"
