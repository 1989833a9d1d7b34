"""Type names (gram.y's Typename)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.sql import ast
from laminar.sql.parser.cursor import Cursor

#: spellings of the SQL standard -> name in pg_catalog
_SIMPLE: Final = {
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "real": "float4",
    "boolean": "bool",
    "numeric": "numeric",
    "decimal": "numeric",
    "dec": "numeric",
}
_FIELDS: Final = ("year", "month", "day", "hour", "minute", "second")
#: which field may follow TO
_TO: Final = {
    "year": ("month",),
    "day": ("hour", "minute", "second"),
    "hour": ("minute", "second"),
    "minute": ("second",),
}
#: keywords that begin a type which may also begin ``type 'literal'``
TYPE_KEYWORDS: Final = frozenset(_SIMPLE) | {
    "float", "double", "bit", "character", "char", "varchar", "national", "nchar", "timestamp", "time",
    "interval",
}  # fmt: skip


class TypeParser(Cursor):
    """Typename and its parts."""

    if TYPE_CHECKING:

        def expr(self, minimum: int = 0) -> ast.Expr: ...

    def type(self) -> ast.TypeName:
        """Typename: [SETOF] SimpleTypename array bounds."""
        setof = self.accept("setof")
        base = self.simple_type()
        base.setof = setof
        if self.accept("array"):
            base.dims = 1
            if self.accept("["):
                self.expect("INT")
                self.expect("]")
            return base
        while self.accept("["):
            self.accept("INT")
            self.expect("]")
            base.dims += 1
        return base

    def simple_type(self, *, constant: bool = False) -> ast.TypeName:
        """SimpleTypename. ``constant``: as before a string literal (``timestamp '…'``)."""
        pos = self.pos
        kind = self.kind
        if kind in TYPE_KEYWORDS and (kind != "double" or self.peek() == "precision"):
            return self._keyword_type(kind, pos, constant)
        names = [self.type_name_word()]
        while self.accept("."):
            names.append(self.label())
        if self.kind == "OP" and self.token.value == "%":
            raise self.unexpected()
        return ast.TypeName(tuple(names), self._modifiers(), 0, pos)

    def _keyword_type(self, kind: str, pos: int, constant: bool) -> ast.TypeName:
        self.advance()
        if kind in _SIMPLE:
            mods = self._modifiers() if _SIMPLE[kind] == "numeric" else ()
            return _catalog(_SIMPLE[kind], pos, mods)
        if kind == "double":
            self.expect("precision")
            return _catalog("float8", pos)
        if kind == "float":
            return _catalog(self._float(), pos)
        if kind == "bit":
            varying = self.accept("varying")
            return _catalog("varbit" if varying else "bit", pos, self._modifiers())
        if kind in ("character", "char", "varchar", "national", "nchar"):
            return self._character(kind, pos, constant)
        if kind in ("timestamp", "time"):
            return self._time(kind, pos)
        return self.interval_type(pos)

    def _float(self) -> str:
        if not self.accept("("):
            return "float8"
        pos = self.pos
        bits = self.integer()
        self.expect(")")
        if bits < 1:
            raise self.error("precision for type float must be at least 1 bit", pos, "22023")
        if bits > 53:
            raise self.error("precision for type float must be less than 54 bits", pos, "22023")
        return "float4" if bits <= 24 else "float8"

    def _character(self, kind: str, pos: int, constant: bool) -> ast.TypeName:
        if kind == "national" and not (self.accept("character") or self.accept("char")):
            raise self.unexpected()
        varying = kind == "varchar" or self.accept("varying")
        mods: tuple[ast.Expr, ...] = ()
        if self.accept("("):
            at = self.pos
            mods = (ast.Literal("int", self.expect("INT").value, at),)
            self.expect(")")
        elif not varying and not constant:
            mods = (ast.Literal("int", "1", pos),)
        return _catalog("varchar" if varying else "bpchar", pos, mods)

    def _time(self, kind: str, pos: int) -> ast.TypeName:
        mods: tuple[ast.Expr, ...] = ()
        if self.accept("("):
            at = self.pos
            mods = (ast.Literal("int", self.expect("INT").value, at),)
            self.expect(")")
        zone = False
        if self.words("with", "time"):
            self.accept_words("with", "time")
            self.expect_words("zone")
            zone = True
        elif self.words("without", "time"):
            self.accept_words("without", "time")
            self.expect_words("zone")
        return _catalog(kind + ("tz" if zone else ""), pos, mods)

    def interval_type(self, pos: int) -> ast.TypeName:
        """Behind INTERVAL: ``(p)`` or fields."""
        if self.accept("("):
            at = self.pos
            mods = (ast.Literal("int", self.expect("INT").value, at),)
            self.expect(")")
            return _catalog("interval", pos, mods)
        result = _catalog("interval", pos)
        result.fields, result.typmods = self.interval_fields()
        return result

    def interval_fields(self) -> tuple[str | None, tuple[ast.Expr, ...]]:
        """opt_interval: ``day to second(3)`` and the like."""
        first = self.word()
        if first not in _FIELDS:
            return None, ()
        self.advance()
        last = first
        if first in _TO and self.word() == "to":
            self.advance()
            last = self.word()
            if last not in _TO[first]:
                raise self.unexpected()
            self.advance()
        mods: tuple[ast.Expr, ...] = ()
        if last == "second" and self.kind == "(":
            self.advance()
            at = self.pos
            mods = (ast.Literal("int", self.expect("INT").value, at),)
            self.expect(")")
        return (first if first == last else f"{first} to {last}"), mods

    def _modifiers(self) -> tuple[ast.Expr, ...]:
        if not self.accept("("):
            return ()
        items = [self.expr()]
        while self.accept(","):
            items.append(self.expr())
        self.expect(")")
        return tuple(items)


def _catalog(name: str, pos: int, mods: tuple[ast.Expr, ...] = ()) -> ast.TypeName:
    return ast.TypeName(("pg_catalog", name), mods, 0, pos)
