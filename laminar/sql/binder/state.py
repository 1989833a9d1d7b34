"""What one statement's binding keeps: column numbers, parameters, dependencies, source positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from laminar.errors import (
    DATATYPE_MISMATCH,
    INDETERMINATE_DATATYPE,
    UNDEFINED_PARAMETER,
    PgError,
    not_supported,
)
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder.scope import Level
from laminar.sql.catalog_view import Access, CatalogView, NamedType
from laminar.sql.expressions import walk
from laminar.sql.facts import types_by_name
from laminar.sql.resolve import INTERVAL_MASKS, coerce, oid_name, type_by_name
from laminar.types import BOOL, INT8, TEXT, UNKNOWN, PgType

if TYPE_CHECKING:
    from laminar.sql.binder.dml import BoundModifying
    from laminar.sql.binder.locking import BoundLocking

BOOLEAN: Final = PgType(BOOL)
_NO_COLLATIONS = frozenset(("C", "POSIX", "default", "ucs_basic"))

_WITH_ARG: Final = (
    ast.Test, ast.Between, ast.Like, ast.Cast, ast.Collate, ast.Subscript, ast.FieldSelect,
)  # fmt: skip


def location(node: object) -> int:
    """exprLocation: the leftmost position of an expression as written."""
    pos = getattr(node, "pos", 0)
    if isinstance(node, ast.Operator | ast.IsDistinct | ast.InList | ast.Quantified | ast.SubLink):
        inner: object = node.left
    elif isinstance(node, _WITH_ARG):
        inner = node.arg
    elif isinstance(node, ast.Bool):
        inner = node.args[0]
    elif isinstance(node, ast.FuncCall) and node.names == ("pg_catalog", "timezone") and len(node.args) == 2:
        inner = node.args[1]
    else:
        inner = None
    left = location(inner) if inner is not None else 0
    return min(pos, left) if pos and left else pos or left


class State:
    """The binder's memory. One per statement, which has no parameters if ``param_types`` is None."""

    def __init__(self, catalog: CatalogView, param_types: Sequence[int] | None = None) -> None:
        self.catalog = catalog
        self.columns: dict[int, p.Column] = {}
        self.accesses: set[Access] = set()
        self.params: dict[int, PgType] = {n: PgType(oid) for n, oid in enumerate(param_types or (), 1) if oid}
        self.declared = len(param_types or ())
        self._takes_parameters = param_types is not None
        #: position and spelling of column references, by identity (the list keeps them alive)
        self._where: dict[int, int] = {}
        self._kept: list[p.Expr] = []
        #: views whose definitions are being bound, outermost first
        self._views: list[int] = []
        #: oids of the SQL functions whose bodies are being bound
        self.inlining: list[int] = []
        #: queries whose rows are locked before the statement runs
        self.locking: list[BoundLocking] = []
        #: data-modifying statements in WITH
        self.modifying: list[BoundModifying] = []

    def stand_in(self) -> int:
        """The number of a relation that stands for rows which are there before the statement runs."""
        return -1 - len(self.locking) - len(self.modifying)

    def access(self, relation: int, privilege: str = "SELECT") -> None:
        """Note that the statement, or the view that is being bound, needs a privilege."""
        self.accesses.add(Access(self._views[-1] if self._views else 0, relation, privilege))

    # --- columns

    def column(self, name: str, type_: PgType, origin: tuple[int, int] = (0, 0)) -> p.Column:
        """A new column of the statement."""
        column = p.Column(len(self.columns) + 1, name, type_, origin)
        self.columns[column.id] = column
        return column

    def reference(self, column: p.Column, depth: int, pos: int) -> p.Expr:
        """A reference to a column, remembered with its position."""
        expr: p.Expr
        if depth:
            expr = p.Outer(column.id, column.type, depth)
        else:
            expr = p.ColumnRef(column.id, column.type)
        self._where[id(expr)] = pos
        self._kept.append(expr)
        return expr

    def position_of(self, expr: p.Expr) -> int | None:
        return self._where.get(id(expr))

    def output(self, name: str, expr: p.Expr) -> p.Column:
        """A column for a projected expression, with its origin in the catalog if it is a plain column."""
        origin = (0, 0)
        if isinstance(expr, p.ColumnRef) and expr.id in self.columns:
            source = self.columns[expr.id]
            origin = source.origin if source.type == expr.type else (0, 0)
        return self.column(name, expr.type, origin)

    # --- types

    def type(self, node: ast.TypeName) -> PgType:
        found = user_type(node, self.catalog)
        if found is None:
            return bind_type(node)
        self.access(found.oid, "USAGE")
        return bind_type(node, self.catalog)

    # --- parameters

    def parameter(self, node: ast.Parameter) -> p.Expr:
        if not self._takes_parameters or not 1 <= node.index <= 65535:
            raise PgError(UNDEFINED_PARAMETER, f"there is no parameter ${node.index}", position=node.pos)
        self.declared = max(self.declared, node.index)
        expr = p.Param(node.index, self.params.get(node.index, PgType(UNKNOWN)))
        self._where[id(expr)] = node.pos
        self._kept.append(expr)
        return expr

    def settle(self, before: Sequence[p.Expr], after: object) -> None:
        """Note the types that a conversion has given to parameters that had none."""
        for arg in before:
            if isinstance(arg, p.Param) and arg.type.oid == UNKNOWN:
                self._settle_in(arg, after)

    def _settle_in(self, param: p.Param, after: object) -> None:
        parts = after if isinstance(after, tuple) else (after,)
        for part in (below for top in parts for below in walk(top)):
            if isinstance(part, p.Param) and part.index == param.index and part.type.oid != UNKNOWN:
                known = self.params.setdefault(part.index, PgType(part.type.oid))
                if known.oid != part.type.oid:
                    raise PgError(
                        "42P08",
                        f"inconsistent types deduced for parameter ${part.index}",
                        detail=f"{oid_name(known.oid)} versus {oid_name(part.type.oid)}",
                        position=self.position_of(param),
                    )

    def parameter_types(self) -> list[PgType]:
        """All of them, in order. Raises 42P18 for one that nothing determined."""
        for index in range(1, self.declared + 1):
            if index not in self.params:
                raise PgError(INDETERMINATE_DATATYPE, f"could not determine data type of parameter ${index}")
        return [self.params[index] for index in range(1, self.declared + 1)]

    # --- conversions

    def coerce(self, expr: p.Expr, target: PgType, node: object, context: str = "implicit") -> p.Expr:
        result = coerce(expr, target, context, location(node) or None)  # type: ignore[arg-type]
        self.settle((expr,), result)
        return result

    def known(self, expr: p.Expr, node: object) -> p.Expr:
        """An expression that is still an untyped literal or parameter becomes text."""
        return self.coerce(expr, PgType(TEXT), node) if expr.type.oid == UNKNOWN else expr

    def boolean(self, expr: p.Expr, node: object, construct: str) -> p.Expr:
        """coerce_to_boolean: ``construct`` as in "argument of WHERE must be type boolean"."""
        if expr.type.oid == UNKNOWN:
            return self.coerce(expr, BOOLEAN, node)
        if expr.type.oid != BOOL:
            raise PgError(
                DATATYPE_MISMATCH,
                f"argument of {construct} must be type boolean, not type {oid_name(expr.type.oid)}",
                position=location(node) or None,
            )
        return expr

    def bigint(self, expr: p.Expr, node: object, construct: str) -> p.Expr:
        """LIMIT and OFFSET: int8 by implicit or assignment cast."""
        if expr.type.oid == INT8:
            return expr
        try:
            return self.coerce(expr, PgType(INT8), node, "assignment")
        except PgError as error:
            if error.sqlstate != "42846":
                raise
            raise PgError(
                DATATYPE_MISMATCH,
                f"argument of {construct} must be type bigint, not type {oid_name(expr.type.oid)}",
                position=location(node) or None,
            ) from None

    def level(self, parent: Level | None, like: Level | None = None) -> Level:
        """A level below ``parent``, with the WITH queries in view of ``like`` (parent by default)."""
        source = like or parent
        return Level(parent, dict(source.ctes) if source is not None else {})


def user_type(node: ast.TypeName, catalog: CatalogView | None) -> NamedType | None:
    """The user's type that a TypeName names, as itself or as an array of it; None for PostgreSQL's."""
    if catalog is None or (len(node.names) > 1 and node.names[-2] == "pg_catalog"):
        return None
    if len(node.names) == 1 and node.names[0] in types_by_name() | _TYPE_WORDS.keys():
        return None
    return catalog.type_named(node.names[-2] if len(node.names) > 1 else None, node.names[-1])


#: names of types that are no pg_type.typname
_TYPE_WORDS: Final = dict.fromkeys(("string", "float"))


def bind_type(node: ast.TypeName, catalog: CatalogView | None = None) -> PgType:
    """The type a TypeName means; of a domain what it is stored as. Raises 42704 (unknown), 22023 (modifiers).

    Args:
        catalog: where users' types are looked up; None: PostgreSQL's alone.
    """
    if node.setof:
        raise PgError("42P13", "SETOF is not allowed here", position=node.pos)
    found = user_type(node, catalog)
    if found is not None:
        if node.typmods:
            message = f'type modifier is not allowed for type "{node.names[-1]}"'
            raise PgError("42601", message, position=node.pos)
        if node.dims and not found.array:
            raise not_supported("arrays of domains are not supported", position=node.pos)
        return PgType(found.array) if node.dims else found.type
    name, mods = node.names[-1], _modifiers(node)
    if len(node.names) > 1 and node.names[-2] != "pg_catalog":
        full = ".".join(node.names)
        raise PgError("42704", f'type "{full}" does not exist', position=node.pos)
    if name == "char" and len(node.names) == 1:
        name = '"char"'  # quoted by the user: unquoted char is a keyword
    if name == "interval" and (node.fields or mods):
        mask = INTERVAL_MASKS[node.fields] if node.fields else 0x7FFF
        mods = [mask, *mods]
    if name == "bpchar" and not mods and not node.dims:
        return PgType(1042)
    return type_by_name(name + "[]" * node.dims, mods, node.pos or None)


def _modifiers(node: ast.TypeName) -> list[int]:
    mods: list[int] = []
    for mod in node.typmods:
        if not isinstance(mod, ast.Literal) or mod.kind != "int" or mod.value is None:
            raise PgError(
                "42601",
                "type modifiers must be simple constants or identifiers",
                position=getattr(mod, "pos", 0) or None,
            )
        mods.append(int(mod.value))
    return mods


def check_collation(node: ast.Collate) -> None:
    """Text compares by bytes: the collations that mean that are accepted."""
    if node.names[-1] not in _NO_COLLATIONS:
        raise PgError(
            "42704",
            f'collation "{".".join(node.names)}" for encoding "UTF8" does not exist',
            hint='Text is compared by code points; use COLLATE "C" or leave it out.',
            position=node.pos,
        )
