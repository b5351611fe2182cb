"""What a server has, decided by its models and fields and never by its version number.

The table of probes (:data:`~unierp_assets.odoo.catalogue.CONCEPTS`) is data: a new Odoo generation is a new row there.
What is done with the answer belongs to the callers.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from unierp_assets.odoo.catalogue import CONCEPTS
from unierp_assets.odoo.errors import OdooMissingModule, OdooUnsupported
from unierp_assets.odoo.faults import missing_module

ATTRIBUTES = ["type", "string", "required", "readonly", "store", "relation", "selection"]

FieldsOf = Mapping[str, Mapping[str, Any]]


class Features:
    """Cached answers about one database. Thread-safe. A model is asked once (``fields_get``, about 10 ms).

    ``fields_get`` is a function from a model's name to its fields; it raises :class:`OdooMissingModule` for an absent
    model. ``server`` is named by errors."""

    def __init__(self, fields_get: Callable[[str], FieldsOf], *, server: str = "UniERP") -> None:
        self._fields_get = fields_get
        self._server = server
        self._known: dict[str, FieldsOf] = {}
        self._lock = threading.RLock()

    def fields(self, model: str) -> FieldsOf:
        """``{field: {"type", "required", "relation", "selection", "readonly", "store", "string"}}``; {} if the model
        is absent."""
        with self._lock:
            if model in self._known:
                return self._known[model]
        # Not under the lock: several models may be asked for at a time.
        try:
            found = self._fields_get(model)
        except OdooMissingModule:
            found = {}
        with self._lock:
            return self._known.setdefault(model, found)

    def has(self, model: str, field: str | None = None) -> bool:
        """True if the model (and its field) exists for this user."""
        fields = self.fields(model)
        return bool(fields) if field is None else field in fields

    def choose(self, concept: str) -> Any:
        """The value of a row of the table of probes; raises :class:`OdooUnsupported` if no option holds."""
        for option in CONCEPTS[concept]:
            if self.has(option.model, option.field):
                return option.value
        models = sorted({option.model for option in CONCEPTS[concept]})
        if not any(self.has(model) for model in models):
            raise missing_module(CONCEPTS[concept][0].model, server=self._server)
        raise OdooUnsupported(f"this server has no {concept}", server=self._server, model=models[0])

    def field(self, model: str, concept: str) -> str:
        """This server's name of a field: ``field("sale.order.line", "tax")`` is ``tax_ids`` or ``tax_id``.

        Raises :class:`OdooUnsupported` if the server has none of the known names, KeyError for an unknown concept."""
        return str(self.choose(f"{model}/{concept}"))

    def resolve(self, model: str, name: str) -> str:
        """This server's name of what is a concept in the table of probes; any other name is a field's own."""
        return self.field(model, name) if f"{model}/{name}" in CONCEPTS else name

    def model(self, concept: str) -> str:
        """This server's model of a concept: ``model("lot")`` is ``stock.lot`` or ``stock.production.lot``."""
        return str(self.choose(concept))

    def values(self, concept: str) -> dict[str, Any]:
        """The values that express a concept: ``values("storable")`` is ``{"type": "product"}`` or
        ``{"type": "consu", "is_storable": True}``."""
        return dict(self.choose(concept))

    def way(self, concept: str) -> str:
        """The method or way of doing a step: ``way("return")`` is ``create_returns`` or ``action_create_returns``."""
        return str(self.choose(concept))

    def number_lanes(self, connections: int | None) -> int | None:
        """How many connections may post at once, out of those wanted: one where numbers would collide."""
        return connections if self.choose("parallel_numbers") else 1

    def require(self, *models: str) -> None:
        """Raises :class:`OdooMissingModule`, naming the app to install, if one of the models is absent."""
        for model in models:
            if not self.has(model):
                raise missing_module(model, server=self._server)

    def require_field(self, model: str, field: str) -> None:
        """Raises :class:`OdooMissingModule` if the model or this field of it is absent."""
        self.require(model)
        if not self.has(model, field):
            raise missing_module(model, server=self._server, field=field)

    def forget(self) -> None:
        """Ask anew, for example after an app was installed."""
        with self._lock:
            self._known.clear()
