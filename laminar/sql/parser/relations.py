"""What may stand in FROM: relations, subqueries, functions, windows, joins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from laminar.errors import not_supported
from laminar.sql import ast
from laminar.sql.parser.expressions import ExpressionParser

#: LaminarDB's and RisingWave's spellings -> kind
WINDOW_KINDS: Final = {
    "tumble": "tumble", "hop": "hop", "slide": "hop", "session": "session", "cumulate": "cumulate",
}  # fmt: skip
#: how many spans each kind takes: (required, optional offset)
WINDOW_SPANS: Final = {"tumble": (1, 1), "hop": (2, 1), "session": (1, 0), "cumulate": (2, 1)}
_JOIN_WORDS: Final = frozenset(("join", "cross", "natural", "inner", "left", "right", "full"))
_SPAN: Final = re.compile(r"(\d+)(us|ms|s|m|h|d)$")
_UNITS: Final = {"us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}


class RelationParser(ExpressionParser):
    """from_clause."""

    if TYPE_CHECKING:

        def query_in_parens(self) -> ast.Query: ...

    def from_list(self) -> list[ast.FromItem]:
        items = [self.from_item()]
        while self.accept(","):
            items.append(self.from_item())
        return items

    def from_item(self) -> ast.FromItem:
        """table_ref."""
        item = self._primary_item()
        while self._at_join():
            item = self._join(item)
        return item

    def at_clause_word(self) -> bool:
        """Whether a streaming clause rather than an alias begins here."""
        word = self.word()
        after = self.word(1)
        if word == "emit":
            return after in ("on", "after", "changes", "final", "every", "periodically", "update")
        if word == "allow":
            return after == "lateness"
        if word == "late":
            return after == "data"
        if word == "asof":
            return after in ("join", "left", "inner")
        if word == "temporal":
            return after in ("join", "probe")
        return word == "match_condition" and self.peek() == "("

    def alias(self, *, definitions: bool = False) -> ast.Alias | None:
        """opt_alias_clause, or func_alias_clause."""
        if self.accept("as"):
            if definitions and self.kind == "(":
                return ast.Alias("", [], self._definitions())
        elif not self.at_name() or self.at_clause_word():
            return None
        name = self.name()
        if self.kind != "(":
            return ast.Alias(name, [])
        if definitions and self.peek(2) not in (",", ")"):
            return ast.Alias(name, [], self._definitions())
        return ast.Alias(name, self.name_list())

    def _definitions(self) -> ast.Definitions:
        self.expect("(")
        pos = self.pos
        items = [(self.name(), self.type())]
        while self.accept(","):
            items.append((self.name(), self.type()))
        self.expect(")")
        return ast.Definitions(items, pos)

    def _primary_item(self) -> ast.FromItem:
        pos = self.pos
        if self.accept("lateral"):
            if self.kind == "(":
                return self._subquery(pos, lateral=True)
            return self._function(pos, lateral=True)
        if self.kind == "(":
            return self._subquery(pos, lateral=False) if self.query_ahead() else self._parenthesised_join()
        if self.kind == "rows" and self.peek() == "from":
            return self._function(pos, lateral=False)
        if self.kind == "only":
            self.advance()
            parens = self.accept("(")
            ref = ast.TableRef(self.qualified(), None, self.tokens[self.i - 1].start + 1)
            if parens:
                self.expect(")")
            ref.alias = self.alias()
            return ref
        if self.peek() == "(" and self.word() in WINDOW_KINDS:
            return self._window(WINDOW_KINDS[self.word()])
        if self._function_follows():
            return self._function(pos, lateral=False)
        return self._relation(pos)

    def _function_follows(self) -> bool:
        if self.kind in ("current_date", "current_timestamp", "current_user", "coalesce", "cast"):
            return True
        at = 0
        while self.peek(at + 1) == ".":
            at += 2
        return self.peek(at + 1) == "("

    def _relation(self, pos: int) -> ast.FromItem:
        parts = self.qualified()
        self.accept("*")
        ref = ast.TableRef(parts, None, pos)
        if self.words("for", "system_time"):
            self.accept_words("for", "system_time")
            self.expect_words("as", "of")
            if self.word() == "proctime" and self.peek() == "(":
                self.advance()
                self.advance()
                self.expect(")")
                ref.as_of = "proctime"
            else:
                ref.as_of = self.expr()
        ref.alias = self.alias()
        if self.kind == "tablesample":
            raise not_supported("TABLESAMPLE is not supported", position=self.pos)
        return ref

    def _subquery(self, pos: int, *, lateral: bool) -> ast.FromItem:
        at = self.pos
        if not self.query_ahead():
            self.expect("(")
            raise self.unexpected()
        query = self.query_in_parens()
        alias = self.alias()
        if alias is None:
            raise self.error(
                "VALUES in FROM must have an alias"
                if isinstance(query, ast.ValuesQuery)
                else "subquery in FROM must have an alias",
                at,
                hint="For example, FROM (VALUES ...) [AS] foo."
                if isinstance(query, ast.ValuesQuery)
                else "For example, FROM (SELECT ...) [AS] foo.",
            )
        return ast.SubqueryRef(query, alias, lateral, at)

    def _parenthesised_join(self) -> ast.FromItem:
        self.expect("(")
        item = self.from_item()
        if not isinstance(item, ast.JoinRef | ast.ProbeRef):
            raise self.unexpected()
        self.expect(")")
        if isinstance(item, ast.JoinRef) and item.alias is None:
            item.alias = self.alias()
        return item

    def _function(self, pos: int, *, lateral: bool) -> ast.FromItem:
        at = self.pos
        if lateral and not self._function_follows() and self.kind != "rows":
            self.qualified()
            raise self.unexpected()
        if self.kind == "rows" and self.peek() == "from":
            self.advance()
            self.advance()
            self.expect("(")
            calls = [self.primary()]
            definitions = [self._definitions() if self.accept("as") else None]
            while self.accept(","):
                calls.append(self.primary())
                definitions.append(self._definitions() if self.accept("as") else None)
            self.expect(")")
            ordinality = self.accept_words("with", "ordinality")
            return ast.FunctionRef(calls, self.alias(definitions=True), lateral, ordinality, at, definitions)
        calls = [self.primary()]
        ordinality = self.accept_words("with", "ordinality")
        alias = self.alias(definitions=True)
        own = None if alias is None else alias.definitions
        if own is not None and ordinality:
            raise self.error(
                "WITH ORDINALITY cannot be used with a column definition list",
                own.pos,
                hint="Put the column definition list inside ROWS FROM().",
            )
        return ast.FunctionRef(calls, alias, lateral, ordinality, at, [own])

    # --- windows

    def _window(self, kind: str) -> ast.FromItem:
        """``HOP(relation | (query) | TABLE relation, time, spans… [PARTITION BY …])``."""
        pos = self.pos
        self.advance()
        self.expect("(")
        at = self.pos
        source: ast.FromItem
        if self.kind == "(":
            if not self.query_ahead():
                raise self.unexpected()
            source = ast.SubqueryRef(self.query_in_parens(), ast.Alias("", []), False, at)
        else:
            self.accept("table")
            source = ast.TableRef(self.qualified(), None, self.pos if self.kind == "EOF" else at)
        self.expect(",")
        time = self._descriptor()
        spans: list[ast.Expr] = []
        while self.accept(","):
            spans.append(self.expr())
        partition: list[ast.Expr] = []
        if kind == "session" and self.accept("partition"):
            self.expect_words("by")
            partition = self.expr_list()
        least, optional = WINDOW_SPANS[kind]
        if not least <= len(spans) <= least + optional:
            raise self.error(
                f"{kind.upper()} takes {least + 2}{f' or {least + 3}' if optional else ''} arguments",
                pos,
                "42883",
                hint="See the table of windows in the SQL reference.",
            )
        self.expect(")")
        return ast.WindowRef(kind, source, time, spans, partition, self.alias(), pos)  # type: ignore[arg-type]

    def _descriptor(self) -> ast.Expr:
        if self.word() == "descriptor" and self.peek() == "(":
            self.advance()
            self.advance()
            time = self.expr()
            self.expect(")")
            return time
        return self.expr()

    # --- joins

    def _at_join(self) -> bool:
        kind = self.kind
        if kind in _JOIN_WORDS:
            return True
        return self.at_clause_word() and self.word() in ("asof", "temporal")

    def _join(self, left: ast.FromItem) -> ast.FromItem:
        pos = self.pos
        if self.accept("cross"):
            self.expect("join")
            return ast.JoinRef("cross", left, self._primary_item(), False, [], None, None, pos)
        if self.words("temporal", "probe"):
            return self._probe(left)
        asof = self.accept_words("asof")
        if not asof and self.word() == "temporal":
            self.advance()  # RisingWave writes TEMPORAL JOIN before FOR SYSTEM_TIME
        natural = self.accept("natural")
        kind = self._join_kind()
        self.expect("join")
        right = self._primary_item()
        join = ast.JoinRef(kind, left, right, natural, [], None, None, pos, asof=asof)  # type: ignore[arg-type]
        if natural:
            return join
        while self._at_join():
            join.right = self._join(join.right)
        if asof and self.word() == "match_condition":
            self.advance()
            self.expect("(")
            join.match_condition = self.expr()
            self.expect(")")
        self._join_condition(join)
        return join

    def _join_kind(self) -> str:
        for kind in ("left", "right", "full"):
            if self.accept(kind):
                self.accept("outer")
                return kind
        self.accept("inner")
        return "inner"

    def _join_condition(self, join: ast.JoinRef) -> None:
        if self.accept("on"):
            join.on = self.expr()
            return
        if not self.accept("using"):
            raise self.unexpected()
        join.using = self.positioned_names()
        if self.accept("as"):
            join.using_alias = self.name()

    def _probe(self, left: ast.FromItem) -> ast.FromItem:
        """TEMPORAL PROBE JOIN r ON (k, …) TIMESTAMPS (l.ts, r.ts) RANGE … | LIST (…) AS p."""
        pos = self.pos
        self.expect_words("temporal", "probe", "join")
        right = self._primary_item()
        self.expect("on")
        keys = self.positioned_names()
        self.expect_words("timestamps")
        self.expect("(")
        left_time = self.expr()
        self.expect(",")
        right_time = self.expr()
        self.expect(")")
        if self.accept_words("list"):
            self.expect("(")
            offsets = [self._span()]
            while self.accept(","):
                offsets.append(self._span())
            self.expect(")")
        else:
            offsets = self._probe_range()
        self.expect("as")
        return ast.ProbeRef(left, right, keys, (left_time, right_time), offsets, self.name(), pos)

    def _probe_range(self) -> list[int]:
        self.expect_words("range", "from")
        first = self._span()
        self.expect_words("to")
        last = self._span()
        self.expect_words("step")
        at = self.pos
        step = self._span()
        if step <= 0 or last < first or (last - first) // step >= 10_000:
            raise self.error("RANGE needs FROM <= TO, a positive STEP and at most 10000 probes", at, "22023")
        return list(range(first, last + 1, step))

    def _span(self) -> int:
        """``30s``, ``-5ms`` or 0, in microseconds."""
        sign = -1 if self.accept("-") else 1
        token = self.token
        if token.kind == "INT" and token.value == "0":
            self.advance()
            return 0
        match = _SPAN.match(token.value) if token.kind == "JUNK" else None
        if match is None:
            raise self.unexpected("Spans are written like 500ms, 30s, 5m, 1h.")
        self.advance()
        return sign * int(match.group(1)) * _UNITS[match.group(2)]
