"""Function calls and what looks like one (EXTRACT, TRIM, COALESCE, CURRENT_DATE, …)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.sql import ast
from laminar.sql.parser.types import TYPE_KEYWORDS, TypeParser

_SQL_VALUES: Final = frozenset((
    "current_date", "current_role", "current_user", "session_user", "user", "current_catalog",
    "current_schema",
))  # fmt: skip
_SQL_TIMES: Final = frozenset(("current_time", "current_timestamp", "localtime", "localtimestamp"))
_LISTS: Final = frozenset(("coalesce", "greatest", "least"))
_FRAMES: Final = frozenset(("rows", "range", "groups"))
_DATE_FIELDS: Final = frozenset(("year", "month", "day", "hour", "minute", "second"))
NORMAL_FORMS: Final = frozenset(("nfc", "nfd", "nfkc", "nfkd"))
_TRIM: Final = {"both": "btrim", "leading": "ltrim", "trailing": "rtrim"}


class CallParser(TypeParser):
    """func_expr."""

    if TYPE_CHECKING:

        def expr(self, minimum: int = 0) -> ast.Expr: ...
        def restricted_expr(self) -> ast.Expr: ...
        def expr_list(self) -> list[ast.Expr]: ...
        def overlaps(self, row: ast.Row) -> ast.Expr: ...

    def special_call(self, kind: str, pos: int) -> ast.Expr | None:
        """func_expr_common_subexpr, ROW(…), GROUPING(…) and typed literals; None for others."""
        if kind in _SQL_VALUES:
            if kind == "current_schema" and self.peek() == "(":
                return None
            self.advance()
            return ast.SqlValue(kind, None, pos)
        if kind in _SQL_TIMES:
            self.advance()
            return ast.SqlValue(kind, self._precision(), pos)
        if kind == "interval" and self.peek() in ("STRING", "("):
            return self._interval_literal(pos)
        if kind in TYPE_KEYWORDS and self._typed_literal_follows():
            return self.typed_literal()
        if kind == "cast":
            return self._cast(pos)
        if kind == "row" and self.peek() == "(":
            return self._row(pos)
        if self.peek() != "(":
            return None
        if kind in _LISTS:
            self.advance()
            return ast.Special(kind, self._arguments(), pos)  # type: ignore[arg-type]
        if kind == "nullif":
            self.advance()
            self.expect("(")
            first = self.expr()
            self.expect(",")
            second = self.expr()
            self.expect(")")
            return ast.Special("nullif", [first, second], pos)
        if kind == "grouping":
            self.advance()
            return ast.Special("grouping", self._arguments(), pos)
        handler = {
            "extract": self._extract,
            "substring": self._substring,
            "position": self._position,
            "overlay": self._overlay,
            "trim": self._trim,
            "normalize": self._normalize,
        }.get(kind)
        return handler(pos) if handler is not None else None

    def _arguments(self) -> list[ast.Expr]:
        self.expect("(")
        items = self.expr_list()
        self.expect(")")
        return items

    def _precision(self) -> int | None:
        if not self.accept("("):
            return None
        value = self.integer()
        self.expect(")")
        return value

    def _interval_literal(self, pos: int) -> ast.Expr:
        self.expect("interval")
        if self.kind == "(":
            type_ = self.interval_type(pos)
            at = self.pos
            return ast.Cast(ast.Literal("string", self.string(), at), type_, pos)
        at = self.pos
        literal = ast.Literal("string", self.string(), at)
        fields, mods = self.interval_fields()
        return ast.Cast(literal, ast.TypeName(("pg_catalog", "interval"), mods, 0, pos, fields=fields), pos)

    def _typed_literal_follows(self) -> bool:
        """Whether a literal (rather than a column of that name) begins here."""
        kind = self.kind
        if kind in ("character", "national", "double"):
            return True
        if kind in ("timestamp", "time"):
            return self.peek() in ("STRING", "(", "with", "without")
        return self.peek() in ("STRING", "(", "varying")

    def typed_literal(self) -> ast.Expr:
        """``type 'text'``."""
        pos = self.pos
        type_ = self.simple_type(constant=True)
        at = self.pos
        return ast.Cast(ast.Literal("string", self.string(), at), type_, pos)

    def _cast(self, pos: int) -> ast.Expr:
        self.expect("cast")
        self.expect("(")
        arg = self.expr()
        self.expect("as")
        type_ = self.type()
        self.expect(")")
        return ast.Cast(arg, type_, pos)

    def _row(self, pos: int) -> ast.Expr:
        self.expect("row")
        self.expect("(")
        items = [] if self.kind == ")" else self.expr_list()
        self.expect(")")
        return self.overlaps(ast.Row(items, pos, explicit=True))

    def _extract(self, pos: int) -> ast.Expr:
        self.expect("extract")
        self.expect("(")
        at = self.pos
        if self.kind == "STRING":
            part = self.string()
        elif self.kind == "IDENT" or self.kind in _DATE_FIELDS:
            part = self.advance().value
        else:
            raise self.unexpected()
        self.expect("from")
        arg = self.expr()
        self.expect(")")
        return ast.FuncCall(("pg_catalog", "extract"), [ast.Literal("string", part, at), arg], pos)

    def _substring(self, pos: int) -> ast.Expr:
        self.expect("substring")
        self.expect("(")
        args = [] if self.kind == ")" else [self.expr()]
        name = "substring"
        if args and self.kind == ",":
            while self.accept(","):
                args.append(self.expr())
        elif args and self.accept_words("similar"):
            args.append(self.expr())
            self.expect_words("escape")
            args.append(self.expr())
        elif args and self.kind in ("from", "for"):
            first = self.advance().kind
            value = self.expr()
            other = self.expr() if self.accept("for" if first == "from" else "from") else None
            if first == "from":
                args += [value] if other is None else [value, other]
            else:
                args += [other or ast.Literal("int", "1", 0), value]
        self.expect(")")
        return ast.FuncCall(("pg_catalog", name), args, pos)

    def _position(self, pos: int) -> ast.Expr:
        self.expect("position")
        self.expect("(")
        needle = self.restricted_expr()
        self.expect("in")
        text = self.restricted_expr()
        self.expect(")")
        return ast.FuncCall(("pg_catalog", "position"), [text, needle], pos)

    def _overlay(self, pos: int) -> ast.Expr:
        self.expect("overlay")
        self.expect("(")
        args = [self.expr()]
        if self.kind == ",":
            while self.accept(","):
                args.append(self.expr())
        else:
            self.expect_words("placing")
            args.append(self.expr())
            self.expect("from")
            args.append(self.expr())
            if self.accept("for"):
                args.append(self.expr())
        self.expect(")")
        return ast.FuncCall(("pg_catalog", "overlay"), args, pos)

    def _trim(self, pos: int) -> ast.Expr:
        self.expect("trim")
        self.expect("(")
        name = _TRIM.get(self.kind, "")
        if name:
            self.advance()
        if self.accept("from"):
            args = self.expr_list()
        else:
            args = [self.expr()]
            if self.accept("from"):
                args = [*self.expr_list(), args[0]]
            else:
                while self.accept(","):
                    args.append(self.expr())
        self.expect(")")
        return ast.FuncCall(("pg_catalog", name or "btrim"), args, pos)

    def _normalize(self, pos: int) -> ast.Expr:
        self.expect("normalize")
        self.expect("(")
        args = [self.expr()]
        if self.accept(","):
            at = self.pos
            if self.word() not in NORMAL_FORMS:
                raise self.unexpected()
            args.append(ast.Literal("string", self.advance().value.upper(), at))
        self.expect(")")
        return ast.FuncCall(("pg_catalog", "normalize"), args, pos)

    # --- ordinary calls

    def call_or_literal(self) -> ast.Expr:
        """``name(args) …`` or ``type(mods) 'text'``."""
        pos = self.pos
        names = [self.advance().value]
        while self.accept("."):
            names.append(self.label())
        call = self._call(tuple(names), pos)
        if self.kind == "STRING" and not (call.star or call.distinct or call.order_by or call.variadic):
            type_ = ast.TypeName(tuple(names), tuple(call.args), 0, pos)
            at = self.pos
            return ast.Cast(ast.Literal("string", self.string(), at), type_, pos)
        self._call_tail(call)
        return call

    def _call(self, names: tuple[str, ...], pos: int) -> ast.FuncCall:
        call = ast.FuncCall(names, [], pos)
        self.expect("(")
        if self.accept(")"):
            return call
        if self.accept("*"):
            call.star = True
            self.expect(")")
            return call
        if self.accept("distinct"):
            call.distinct = True
        else:
            self.accept("all")
        while True:
            if self.accept("variadic"):
                call.variadic = True
            call.arg_names.append(self._argument_name())
            call.args.append(self.expr())
            if call.variadic or not self.accept(","):
                break
        if self.kind == "order":
            call.order_by = self.sort_clause()
        self.expect(")")
        return call

    def _argument_name(self) -> str | None:
        if self.peek() in (":=", "=>"):
            name = self.type_name_word()
            self.advance()
            return name
        return None

    def _call_tail(self, call: ast.FuncCall) -> None:
        """WITHIN GROUP, FILTER, OVER."""
        if self.kind == "within" and self.peek() == "group":
            at = self.pos
            self.expect_words("within", "group")
            self.expect("(")
            if call.order_by:
                raise self.error("cannot use multiple ORDER BY clauses with WITHIN GROUP", at)
            if call.distinct:
                raise self.error("cannot use DISTINCT with WITHIN GROUP", at)
            if call.variadic:
                raise self.error("cannot use VARIADIC with WITHIN GROUP", at)
            call.within_group = self.sort_clause()
            self.expect(")")
        if self.kind == "filter" and self.peek() == "(":
            self.advance()
            self.expect("(")
            self.expect("where")
            call.filter = self.expr()
            self.expect(")")
        if self.accept("over"):
            pos = self.pos
            if self.kind == "(":
                call.over = self.window_definition()
            else:
                call.over = ast.WindowDef(self.name(), None, [], [], None, pos)

    def window_definition(self) -> ast.WindowDef:
        """``([base] [PARTITION BY …] [ORDER BY …] [frame])``."""
        pos = self.expect("(").start + 1
        base = None
        if self.at_name() and self.kind not in ("partition", *_FRAMES):
            base = self.name()
        partition: list[ast.Expr] = []
        if self.accept("partition"):
            self.expect_words("by")
            partition = self.expr_list()
        order = self.sort_clause() if self.kind == "order" else []
        frame = self._frame() if self.kind in _FRAMES else None
        self.expect(")")
        return ast.WindowDef(None, base, partition, order, frame, pos)

    def _frame(self) -> ast.FrameClause:
        pos = self.pos
        mode = self.advance().kind
        current = ast.FrameBound("current", None, 0)
        if self.accept("between"):
            start = self._bound()
            self.expect("and")
            end = self._bound()
        else:
            start, end = self._bound(), current
            if start.kind in ("following", "unbounded_following"):
                what = "UNBOUNDED FOLLOWING" if start.kind == "unbounded_following" else None
                raise self.error(
                    f"frame start cannot be {what}"
                    if what
                    else "frame starting from following row cannot end with current row",
                    start.pos,
                    "42P20",
                )
        self._check_frame(start, end)
        exclude = "no_others"
        if self.accept("exclude"):
            if self.accept_words("current", "row"):
                exclude = "current"
            elif self.accept_words("no", "others"):
                pass
            elif self.word() in ("group", "ties"):
                exclude = self.advance().value
            else:
                raise self.unexpected()
        return ast.FrameClause(mode, start, end, exclude, pos)  # type: ignore[arg-type]

    def _check_frame(self, start: ast.FrameBound, end: ast.FrameBound) -> None:
        message, pos = "", start.pos
        if start.kind == "unbounded_following":
            message = "frame start cannot be UNBOUNDED FOLLOWING"
        elif end.kind == "unbounded_preceding":
            message, pos = "frame end cannot be UNBOUNDED PRECEDING", end.pos
        elif start.kind == "current" and end.kind == "preceding":
            message, pos = "frame starting from current row cannot have preceding rows", end.pos
        elif start.kind == "following" and end.kind in ("preceding", "current"):
            message, pos = "frame starting from following row cannot have preceding rows", end.pos
        if message:
            raise self.error(message, pos, "42P20")

    def _bound(self) -> ast.FrameBound:
        pos = self.pos
        if self.kind == "unbounded" and self.peek() in ("preceding", "following"):
            self.advance()
            kind = self.advance().kind
            return ast.FrameBound(f"unbounded_{kind}", None, pos)  # type: ignore[arg-type]
        if self.kind == "current" and self.peek() == "row":
            self.advance()
            self.advance()
            return ast.FrameBound("current", None, pos)
        offset = self.expr()
        if self.kind not in ("preceding", "following"):
            raise self.unexpected()
        return ast.FrameBound(self.advance().kind, offset, pos)  # type: ignore[arg-type]

    def sort_clause(self) -> list[ast.SortBy]:
        """ORDER BY items."""
        self.expect("order")
        self.expect_words("by")
        items = [self._sort_item()]
        while self.accept(","):
            items.append(self._sort_item())
        return items

    def _sort_item(self) -> ast.SortBy:
        pos = self.pos
        expr = self.expr()
        descending = False
        if self.accept("using"):
            op = self.token
            if op.value not in ("<", ">"):
                raise self.error("ORDER BY USING supports < and > only", sqlstate="0A000")
            self.advance()
            descending = op.value == ">"
        elif self.accept("desc"):
            descending = True
        else:
            self.accept("asc")
        nulls: bool | None = None
        if self.kind == "nulls" and self.peek() in ("first", "last"):
            self.advance()
            nulls = self.advance().kind == "first"
        return ast.SortBy(expr, descending, nulls, pos)
