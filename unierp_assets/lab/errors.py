"""The one error the lab raises towards people. What does not belong here: errors of Odoo or of the warehouse."""

OWN_ODOO = (
    "point to a running Odoo instead by setting UNIERP_ODOO_URL, UNIERP_ODOO_DB, UNIERP_ODOO_LOGIN "
    "and UNIERP_ODOO_PASSWORD"
)


class LabError(RuntimeError):
    """A local service cannot be prepared, started or reached. The message is one sentence that names the remedy."""
