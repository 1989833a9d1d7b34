"""What the binder asks of the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from laminar.errors import FEATURE_NOT_SUPPORTED, SYNTAX_ERROR, PgError
from laminar.sql.facts import ProcFact
from laminar.types import PgType

RelationKind = Literal[
    "table", "source", "mview", "view", "stream", "lookup", "system", "sink", "sequence", "index"
]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column. ``default`` and ``generated`` are expressions as SQL text; ``attnum`` from 1."""

    name: str
    type: PgType
    attnum: int
    not_null: bool = False
    default: str | None = None
    generated: str | None = None
    #: "a": GENERATED ALWAYS AS IDENTITY, "d": BY DEFAULT
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Watermark:
    """``attnum`` less ``delay`` microseconds."""

    attnum: int
    delay: int


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """What a statement does to a relation.

    Args:
        via: oid of the view in whose definition the relation is named, so that its owner needs the privilege;
            0: the statement itself names it.
        privilege: SELECT, INSERT, UPDATE or DELETE.
    """

    via: int
    relation: int
    privilege: str = "SELECT"


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation as queries see it.

    Args:
        primary_key: attribute numbers; () when there is none.
        definition: a view's SELECT as text, expanded where the view is named.
        search_path: the schemas under which ``definition`` was bound.
        scannable: whether an ad-hoc SELECT can read it.
    """

    oid: int
    schema: str
    name: str
    kind: RelationKind
    columns: tuple[Attribute, ...]
    primary_key: tuple[int, ...] = ()
    watermark: Watermark | None = None
    append_only: bool = False
    definition: str | None = None
    search_path: tuple[str, ...] = ()
    scannable: bool = True
    #: what a row does whose primary key is there: error, overwrite, ignore, update_if_not_null
    on_conflict: str = "error"
    #: (name, attribute numbers) of the unique indexes beside the primary key
    uniques: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain's constraints. ``checks``: names and expressions about a column ``value``."""

    name: str
    type: PgType
    not_null: bool
    default: str | None
    checks: tuple[tuple[str, str], ...]
    search_path: tuple[str, ...]
    #: the domain that it is over
    base: Domain | None = None


@dataclass(frozen=True, slots=True)
class NamedType:
    """A user's type by its name; ``domain`` is None for others, ``type`` what it is stored as."""

    oid: int
    type: PgType
    array: int
    domain: Domain | None = None


class CatalogView(Protocol):
    """The catalog as one session sees it while it binds a statement."""

    @property
    def search_path(self) -> Sequence[str]:
        """Schemas in which unqualified names are looked up, the system's first."""

    @property
    def database_name(self) -> str:
        """The database's name, with which names may begin."""

    def relation(self, schema: str | None, name: str) -> Relation | None:
        """The relation of that name, by the search path without a schema; None if there is none."""

    def functions(self, schema: str | None, name: str) -> Sequence[ProcFact]:
        """Users' functions of that name, by the search path without a schema."""

    def type_named(self, schema: str | None, name: str) -> NamedType | None:
        """A user's type, by the search path without a schema; None if there is none."""

    def with_search_path(self, schemas: Sequence[str]) -> CatalogView:
        """The same catalog under another search path (for a view's definition)."""


def check_database(database: str, parts: Sequence[str], pos: int = 0) -> None:
    """Raise for a relation's name with too many parts (42601), or in another database (0A000)."""
    shown = ".".join(parts)
    if len(parts) > 3:
        text = f"improper qualified name (too many dotted names): {shown}"
        raise PgError(SYNTAX_ERROR, text, position=pos or None)
    if len(parts) == 3 and parts[0] != database:
        text = f'cross-database references are not implemented: "{shown}"'
        raise PgError(FEATURE_NOT_SUPPORTED, text, position=pos or None)
