"""Expressions: precedence climbing with the precedences of PostgreSQL's gram.y."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.sql import ast
from laminar.sql.keywords import COL_NAME, FUNCTION_NAMES, UNRESERVED
from laminar.sql.parser.calls import NORMAL_FORMS, CallParser

OR, AND, NOT, IS, COMPARE, MATCH, ESCAPE, OP, ADD, MULTIPLY, POWER, AT, COLLATE, SIGN, CAST = range(1, 16)

_BINARY: Final = {
    "<": COMPARE, ">": COMPARE, "=": COMPARE, "<=": COMPARE, ">=": COMPARE, "<>": COMPARE,
    "OP": OP, "operator": OP, "+": ADD, "-": ADD, "*": MULTIPLY, "/": MULTIPLY, "%": MULTIPLY, "^": POWER,
}  # fmt: skip
_OTHER: Final = {
    "or": OR, "and": AND, "is": IS, "isnull": IS, "notnull": IS, "between": MATCH, "in": MATCH, "like": MATCH,
    "ilike": MATCH, "similar": MATCH, "at": AT, "collate": COLLATE, "::": CAST,
}  # fmt: skip
_NOT_MATCH: Final = frozenset(("between", "in", "like", "ilike", "similar"))
#: what b_expr leaves out
_UNRESTRICTED: Final = frozenset((
    "or", "and", "isnull", "notnull", "between", "in", "like", "ilike", "similar", "at", "collate", "not",
))  # fmt: skip
_QUANTIFIERS: Final = frozenset(("any", "some", "all"))
_MAX_DEPTH: Final = 300
#: operators in a row, which nest as deep to the left
_MAX_CHAIN: Final = 1000
_AFTER_QUERY: Final = frozenset(
    ("union", "intersect", "except", "order", "limit", "offset", "fetch", "for"),
)
QUERY_START: Final = frozenset(("select", "values", "with", "table"))


class ExpressionParser(CallParser):
    """a_expr, b_expr and c_expr."""

    if TYPE_CHECKING:

        def query_in_parens(self) -> ast.Query: ...

    def expr(self, minimum: int = 0) -> ast.Expr:
        """a_expr whose operators bind tighter than ``minimum``."""
        return self._climb(minimum, False)

    def restricted_expr(self) -> ast.Expr:
        """b_expr: no boolean, LIKE, IN, BETWEEN … at the top."""
        return self._climb(0, True)

    def expr_list(self) -> list[ast.Expr]:
        items = [self.expr()]
        while self.accept(","):
            items.append(self.expr())
        return items

    def _climb(self, minimum: int, restricted: bool) -> ast.Expr:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error("stack depth limit exceeded", sqlstate="54001")
        left = self._prefix(restricted)
        closed = 0  # level of a non-associative operator just applied: it may not come again
        for _ in range(_MAX_CHAIN):
            kind = self.kind
            level = _BINARY.get(kind, 0)
            if level:
                if level <= minimum:
                    break
                if level == COMPARE == closed:
                    raise self.unexpected()
                left = self._binary(left, level, restricted)
                closed = level
                continue
            level = _OTHER.get(kind, 0)
            if kind == "not" and self.peek() in _NOT_MATCH:
                level = MATCH
            if kind == "similar" and self.word(1) != "to":
                break  # SUBSTRING(x SIMILAR …)
            if not level or level <= minimum or (restricted and kind in _UNRESTRICTED):
                break
            if level == closed and level in (IS, MATCH):
                raise self.unexpected()
            left, closed = self._other(left, kind, restricted)
        else:
            raise self.error("stack depth limit exceeded", sqlstate="54001")
        self.depth -= 1
        return left

    def _prefix(self, restricted: bool) -> ast.Expr:
        pos = self.pos
        kind = self.kind
        if kind in ("+", "-"):
            self.advance()
            return self._signed(kind, self._climb(SIGN, restricted), pos)
        if kind == "not" and not restricted:
            self.advance()
            return ast.Bool("not", [self.expr(NOT)], pos)
        if kind == "OP" or (kind == "operator" and self.peek() == "("):
            op, schema = self.operator_name()
            return ast.Operator(op, None, self._climb(OP, restricted), pos, schema)
        return self.primary()

    @staticmethod
    def _signed(sign: str, arg: ast.Expr, pos: int) -> ast.Expr:
        """doNegate: a sign before a number is part of the constant."""
        if sign == "-" and isinstance(arg, ast.Literal) and arg.kind in ("int", "float") and arg.value:
            value = arg.value[1:] if arg.value[0] == "-" else "-" + arg.value
            return ast.Literal(arg.kind, value, pos)
        return ast.Operator(sign, None, arg, pos)

    def operator_name(self) -> tuple[str, str | None]:
        """qual_Op: an operator or OPERATOR(schema.op)."""
        token = self.advance()
        if token.kind != "operator":
            return token.value, None
        self.expect("(")
        schema = None
        while self.at_name():
            schema = self.name()
            self.expect(".")
        op = self.token
        if _BINARY.get(op.kind, 0) == 0 or op.kind == "operator":
            raise self.unexpected()
        self.advance()
        self.expect(")")
        return op.value, schema

    def _binary(self, left: ast.Expr, level: int, restricted: bool) -> ast.Expr:
        pos = self.pos
        op, schema = self.operator_name()
        if self.kind in _QUANTIFIERS and not restricted:
            return self._quantified(left, op, pos)
        return ast.Operator(op, left, self._climb(level, restricted), pos, schema)

    def _quantified(self, left: ast.Expr, op: str, pos: int) -> ast.Expr:
        any_ = self.advance().kind != "all"
        if self.query_ahead():
            return ast.SubLink("any" if any_ else "all", self.query_in_parens(), pos, left, op)
        self.expect("(")
        array = self.expr()
        self.expect(")")
        return ast.Quantified(left, op, any_, array, pos)

    def _other(self, left: ast.Expr, kind: str, restricted: bool) -> tuple[ast.Expr, int]:
        """A suffix; with the level that may not follow directly, or 0."""
        pos = self.pos
        if kind in ("and", "or"):
            return self._logical(left, kind, pos), 0
        if kind == "::":
            self.advance()
            return ast.Cast(left, self.type(), pos), 0
        if kind == "is":
            return self._is(left, restricted)
        if kind in ("isnull", "notnull"):
            self.advance()
            return ast.Test(left, "null", kind == "notnull", pos), 0
        if kind == "collate":
            self.advance()
            return ast.Collate(left, self.qualified(), pos), 0
        if kind == "at":
            self.advance()
            self.expect_words("time", "zone")
            zone = self.expr(AT)
            return ast.FuncCall(("pg_catalog", "timezone"), [zone, left], pos), 0
        return self._match(left)

    def _logical(self, left: ast.Expr, kind: str, pos: int) -> ast.Expr:
        args = [left]
        level = OR if kind == "or" else AND
        while self.accept(kind):
            args.append(self.expr(level))
        return ast.Bool("or" if kind == "or" else "and", args, pos)

    def _is(self, left: ast.Expr, restricted: bool) -> tuple[ast.Expr, int]:
        pos = self.expect("is").start + 1
        negated = self.accept("not")
        kind = self.kind
        if kind == "distinct":
            self.advance()
            self.expect("from")
            return ast.IsDistinct(left, self._climb(IS, restricted), negated, pos), IS
        if not restricted and (
            kind == "normalized" or (kind in NORMAL_FORMS and self.peek() == "normalized")
        ):
            return self._is_normalized(left, negated, pos), IS
        if restricted or kind not in ("null", "true", "false", "unknown"):
            raise self.unexpected()
        self.advance()
        return ast.Test(left, kind, negated, pos), 0  # type: ignore[arg-type]

    def _is_normalized(self, left: ast.Expr, negated: bool, pos: int) -> ast.Expr:
        args = [left]
        if self.kind in NORMAL_FORMS:
            args.append(ast.Literal("string", self.advance().value.upper(), self.pos))
        self.expect("normalized")
        call = ast.FuncCall(("pg_catalog", "is_normalized"), args, pos)
        return ast.Bool("not", [call], pos) if negated else call

    def _match(self, left: ast.Expr) -> tuple[ast.Expr, int]:
        """[NOT] BETWEEN, IN, LIKE, ILIKE, SIMILAR TO."""
        pos = self.pos
        negated = self.accept("not")
        kind = self.advance().kind
        if kind == "between":
            symmetric = self.accept("symmetric")
            if not symmetric:
                self.accept("asymmetric")
            low = self.restricted_expr()
            self.expect("and")
            return ast.Between(left, low, self.expr(MATCH), symmetric, negated, pos), MATCH
        if kind == "in":
            if self.kind == "(" and self.query_ahead():
                link: ast.Expr = ast.SubLink("any", self.query_in_parens(), pos, left)
                return (ast.Bool("not", [link], pos) if negated else link), 0
            self.expect("(")
            items = self.expr_list()
            self.expect(")")
            return ast.InList(left, items, negated, pos), 0
        if kind == "similar":
            self.expect_words("to")
        elif self.kind in _QUANTIFIERS:
            op = ("!" if negated else "") + ("~~*" if kind == "ilike" else "~~")
            return self._quantified(left, op, pos), 0
        pattern = self.expr(MATCH)
        escape = self.expr(MATCH) if self.accept("escape") else None
        return ast.Like(kind, left, pattern, escape, negated, pos), MATCH  # type: ignore[arg-type]

    # --- c_expr

    def primary(self) -> ast.Expr:
        """c_expr with the indirection that it may have."""
        kind, pos = self.kind, self.pos
        if kind == "IDENT" or kind in UNRESERVED:
            return self._word(pos)
        if kind in ("INT", "FLOAT"):
            return ast.Literal("int" if kind == "INT" else "float", self.advance().value, pos)
        if kind == "STRING":
            return ast.Literal("string", self.advance().value, pos)
        if kind in ("BIT", "HEX"):
            return ast.Literal("bit" if kind == "BIT" else "hex", self.advance().value, pos)
        if kind in ("true", "false"):
            return ast.Literal("bool", self.advance().value, pos)
        if kind == "null":
            self.advance()
            return ast.Literal("null", None, pos)
        if kind == "PARAM":
            return self.indirection(ast.Parameter(int(self.advance().value), pos))
        if kind == "(":
            return self._parenthesised(pos)
        if kind == "case":
            return self._case(pos)
        if kind == "array":
            return self._array(pos)
        if kind == "exists" and self.peek() == "(":
            self.advance()
            if not self.query_ahead():
                self.advance()
                raise self.unexpected()
            return ast.SubLink("exists", self.query_in_parens(), pos)
        special = self.special_call(kind, pos)
        if special is not None:
            return special
        if kind in COL_NAME:
            return self._column_keyword(pos)
        if kind in FUNCTION_NAMES:
            return self._function_keyword()
        raise self.unexpected()

    def _word(self, pos: int) -> ast.Expr:
        """A name: column, function call or ``type 'literal'``."""
        if self.kind == "double" and self.peek() == "precision":
            return self.typed_literal()
        ahead = self.peek()
        if ahead == "(":
            return self.call_or_literal()
        if ahead == "STRING":
            return self.typed_literal()
        if ahead not in (".", "["):
            return ast.Name((self.advance().value,), pos)
        return self._column(pos)

    def _column(self, pos: int) -> ast.Expr:
        start = self.i
        parts = [self.advance().value]
        while self.kind == ".":
            self.advance()
            if self.accept("*"):
                return ast.Star(tuple(parts), pos)
            parts.append(self.label())
        if self.kind in ("(", "STRING"):
            self.i = start
            return self.call_or_literal() if self._call_follows() else self.typed_literal()
        return self.indirection(ast.Name(tuple(parts), pos))

    def _call_follows(self) -> bool:
        at = 0
        while self.peek(at + 1) == ".":
            at += 2
        return self.peek(at + 1) == "("

    def _column_keyword(self, pos: int) -> ast.Expr:
        """A keyword that may name a column (but no function)."""
        if self.peek() in ("(", "STRING"):
            self.advance()
            raise self.unexpected()
        return self._column(pos)

    def _function_keyword(self) -> ast.Expr:
        """A keyword that may name a function or type (but no column)."""
        ahead = self.peek()
        if ahead == "(":
            return self.call_or_literal()
        if ahead == "STRING":
            return self.typed_literal()
        self.advance()
        raise self.unexpected()

    def indirection(self, arg: ast.Expr) -> ast.Expr:
        """``.field``, ``[i]``, ``[a:b]`` behind an expression."""
        while True:
            pos = self.pos
            if self.accept("."):
                name = "*" if self.accept("*") else self.label()
                arg = ast.FieldSelect(arg, name, pos)
            elif self.accept("["):
                index = None if self.kind in (":", "]") else self.expr()
                if self.accept(":"):
                    upper = None if self.kind == "]" else self.expr()
                    arg = ast.Subscript(arg, index, upper, True, pos)
                elif index is None:
                    raise self.unexpected()
                else:
                    arg = ast.Subscript(arg, index, None, False, pos)
                self.expect("]")
            else:
                return arg

    def _parenthesised(self, pos: int) -> ast.Expr:
        if self.query_ahead():
            return self.indirection(ast.SubLink("scalar", self.query_in_parens(), pos))
        self.expect("(")
        first = self.expr()
        if self.kind == ",":
            items = [first]
            while self.accept(","):
                items.append(self.expr())
            self.expect(")")
            return self.overlaps(ast.Row(items, pos))
        self.expect(")")
        # parentheses end what a sign may be folded into: -(1) is an operator call
        return self.indirection(first)

    def overlaps(self, row: ast.Row) -> ast.Expr:
        """``row OVERLAPS row`` is a function call."""
        if self.kind != "overlaps":
            return row
        pos = self.expect("overlaps").start + 1
        self.accept("row")
        self.expect("(")
        right = self.expr_list()
        self.expect(")")
        if len(row.items) != 2:
            raise self.error("wrong number of parameters on left side of OVERLAPS expression", pos)
        if len(right) != 2:
            raise self.error("wrong number of parameters on right side of OVERLAPS expression", pos)
        return ast.FuncCall(("pg_catalog", "overlaps"), [*row.items, *right], pos)

    def _case(self, pos: int) -> ast.Expr:
        self.expect("case")
        arg = None if self.kind == "when" else self.expr()
        whens = []
        if self.kind != "when":
            raise self.unexpected()
        while self.accept("when"):
            condition = self.expr()
            self.expect("then")
            whens.append((condition, self.expr()))
        default = self.expr() if self.accept("else") else None
        self.expect("end")
        return ast.Case(arg, whens, default, pos)

    def _array(self, pos: int) -> ast.Expr:
        self.expect("array")
        if self.kind == "(":
            if not self.query_ahead():
                self.advance()
                raise self.unexpected()
            return ast.SubLink("array", self.query_in_parens(), pos)
        return self._array_items(pos)

    def _array_items(self, pos: int) -> ast.Array:
        self.expect("[")
        items: list[ast.Expr] = []
        if not self.accept("]"):
            while True:
                items.append(self._array_items(self.pos) if self.kind == "[" else self.expr())
                if not self.accept(","):
                    break
            self.expect("]")
        return ast.Array(items, pos)

    def query_ahead(self) -> bool:
        """Whether the parenthesis here holds a query rather than an expression."""
        depth = 0
        while self.peek(depth) == "(":
            depth += 1
        if depth == 0 or self.peek(depth) not in QUERY_START:
            return False
        at = self.i + depth
        for _ in range(depth - 1):
            at = self._close(at) + 1
            kind = self.tokens[at].kind if at < len(self.tokens) else "EOF"
            if kind in _AFTER_QUERY:
                continue
            if kind != ")":
                return False
        return True

    def _close(self, at: int) -> int:
        """Index of the parenthesis that closes the level token ``at`` is in."""
        level = 0
        while at < len(self.tokens):
            kind = self.tokens[at].kind
            if kind == "(":
                level += 1
            elif kind == ")":
                level -= 1
                if level < 0:
                    return at
            at += 1
        return at
