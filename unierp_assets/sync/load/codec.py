"""Canonical values to Odoo's and back, and keys to external ids.

What is sent when belongs to the appliers; what a server calls a field is asked of its features.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Kind, cleaned, prose
from unierp_assets.odoo import OdooSession, read, values

_UNSAFE = re.compile(r"[^A-Za-z0-9-]")
_CODE = re.compile(r"_((?:10|[0-9a-f]?)[0-9a-f]{1,4})~")
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")


def external_name(entity: str, key: str) -> str:
    """The name part of a record's external id: entity and key, what is no letter, digit or dash written as its code.

    >>> external_name("customers", "17"), external_name("taxes", "DE_19")
    ('customers__17', 'taxes__DE_5f~19')
    """
    return f"{entity}__{_UNSAFE.sub(lambda match: f'_{ord(match.group()):x}~', key)}"


def parse_external_name(name: str) -> tuple[str, str] | None:
    """Entity and key of an external id's name; None for a name that :func:`external_name` does not give.

    Odoo 14 names what a record is made of itself: a payment that is loaded as ``payments__3`` takes its journal entry
    along as ``payments__3_account_move``, whose id may be that of another payment.

    >>> parse_external_name("taxes__DE_5f~19"), parse_external_name("payments__3_account_move")
    (('taxes', 'DE_19'), None)
    """
    entity, separator, escaped = name.partition("__")
    if not separator or not entity or not escaped:
        return None
    key = _CODE.sub(lambda match: chr(int(match.group(1), 16)), escaped)
    return (entity, key) if external_name(entity, key) == name and not _NO_TEXT.search(key) else None


class Lookups:
    """Ids of Odoo's own master data by code: countries, states, currencies. Each model is read once, when needed."""

    def __init__(self, session: OdooSession) -> None:
        self._session = session
        self._ids: dict[tuple[str, str], dict[str, int]] = {}
        self._codes: dict[tuple[str, str], dict[int, str]] = {}
        self._defaults: dict[tuple[str, str], int | None] = {}

    def ids(self, model: str, code: str) -> Mapping[str, int]:
        """Database ids by code; a state's code carries its country's (``US-CA``)."""
        if (model, code) not in self._ids:
            wanted = [code, "country_id"] if model == "res.country.state" else [code]
            context = {"active_test": False}
            rows = self._session.call(model, "search_read", [], wanted, context=context)
            if model == "res.country.state":
                countries = self.codes("res.country", "code")
                found = {f"{countries[values.ref(row['country_id']) or 0]}-{row[code]}": row["id"] for row in rows}
            else:
                found = {row[code]: row["id"] for row in rows if row[code]}
            self._ids[model, code] = found
        return self._ids[model, code]

    def codes(self, model: str, code: str) -> Mapping[int, str]:
        """Codes by database id."""
        if (model, code) not in self._codes:
            self._codes[model, code] = {id_: text for text, id_ in self.ids(model, code).items()}
        return self._codes[model, code]

    def default(self, model: str, name: str) -> int | None:
        """The record that Odoo puts into a relation nobody filled in."""
        if (model, name) not in self._defaults:
            found = self._session.call(model, "default_get", [name])
            self._defaults[model, name] = values.ref(found.get(name))
        return self._defaults[model, name]


class UnknownCode(ValueError):
    """UniERP's master data has no such code; the message names field, code and remedy."""


class Codec:
    """Codes the values of one entity for one server.

    ``bound`` maps a target entity to the database ids of its keys; only the keys of the frames at hand are needed.
    """

    def __init__(self, entity: Entity, session: OdooSession, lookups: Lookups) -> None:
        self.entity = entity
        self.model = entity.model
        self._session = session
        self._lookups = lookups

    def name(self, field: Field) -> str:
        """This server's name of the field."""
        assert field.odoo is not None
        return self._session.features.resolve(self.model, field.odoo)

    def _type(self, field: Field) -> str:
        found = self._session.features.fields(self.model).get(self.name(field), {})
        return str(found.get("type", ""))

    def _required(self, field: Field) -> bool:
        return bool(self._session.features.fields(self.model).get(self.name(field), {}).get("required"))

    def column(self, field: Field) -> str:
        """The column of the field in ``load``."""
        relational = field.lookup or field.kind in (Kind.REFERENCE, Kind.REFERENCES)
        return f"{self.name(field)}/.id" if relational else self.name(field)

    def cell(self, field: Field, value: Any, bound: Mapping[str, Mapping[str, int]]) -> Any:
        """The value in ``load``: relations as database ids. Where this server wants one, none is its own default."""
        if value is None and field.kind is Kind.REFERENCE and self._required(field):
            return self._lookups.default(self.model, self.name(field))
        if value is None:
            return None
        if field.lookup:
            return self._known(field, field.lookup, value)
        if field.kind is Kind.REFERENCE:
            return bound[str(field.target)][value]
        if field.kind is Kind.REFERENCES:
            return ",".join(str(bound[str(field.target)][key]) for key in value.split(","))
        return self._encoded(field, value)

    def _known(self, field: Field, lookup: tuple[str, str], code: str) -> int:
        known = self._lookups.ids(*lookup)
        if code not in known:
            raise UnknownCode(
                f"{field.name} is {code!r}, which UniERP does not know (model {lookup[0]}, field {lookup[1]}): correct "
                "it in the shop, or add it in UniERP."
            )
        return known[code]

    def value(self, field: Field, value: Any, former: Any, bound: Mapping[str, Mapping[str, int]]) -> Any:
        """The value in ``write``. A set is changed by what was added and removed, so that what people set stays."""
        if field.kind is Kind.REFERENCES:
            ids = bound[str(field.target)]
            new, old = set(filter(None, (value or "").split(","))), set(filter(None, (former or "").split(",")))
            # What is no longer bound to a record cannot be in UniERP's set.
            gone = [(3, ids[key]) for key in sorted(old - new) if key in ids]
            return [(4, ids[key]) for key in sorted(new - old)] + gone
        cell = self.cell(field, value, bound)
        if field.kind is Kind.REFERENCE and self._type(field) == "many2many":
            return [(6, 0, [cell] if cell else [])]
        return cell

    def _encoded(self, field: Field, value: Any) -> Any:
        if not field.codes:
            return value
        kind = self._session.features.fields(self.model).get(self.name(field), {})
        if kind.get("type") != "selection":
            return value
        offered = {option[0] for option in kind.get("selection", ())}
        return next((code for code, meaning in field.codes.items() if meaning == value and code in offered), value)

    def frame(
        self, rows: Iterable[Mapping[str, Any]], keys: Mapping[int, str], bound: Mapping[str, Mapping[int, str]]
    ) -> pl.DataFrame:
        """Records of the server as canonical rows: key, ``odoo_id``, ``write_date`` and the fields read back.

        ``keys`` maps the records' ids to keys; ``bound`` the ids of each target entity to theirs. A relation to a
        record that has no key of ours reads as null.
        """
        fields = [field for field in self.entity.read_back if field.odoo]
        columns: dict[str, list[Any]] = {KEY: [], "odoo_id": [], "write_date": [], **{f.name: [] for f in fields}}
        names = [(field, self.name(field)) for field in fields]
        for row in rows:
            key = keys.get(row["id"])
            if key is None:
                continue
            columns[KEY].append(key)
            columns["odoo_id"].append(row["id"])
            columns["write_date"].append(values.instant(row["write_date"]))
            for field, name in names:
                columns[field.name].append(self._decoded(field, row[name], bound))
        schema: dict[str, pl.DataType] = {
            KEY: pl.String(),
            "odoo_id": pl.Int64(),
            "write_date": pl.Datetime("us", "UTC"),
            **{field.name: field.dtype for field in fields},
        }
        return (
            pl.DataFrame(columns, schema=schema)
            .with_columns(
                (field.normal(cleaned(field.name)) if field.normal else cleaned(field.name)).alias(field.name)
                for field in fields
                if field.kind is Kind.TEXT and not field.lookup
            )
            .with_columns(prose(field.name).alias(field.name) for field in fields if field.kind is Kind.PROSE)
        )

    def _decoded(self, field: Field, value: Any, bound: Mapping[str, Mapping[int, str]]) -> Any:
        if field.kind is Kind.REFERENCES:
            return ",".join(sorted(key for id_ in value if (key := bound[str(field.target)].get(id_)))) or None
        if field.kind is Kind.REFERENCE or field.lookup:
            single = value[0] if isinstance(value, list) and value else value
            id_ = values.ref(single if isinstance(single, int) else value)
            if id_ is None:
                return None
            return self._lookups.codes(*field.lookup).get(id_) if field.lookup else bound[str(field.target)].get(id_)
        match field.kind:
            case Kind.DECIMAL:
                return values.decimal(value, field.scale)
            case Kind.INTEGER:
                return int(value)
            case Kind.TIMESTAMP:
                return values.instant(value)
            case Kind.DATE:
                return values.day(value)
            case Kind.BOOLEAN:
                return (field.codes or {}).get(value, bool(value)) if isinstance(value, str) else bool(value)
        text = values.text(value)
        return (field.codes or {}).get(text, text) if text is not None else None

    def followed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows with what stands between a record and its targets replaced by the targets."""
        for field in self.entity.read_back:
            if not field.through or not field.odoo:
                continue
            name, (model, target) = self.name(field), field.through
            ids = {id_ for row in rows for id_ in row[name]}
            reached = {id_: values.ref(row[target]) for id_, row in read(self._session, model, ids, [target]).items()}
            rows = [{**row, name: [reached[id_] for id_ in row[name] if reached.get(id_)]} for row in rows]
        return rows

    def targets(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, set[int]]:
        """The database ids the rows' relations point to, by target entity."""
        found: dict[str, set[int]] = {}
        names = [(field, self.name(field)) for field in self.entity.read_back if field.odoo and field.target]
        for field, _ in names:
            found.setdefault(str(field.target), set())
        for row in rows:
            for field, name in names:
                value = row[name]
                if not value:
                    continue
                many = self._type(field) in ("many2many", "one2many")
                found[str(field.target)].update(value if many else [values.ref(value) or 0])
        return found


def parse_instant(text: str | None) -> datetime | None:
    """A cursor's text as an aware instant."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
