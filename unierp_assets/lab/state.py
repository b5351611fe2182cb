"""What the lab remembers between commands. What does not belong here: starting or stopping anything.

One file, readable by its owner alone because it holds passwords: ``<home>/lab/state.json``.
"""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from unierp_assets.lab.errors import LabError
from unierp_assets.lab.odoo import OdooServer, OdooVersion
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.lab.processes import ProcessRef
from unierp_assets.lab.redis import RedisServer

_S = TypeVar("_S", PostgresServer, OdooServer, RedisServer)


@dataclass(slots=True)
class LabState:
    """The lab's servers as they were last started. ``process`` is None in those that ``down`` stopped.

    ``current`` is the version of Odoo that was last asked for: the one commands mean unless told.
    """

    postgres: PostgresServer | None = None
    odoo: dict[OdooVersion, OdooServer] = field(default_factory=dict)
    current: OdooVersion | None = None
    redis: RedisServer | None = None


def load_state(file: Path) -> LabState:
    """The remembered state; an empty one where there is no file.

    Raises:
        LabError: The file is damaged.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return LabState()
    try:
        data = json.loads(text)
        odoo = {
            version: _server(OdooServer, data["odoo"][version])
            for version in get_args(OdooVersion)
            if version in data["odoo"]
        }
        postgres = _server(PostgresServer, data["postgres"]) if data["postgres"] else None
        redis = _server(RedisServer, data["redis"]) if data.get("redis") else None
        return LabState(postgres, odoo, data["current"], redis)
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"The lab's state file {file} is damaged; run `unierp lab reset`.") from error


def _server(kind: type[_S], data: dict[str, Any]) -> _S:
    known = {item.name for item in fields(kind)}
    values = {name: value for name, value in data.items() if name in known}
    if values.get("process"):
        values["process"] = ProcessRef(**values["process"])
    return kind(**values)


def save_state(file: Path, state: LabState) -> None:
    """Write the state whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        json.dump(asdict(state), handle, indent=2)
    partial.replace(file)
