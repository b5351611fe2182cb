"""The vocabulary in which an entity is declared: kinds of values, roles and owners of fields, their place in Odoo.

What belongs here: the declaration types and what follows from them alone (polars types, canonical text of a value).
What does not: any single entity (a module of its own each), how values are read, merged or written (``sync``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

KEY = "key"
"""Name of the column that holds the entity's key: the identifier it has in the system that created it, as text."""


class System(StrEnum):
    """The systems that are kept in agreement."""

    STOREFRONT = "storefront"
    UNIERP = "unierp"


BOTH = (System.UNIERP, System.STOREFRONT)
"""Where a field flows that may be changed on either side."""


class Kind(StrEnum):
    """What a value is. It decides the column type in frames and tables and how the value is coded for Odoo.

    ``TEXT`` is one line: names, codes, numbers. ``PROSE`` is what people write with line breaks, tabs and blanks, of
    which none is touched on the way.
    """

    TEXT = "text"
    PROSE = "prose"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    REFERENCE = "reference"
    REFERENCES = "references"


class Role(StrEnum):
    """What the sync does with a field.

    ``SYNC``: merged field by field and written. ``INITIAL``: written when the record is created, never compared.
    ``VERIFY``: computed by the other system; must come out equal, or the record is held. ``STAGED``: used by the gate
    and the reports only.
    """

    SYNC = "sync"
    INITIAL = "initial"
    VERIFY = "verify"
    STAGED = "staged"


class Strategy(StrEnum):
    """Who wins where both sides changed a field differently since they last agreed.

    ``OWNER``: the system that owns the field. ``LATEST``: the side whose record changed last. ``UNION``, for sets:
    what either side added is kept, what either removed is gone. ``MANUAL``: nobody, the record is held until a person
    decides.
    """

    OWNER = "owner"
    LATEST = "latest"
    UNION = "union"
    MANUAL = "manual"


class Withdrawal(StrEnum):
    """What happens in UniERP when the storefront no longer has the record.

    ``ZERO``: its quantity becomes zero, which is how a line leaves a document that is confirmed.
    """

    ARCHIVE = "archive"
    DELETE = "delete"
    KEEP = "keep"
    ZERO = "zero"


@dataclass(frozen=True, slots=True)
class Field:
    """One canonical field.

    ``odoo`` is the name of the Odoo field, or of a concept that the client library resolves to what the server has
    (``tax`` is ``tax_ids`` on one version, ``tax_id`` on another). ``lookup`` names the model and the code field of
    Odoo's own master data (countries, currencies) that a text code stands for. ``target`` is the entity a reference
    points to; ``through`` is the model that stands between the two in Odoo, and its field that names the target.
    ``codes`` maps the server's codes to canonical ones; codes that are not listed stay as they are.
    ``flows_to`` lists the systems the sync may write the field to. ``column`` is the storefront's column
    (``table.column``) a value from UniERP is written back to, in the row whose key is the entity's; ``restored`` turns
    the canonical value into the shop's where they differ; ``normal`` brings what people type into its canonical form.
    A value of a ``detail`` that UniERP does not offer is left out, where that of another field stops the record.
    ``only_while`` names the boolean without which the record needs no such value: while it is false on either side the
    field is not compared, and UniERP's value is given up when the shop makes it false.
    ``waits`` says whether a new record waits for what it refers to here, or does without what is not in UniERP.
    ``empty_is_value`` says that a text the shop does not have means something, so that it replaces what UniERP has.
    """

    name: str
    kind: Kind
    comment: str
    role: Role = Role.SYNC
    owner: System = System.STOREFRONT
    strategy: Strategy = Strategy.OWNER
    odoo: str | None = None
    scale: int = 0
    target: str | None = None
    through: tuple[str, str] | None = None
    lookup: tuple[str, str] | None = None
    codes: Mapping[str, object] | None = None
    personal: bool = False
    flows_to: tuple[System, ...] = (System.UNIERP,)
    column: str | None = None
    restored: Callable[[pl.Expr], pl.Expr] | None = None
    normal: Callable[[pl.Expr], pl.Expr] | None = None
    empty_is_value: bool = False
    waits: bool = True
    only_while: str | None = None
    detail: bool = False

    @property
    def gives_way(self) -> bool:
        """Whether an empty value of the shop leaves alone what a person added in UniERP: no text is no statement."""
        return self.kind in (Kind.TEXT, Kind.PROSE) and not self.empty_is_value

    @property
    def dtype(self) -> pl.DataType:
        """The polars type of the field's column."""
        match self.kind:
            case Kind.INTEGER:
                return pl.Int64()
            case Kind.DECIMAL:
                return pl.Decimal(18, self.scale)
            case Kind.BOOLEAN:
                return pl.Boolean()
            case Kind.TIMESTAMP:
                return pl.Datetime("us", "UTC")
            case Kind.DATE:
                return pl.Date()
            case _:
                return pl.String()


@dataclass(frozen=True, slots=True)
class Input:
    """A storefront table an entity is made of, and where the entity's key stands in it.

    ``key`` is a column of the table itself, or, where ``via`` is given as (table, column here, column there), of the
    table that is reached through it. Every input frame carries the key as a text column named ``key``.
    """

    table: str
    key: str
    via: tuple[str, str, str] | None = None


Stage = Callable[[Mapping[str, pl.DataFrame]], pl.DataFrame]
"""Turns the landing rows of some keys (a frame per input table, deleted rows left out) into canonical rows."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: its canonical columns, who owns them, where they live in Odoo, and how they are staged.

    ``inputs`` are the storefront tables the entity is made of; a change in any of them stages the entity's row anew.
    ``model`` is the Odoo model. ``constants`` are values (or names of concepts) written on creation. ``readback`` are
    fields that only UniERP has and the reports want. ``created_with`` names the entity whose records are created
    together with those of this one, as lines are with their order. ``ends_with`` names the field that ends the record
    in the storefront when a person deletes it in UniERP: a boolean becomes false, an instant that of the deletion.
    ``touches`` names the other entities whose records UniERP changes along, or we do, when records of this one are
    written.
    """

    name: str
    domain: str
    description: str
    model: str
    inputs: tuple[Input, ...]
    fields: tuple[Field, ...]
    stage: Stage
    withdrawal: Withdrawal = Withdrawal.KEEP
    constants: Mapping[str, object] | None = None
    readback: tuple[Field, ...] = ()
    created_with: str | None = None
    ends_with: str | None = None
    touches: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name!r}")

    @property
    def synced(self) -> tuple[Field, ...]:
        """The fields that are merged: what the base remembers."""
        return tuple(field for field in self.fields if field.role is Role.SYNC)

    @property
    def compared(self) -> tuple[Field, ...]:
        """The fields read back from UniERP: merged ones and verified ones."""
        return tuple(field for field in self.fields if field.role in (Role.SYNC, Role.VERIFY))

    @property
    def read_back(self) -> tuple[Field, ...]:
        """Everything that is read from UniERP: the compared fields and those only UniERP has."""
        return (*self.compared, *self.readback)

    @property
    def references(self) -> tuple[Field, ...]:
        """The fields that point to other entities."""
        return tuple(field for field in self.fields if field.target)

    def schema(self, *roles: Role) -> pl.Schema:
        """The polars schema of a frame with the key and the fields of these roles (all when none are given)."""
        chosen = [field for field in self.fields if not roles or field.role in roles]
        return pl.Schema({KEY: pl.String(), **{field.name: field.dtype for field in chosen}})


def joined(keys: pl.Expr) -> pl.Expr:
    """Aggregates keys to the canonical text of a set: sorted, without repetition, joined by commas."""
    return keys.cast(pl.String).drop_nulls().unique().sort().str.join(",")


_INVISIBLE = "[\u200b\u200e\u200f\u2060\ufeff\u00ad]"
"""Characters without a width that come along when people copy text. Joiners are none of them: scripts and emoji need
them."""


def cleaned(column: str) -> pl.Expr:
    """A text column of one line: without characters that nobody sees, without surrounding white space, inner runs of
    white space folded, empty text as null."""
    text = pl.col(column).str.replace_all(_INVISIBLE, "").str.replace_all(r"[ \t\r\n\u00a0]+", " ").str.strip_chars()
    return pl.when(text == "").then(None).otherwise(text)


def prose(column: str) -> pl.Expr:
    """A column of several lines as it is; empty text as null."""
    return pl.when(pl.col(column) == "").then(None).otherwise(pl.col(column))
