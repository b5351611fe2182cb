"""What all document steps share: reading the states of many, and the errors for those that are not there or not ready.

Nothing of one kind of document belongs here.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from unierp_assets.odoo.errors import OdooError, OdooMissingRecord, OdooValidationError
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, read
from unierp_assets.odoo.session import OdooSession

K = TypeVar("K")


def states(session: OdooSession, model: str, ids: Iterable[int], fields: Sequence[str]) -> dict[int, Row]:
    """``{id: {"state", ...fields}}`` of those that exist, in as few calls as possible."""
    return read(session, model, ids, ["state", *fields])


def gone(session: OdooSession, model: str, id_: int) -> OdooMissingRecord:
    """The error for a document that does not exist."""
    return OdooMissingRecord("the document does not exist", server=session.server, model=model, record=str(id_))


def unfit(session: OdooSession, model: str, id_: int, message: str, remedy: str) -> OdooValidationError:
    """The error for a document whose state does not allow the step."""
    return OdooValidationError(message, server=session.server, model=model, record=str(id_), remedy=remedy)


def insist(outcomes: Iterable[Outcome[K]]) -> None:
    """Raises the first error among outcomes: for steps inside a batch, which is then divided as a whole."""
    for outcome in outcomes:
        if isinstance(outcome.error, OdooError):
            raise outcome.error
