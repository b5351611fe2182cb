"""What a server has, decided by its models and fields and never by its version number.

The table of probes (:data:`CONCEPTS`) is data: a new Odoo generation is a new row. What is done with the answer belongs
to the callers.
"""

from typing import Any


class Features:
    """Cached answers about one database. Thread-safe. A model is asked once (``fields_get``, about 10 ms)."""

    def fields(self, model: str) -> dict[str, dict[str, Any]]:
        """``{field: {"type", "required", "relation", "selection"?, "readonly", "string"}}``; {} if absent."""
        raise NotImplementedError

    def has(self, model: str, field: str | None = None) -> bool:
        """True if the model (and its field) exists for this user."""
        raise NotImplementedError

    def field(self, model: str, concept: str) -> str:
        """This server's name of a field: ``field("sale.order.line", "tax")`` is ``tax_ids`` or ``tax_id``.

        Raises :class:`OdooUnsupported` if the server has none of the known names."""
        raise NotImplementedError

    def model(self, concept: str) -> str:
        """This server's model of a concept: ``model("lot")`` is ``stock.lot`` or ``stock.production.lot``."""
        raise NotImplementedError

    def values(self, concept: str) -> dict[str, Any]:
        """The values that express a concept: ``values("storable")`` is ``{"type": "product"}`` or
        ``{"type": "consu", "is_storable": True}``."""
        raise NotImplementedError

    def require(self, *models: str) -> None:
        """Raises :class:`OdooMissingModule`, naming the app to install, if one of the models is absent."""
        raise NotImplementedError
