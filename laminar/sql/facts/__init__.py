"""What PostgreSQL 15's catalogs say about its types, functions, operators and casts.

The JSON files are written by ``tools/read_facts.py``; they are read when first
asked for (a few milliseconds) and rows become objects one name at a time.
Laminar's own functions (oid >= 10000) are in :mod:`laminar.sql.facts.own`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from laminar.types import UserType, register

if TYPE_CHECKING:
    from laminar.sql.plan import Routine

#: PostgreSQL gives user objects oids from here on
FIRST_USER_OID = 16384
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class TypeFact:
    """A row of pg_type. ``category`` and ``preferred`` drive overload resolution."""

    oid: int
    name: str
    length: int
    byval: bool
    kind: str
    category: str
    preferred: bool
    delimiter: str
    element: int
    array: int


@dataclass(frozen=True, slots=True)
class ProcFact:
    """A row of pg_proc. ``symbol`` keys the kernel: prosrc, or the signature where there is no C code."""

    oid: int
    name: str
    symbol: str
    kind: Literal["f", "a", "w", "p"]
    retset: bool
    strict: bool
    volatility: Literal["i", "s", "v"]
    result: int
    args: tuple[int, ...]
    #: element type of a VARIADIC last parameter, 0 if there is none
    variadic: int
    #: names, modes (i, o, b, v, t) and types of all parameters; empty when pg_proc has null
    all_names: tuple[str, ...]
    all_modes: tuple[str, ...]
    all_types: tuple[int, ...]
    #: SQL text of the defaults of the last parameters; of a user's function the values' text, None for null
    defaults: tuple[str | None, ...]
    #: a user's function
    routine: Routine | None = None

    @property
    def arg_names(self) -> tuple[str, ...]:
        """Names of the input parameters ('' when unnamed)."""
        if not self.all_modes:
            return self.all_names
        return tuple(n for n, m in zip(self.all_names, self.all_modes, strict=True) if m in "ibv")


@dataclass(frozen=True, slots=True)
class OperatorFact:
    """A row of pg_operator; ``left`` is 0 for prefix operators."""

    oid: int
    name: str
    left: int
    right: int
    result: int
    function: int
    commutator: int
    negator: int


@dataclass(frozen=True, slots=True)
class CastFact:
    """A row of pg_cast; method f(unction), i(nput/output), b(inary coercible)."""

    source: int
    target: int
    function: int
    context: Literal["i", "a", "e"]
    method: Literal["f", "i", "b"]


@cache
def raw(name: str) -> tuple[list[str], list[list[Any]]]:
    """Column names and rows of ``types``, ``functions``, ``operators``, ``casts`` or ``aggregates``."""
    document = json.loads((_HERE / f"{name}.json").read_bytes())
    return document["columns"], document["rows"]


@cache
def type_rows() -> dict[int, dict[str, Any]]:
    """pg_type's rows by oid, whole."""
    columns, rows = raw("types")
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


@cache
def types() -> dict[int, TypeFact]:
    """pg_type by oid."""
    rows = raw("types")[1]
    return {r[0]: TypeFact(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9]) for r in rows}


@cache
def types_by_name() -> dict[str, TypeFact]:
    return {fact.name: fact for fact in types().values() if fact.oid < FIRST_USER_OID}


def register_type(made: UserType) -> None:
    """Make a user's type known to overload resolution; names of types are the catalog's to look up."""
    kind, category = ("e", "E") if made.labels is not None else ("c", "C")
    length = 4 if kind == "e" else -1
    name = made.name
    types()[made.oid] = TypeFact(
        made.oid, name, length, kind == "e", kind, category, False, ",", 0, made.array
    )
    types()[made.array] = TypeFact(made.array, f"_{name}"[:63], -1, False, "b", "A", False, ",", made.oid, 0)
    register(made, own=True)


@cache
def _function_rows() -> tuple[dict[int, list[Any]], dict[str, list[list[Any]]]]:
    by_oid: dict[int, list[Any]] = {}
    by_name: dict[str, list[list[Any]]] = {}
    for row in raw("functions")[1]:
        by_oid[row[0]] = row
        by_name.setdefault(row[1], []).append(row)
    return by_oid, by_name


def _proc(row: list[Any]) -> ProcFact:
    oid, name, symbol, kind, retset, strict, volatility, result, args, variadic = row[:10]
    names, modes, all_types, defaults = row[10:14]
    return ProcFact(
        oid, name, symbol, kind, retset, strict, volatility, result, tuple(args), variadic,
        tuple(names or ()), tuple(modes or ()), tuple(all_types or ()), tuple(defaults or ()),
    )  # fmt: skip


@cache
def functions_named(name: str, schema: str = "pg_catalog") -> tuple[ProcFact, ...]:
    """All overloads of a function, Laminar's own included."""
    from laminar.sql.facts.own import OWN_FUNCTIONS, SCHEMA_FUNCTIONS

    if schema != "pg_catalog":
        return tuple(fact for fact in SCHEMA_FUNCTIONS.get(schema, ()) if fact.name == name)
    own = tuple(fact for fact in OWN_FUNCTIONS if fact.name == name)
    return tuple(_proc(row) for row in _function_rows()[1].get(name, ())) + own


@cache
def function(oid: int) -> ProcFact:
    """The function with this oid (KeyError)."""
    from laminar.sql.facts.own import OWN_FUNCTIONS, SCHEMA_FUNCTIONS

    row = _function_rows()[0].get(oid)
    if row is not None:
        return _proc(row)
    others = (fact for facts in SCHEMA_FUNCTIONS.values() for fact in facts)
    return next(fact for fact in (*OWN_FUNCTIONS, *others) if fact.oid == oid)


@cache
def operators_named(name: str) -> tuple[OperatorFact, ...]:
    return tuple(OperatorFact(*r[:8]) for r in raw("operators")[1] if r[1] == name)


@cache
def operators() -> dict[int, OperatorFact]:
    """pg_operator by oid."""
    return {r[0]: OperatorFact(*r[:8]) for r in raw("operators")[1]}


@cache
def casts() -> dict[tuple[int, int], CastFact]:
    """pg_cast by (source, target)."""
    return {(r[1], r[2]): CastFact(*r[1:6]) for r in raw("casts")[1]}
