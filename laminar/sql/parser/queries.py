"""SELECT, VALUES, TABLE, set operations, WITH."""

from __future__ import annotations

from typing import Final

from laminar.errors import PgError, not_supported
from laminar.sql import ast
from laminar.sql.parser.expressions import QUERY_START
from laminar.sql.parser.relations import RelationParser

_NO_TARGETS: Final = frozenset((
    "from", "where", "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset",
    "fetch", "for", ")", ";", "EOF", "into",
))  # fmt: skip


class QueryParser(RelationParser):
    """SelectStmt."""

    def query_in_parens(self) -> ast.Query:
        """select_with_parens."""
        self.expect("(")
        self.depth += 1
        if self.depth > 300:
            raise self.error("stack depth limit exceeded", sqlstate="54001")
        query = self.query_in_parens() if self._only_parens() else self.query()
        self.depth -= 1
        self.expect(")")
        return query

    def _only_parens(self) -> bool:
        """``((query))``: redundant parentheses."""
        return (
            self.kind == "(" and self.query_ahead() and self.peek(self._close(self.i + 1) - self.i + 1) == ")"
        )

    def query(self) -> ast.Query:
        """select_no_parens, or a parenthesised one with a tail."""
        with_ = self.with_clause() if self.kind == "with" else None
        body = self._set_expression(0)
        tail = self._tail()
        tail.with_ = with_
        self._merge(body, tail)
        return body

    def _merge(self, body: ast.Query, tail: ast.Tail) -> None:
        """insertSelectOptions: a tail behind parentheses joins the one inside."""
        inner = body.tail
        if tail.order_by and inner.order_by:
            raise self.error("multiple ORDER BY clauses not allowed", tail.order_by[0].pos)
        if tail.offset is not None and inner.offset is not None:
            raise self.error("multiple OFFSET clauses not allowed", getattr(tail.offset, "pos", 0))
        if tail.limit is not None and inner.limit is not None:
            raise self.error("multiple LIMIT clauses not allowed", getattr(tail.limit, "pos", 0))
        if tail.with_ is not None and inner.with_ is not None:
            raise self.error("multiple WITH clauses not allowed", tail.with_.pos)
        if tail.with_ties and not (tail.order_by or inner.order_by):
            raise PgError("42601", "WITH TIES cannot be specified without ORDER BY clause")
        inner.order_by = tail.order_by or inner.order_by
        if tail.limit is not None:
            inner.limit, inner.with_ties = tail.limit, tail.with_ties
        inner.offset = tail.offset if tail.offset is not None else inner.offset
        inner.with_ = tail.with_ or inner.with_
        inner.locking += tail.locking

    def _set_expression(self, minimum: int) -> ast.Query:
        left = self._simple()
        while True:
            kind, pos = self.kind, self.pos
            level = {"union": 1, "except": 1, "intersect": 2}.get(kind, 0)
            if level <= minimum:
                return left
            self.advance()
            all_ = self.accept("all")
            if not all_:
                self.accept("distinct")
            right = self._set_expression(level)
            left = ast.SetOperation(kind, all_, left, right, ast.Tail(), pos)  # type: ignore[arg-type]

    def _simple(self) -> ast.Query:
        kind = self.kind
        if kind == "select":
            return self._select()
        if kind == "values":
            return self.values()
        if kind == "table":
            pos = self.pos
            self.advance()
            at = self.pos
            source = ast.TableRef(self.qualified(), None, at)
            target = ast.Target(ast.Star((), pos), None, pos)
            return ast.Select([target], [source], None, [], None, [], None, ast.Tail(), pos)
        if kind == "(":
            return self.query_in_parens()
        raise self.unexpected()

    def values(self) -> ast.ValuesQuery:
        pos = self.expect("values").start + 1
        return ast.ValuesQuery(self.values_rows(), ast.Tail(), pos)

    def values_rows(self) -> list[list[ast.Expr]]:
        """What follows VALUES."""
        rows = [self._values_row()]
        while self.accept(","):
            rows.append(self._values_row())
        return rows

    def _values_row(self) -> list[ast.Expr]:
        self.expect("(")
        items = [self.expr_or_default()]
        while self.accept(","):
            items.append(self.expr_or_default())
        self.expect(")")
        return items

    def expr_or_default(self) -> ast.Expr:
        pos = self.pos
        if self.accept("default"):
            return ast.Default(pos)
        return self.expr()

    def _into(self) -> None:
        """SELECT … INTO: allowed in a statement that is a query and nothing else, once."""
        pos = self.advance().start + 1
        if self.into is not None or self.selects > 1:
            raise self.error("SELECT ... INTO is not allowed here", pos)
        temporary = self.word() in ("temp", "temporary")
        if temporary or self.word() == "unlogged":
            self.advance()
        self.accept("table")
        at = self.pos
        self.into = (self.qualified(), at, temporary)

    def _select(self) -> ast.Select:
        self.selects += 1
        try:
            return self._select_core()
        finally:
            self.selects -= 1

    def _select_core(self) -> ast.Select:
        pos = self.expect("select").start + 1
        distinct: list[ast.Expr] | None = None
        if self.accept("distinct"):
            distinct = []
            if self.accept("on"):
                self.expect("(")
                distinct = self.expr_list()
                self.expect(")")
        else:
            self.accept("all")
        targets = self.targets() if distinct is not None or self.kind not in _NO_TARGETS else []
        if self.kind == "into":
            self._into()
        from_ = self.from_list() if self.accept("from") else []
        where = self.expr() if self.accept("where") else None
        groups: list[ast.Expr | ast.GroupingSet] = []
        group_distinct = False
        if self.accept("group"):
            self.expect_words("by")
            group_distinct = self.accept("distinct")
            if not group_distinct:
                self.accept("all")
            groups = self._group_items()
        having = self.expr() if self.accept("having") else None
        windows = self._windows() if self.accept("window") else []
        return ast.Select(
            targets, from_, where, groups, having, windows, distinct, ast.Tail(), pos, group_distinct
        )

    def targets(self) -> list[ast.Target]:
        """target_list (and RETURNING's)."""
        items = [self._target()]
        while self.accept(","):
            items.append(self._target())
        return items

    def _target(self) -> ast.Target:
        pos = self.pos
        if self.accept("*"):
            return ast.Target(ast.Star((), pos), None, pos)
        expr = self.expr()
        if self.accept("as"):
            return ast.Target(expr, self.label(), pos)
        if self.at_bare_label() and not self.at_clause_word():
            return ast.Target(expr, self.label(), pos)
        return ast.Target(expr, None, pos)

    def _group_items(self) -> list[ast.Expr | ast.GroupingSet]:
        items = [self._group_item()]
        while self.accept(","):
            items.append(self._group_item())
        return items

    def _group_item(self) -> ast.Expr | ast.GroupingSet:
        pos, word = self.pos, self.word()
        if self.kind == "(" and self.peek() == ")":
            self.advance()
            self.advance()
            return ast.GroupingSet("empty", [], pos)
        if word in ("rollup", "cube") and self.peek() == "(":
            self.advance()
            self.expect("(")
            items = self._group_items()
            self.expect(")")
            return ast.GroupingSet(word, items, pos)  # type: ignore[arg-type]
        if word == "grouping" and self.word(1) == "sets":
            self.advance()
            self.advance()
            self.expect("(")
            items = self._group_items()
            self.expect(")")
            return ast.GroupingSet("sets", items, pos)
        return self.expr()

    def _windows(self) -> list[tuple[str, ast.WindowDef]]:
        items = []
        while True:
            name = self.name()
            self.expect("as")
            items.append((name, self.window_definition()))
            if not self.accept(","):
                return items

    def _tail(self) -> ast.Tail:
        tail = ast.Tail()
        if self.kind == "order":
            tail.order_by = self.sort_clause()
        seen_limit = seen_offset = False
        while True:
            kind = self.kind
            if kind in ("limit", "fetch") and not seen_limit:
                seen_limit = True
                if kind == "limit":
                    self._limit(tail)
                else:
                    self._fetch(tail)
            elif kind == "offset" and not seen_offset:
                seen_offset = True
                self.advance()
                tail.offset = self.expr()
                if self.word() in ("row", "rows"):
                    self.advance()
            elif kind == "for" and self.word(1) in ("update", "share", "no", "key", "read"):
                self._locking(tail)
            else:
                return tail

    def _limit(self, tail: ast.Tail) -> None:
        pos = self.pos
        self.advance()
        if self.accept("all"):
            return
        tail.limit = self.expr()
        if self.kind == ",":
            raise self.error(
                "LIMIT #,# syntax is not supported", pos, hint="Use separate LIMIT and OFFSET clauses."
            )

    def _fetch(self, tail: ast.Tail) -> None:
        self.expect("fetch")
        if self.word() not in ("first", "next"):
            raise self.unexpected()
        self.advance()
        pos = self.pos
        if self.word() in ("row", "rows"):
            tail.limit = ast.Literal("int", "1", pos)
        elif self.kind in ("+", "-"):
            sign = self.advance().kind
            number = self.advance()
            if number.kind not in ("INT", "FLOAT"):
                self.i -= 1
                raise self.unexpected()
            tail.limit = ast.Literal("int", ("-" if sign == "-" else "") + number.value, pos)
        else:
            tail.limit = self.primary()
        if self.word() not in ("row", "rows"):
            raise self.unexpected()
        self.advance()
        if self.accept_words("with", "ties"):
            tail.with_ties = True
        else:
            self.expect("only")

    def _locking(self, tail: ast.Tail) -> None:
        pos = self.pos
        self.expect("for")
        if self.accept_words("read"):
            self.expect_words("only")
            return
        if self.accept_words("update"):
            clause = ast.Locking("update", pos)
        elif self.accept_words("share"):
            clause = ast.Locking("share", pos)
        elif self.accept_words("key", "share"):
            clause = ast.Locking("key share", pos)
        else:
            self.expect_words("no", "key", "update")
            clause = ast.Locking("no key update", pos)
        if self.accept_words("of"):
            clause.of.append(self._lock_name())
            while self.accept(","):
                clause.of.append(self._lock_name())
        if self.accept_words("nowait"):
            clause.policy = "nowait"
        elif self.accept_words("skip", "locked"):
            clause.policy = "skip"
        tail.locking.append(clause)

    def _lock_name(self) -> tuple[str, int]:
        pos, parts = self.pos, self.qualified()
        if len(parts) > 1:
            raise self.error("FOR UPDATE must specify unqualified relation names", pos)
        return parts[0], pos

    def modifying(self) -> object:
        """INSERT, UPDATE or DELETE in WITH."""
        raise NotImplementedError

    def with_clause(self) -> ast.With:
        pos = self.expect("with").start + 1
        recursive = self.accept_words("recursive")
        ctes = [self._cte()]
        while self.accept(","):
            ctes.append(self._cte())
        return ast.With(ctes, recursive, pos)

    def _cte(self) -> ast.Cte:
        pos = self.pos
        name = self.name()
        columns = self.name_list() if self.kind == "(" else []
        self.expect("as")
        materialized: bool | None = None
        if self.accept_words("materialized"):
            materialized = True
        elif self.accept_words("not", "materialized"):
            materialized = False
        if self.kind == "(" and self.word(1) in ("insert", "update", "delete"):
            self.advance()
            statement = self.modifying()
            self.expect(")")
            return ast.Cte(name, columns, ast.ValuesQuery([], ast.Tail(), pos), materialized, pos, statement)
        if self.kind == "(" and self.word(1) == "merge":
            raise not_supported("MERGE not supported in WITH query", position=pos)
        if self.kind != "(" or (self.peek() not in QUERY_START and self.peek() != "("):
            self.expect("(")
            raise self.unexpected()
        return ast.Cte(name, columns, self.query_in_parens(), materialized, pos)
