"""Text to statements: :func:`parse`, :func:`split` and the parsers of stored text.

The grammar is PostgreSQL's gram.y, by recursive descent over its tokens, so that what PostgreSQL
rejects is rejected here, with the same SQLSTATE at the same position; see laminar/sql/README.md
for why sqlglot's trees were not enough.
"""

from __future__ import annotations

import sys

from laminar.errors import not_supported
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.lexer import split, split_offsets
from laminar.sql.parser.literal_rows import at_end, literal_insert
from laminar.sql.parser.session import SessionParser

__all__ = ["parse", "parse_expression", "parse_query", "parse_rows", "parse_type", "split", "split_offsets"]

# The trees of the deepest statements that the parser lets through need this many Python frames
# (which are not on the C stack).
sys.setrecursionlimit(max(sys.getrecursionlimit(), 8000))

_QUERY = frozenset(("select", "values", "table", "("))
_REFUSED = {
    "do": "DO is not supported",
    "call": "CALL is not supported",
    "load": "LOAD is not supported",
    "reassign": "REASSIGN OWNED is not supported",
    "security": "SECURITY LABEL is not supported",
    "import": "IMPORT FOREIGN SCHEMA is not supported",
    "reindex": "REINDEX is not supported",
    "cluster": "CLUSTER is not supported",
    "restore": "RESTORE is not supported in SQL",
}
_HINTS = {
    "restore": "Use the command laminar restore.",
}


class StatementParser(SessionParser):
    """One statement."""

    def statement(self) -> s.Statement:
        kind, word = self.kind, self.word()
        if kind in _QUERY:
            return self._query()
        if kind == "with":
            return self._with()
        method = _DISPATCH.get(word)
        if method is not None:
            result: s.Statement = method(self)
            return result
        if word in _REFUSED:
            raise not_supported(_REFUSED[word], hint=_HINTS.get(word), position=self.pos)
        raise self.unexpected()

    def _with(self) -> s.Statement:
        """WITH before a query or DML."""
        start = self.i
        with_ = self.with_clause()
        if self.kind == "insert":
            return self.insert(with_)
        if self.kind == "update":
            return self.update(with_)
        if self.kind == "delete":
            return self.delete(with_)
        if self.word() == "merge":
            return self.merge(with_)
        self.i = start
        return self._query()

    def _query(self) -> s.Statement:
        """A query, or SELECT … INTO."""
        query = self.query()
        if self.into is None:
            return s.Query(query)
        (parts, pos, temporary), self.into = self.into, None
        return s.CreateTable(s.QName(parts, pos), s.Elements(), temporary=temporary, query=query)

    def refuse_into(self) -> None:
        """42601 for SELECT … INTO inside another statement."""
        if self.into is not None:
            raise self.error("SELECT ... INTO is not allowed here", self.into[1])

    def insert_statement(self) -> s.Statement:
        return self.insert(None)

    def update_statement(self) -> s.Statement:
        return self.update(None)

    def delete_statement(self) -> s.Statement:
        return self.delete(None)

    def merge_statement(self) -> s.Statement:
        return self.merge(None)

    def flush(self) -> s.Statement:
        self.advance()
        return s.Flush()

    def checkpoint(self) -> s.Statement:
        self.advance()
        return s.Checkpoint()

    def backup(self) -> s.Statement:
        self.advance()
        self.expect("to")
        return s.Backup(self.string())

    def describe(self) -> s.Statement:
        self.advance()
        return s.Describe(self.qname())

    def listen(self) -> s.Statement:
        self.advance()
        return s.Listen(self.name())

    def unlisten(self) -> s.Statement:
        self.advance()
        return s.Unlisten(None if self.accept("*") else self.name())

    def notify(self) -> s.Statement:
        self.advance()
        channel = self.name()
        return s.Notify(channel, self.string() if self.accept(",") else "")

    def maintenance(self) -> s.Statement:
        command = "vacuum" if self.advance().kind == "vacuum" else "analyze"
        if self.kind == "(":
            self.options()
        while self.word() in ("full", "freeze", "verbose", "analyze", "analyse"):
            self.advance()
        relations: list[s.QName] = []
        if self.at_name():
            relations.append(self.qname())
            while self.accept(","):
                relations.append(self.qname())
        return s.Maintenance(command, relations)  # type: ignore[arg-type]

    def refresh(self) -> s.Statement:
        """REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH [NO] DATA]."""
        self.advance()
        self.expect("materialized")
        self.expect("view")
        self.accept("concurrently")
        name, start = self.qname(), self.pos
        if self.accept("with"):
            if self.accept("no"):
                raise not_supported(
                    "REFRESH MATERIALIZED VIEW ... WITH NO DATA is not supported",
                    hint="A materialized view is always up to date.",
                    position=start,
                )
            self.expect("data")
        return s.Refresh(name)

    def lock(self) -> s.Statement:
        """LOCK [TABLE] relations [IN mode MODE] [NOWAIT]."""
        self.advance()
        self.accept("table")
        relations = [self._lockable()]
        while self.accept(","):
            relations.append(self._lockable())
        mode, pos = "access exclusive", self.pos
        if self.accept_words("in"):
            pos = self.pos
            found = next((m for m in _LOCK_MODES if self.accept_words(*m.split(), "mode")), None)
            if found is None:
                raise self.unexpected()
            mode = found
        return s.Lock(relations, mode, pos, self.accept_words("nowait"))

    def _lockable(self) -> s.QName:
        if self.accept_words("only") and self.accept("("):
            name = self.qname()
            self.expect(")")
            return name
        name = self.qname()
        self.accept("*")
        return name


_LOCK_MODES = (
    "access share", "row share", "row exclusive", "share update exclusive", "share row exclusive", "share",
    "exclusive", "access exclusive",
)  # fmt: skip
_P = StatementParser
_DISPATCH = {
    "insert": _P.insert_statement, "update": _P.update_statement, "delete": _P.delete_statement,
    "merge": _P.merge_statement,
    "truncate": _P.truncate, "copy": _P.copy, "subscribe": _P.subscribe, "create": _P.create, "drop": _P.drop,
    "alter": _P.alter, "comment": _P.comment, "grant": _P.grant, "revoke": _P.grant, "explain": _P.explain,
    "show": _P.show, "set": _P.set, "reset": _P.reset, "begin": _P.transaction, "start": _P.transaction,
    "commit": _P.transaction, "end": _P.transaction, "rollback": _P.transaction, "abort": _P.transaction,
    "savepoint": _P.transaction, "release": _P.transaction, "declare": _P.declare, "fetch": _P.fetch,
    "move": _P.fetch, "close": _P.close, "prepare": _P.prepare, "execute": _P.execute,
    "deallocate": _P.deallocate, "discard": _P.discard, "flush": _P.flush, "checkpoint": _P.checkpoint,
    "backup": _P.backup, "describe": _P.describe, "listen": _P.listen, "unlisten": _P.unlisten,
    "notify": _P.notify, "lock": _P.lock, "vacuum": _P.maintenance, "analyze": _P.maintenance,
    "analyse": _P.maintenance, "refresh": _P.refresh,
}  # fmt: skip


def parse(sql: str) -> s.Statement:
    """One statement (a semicolon may end it). Raises 42601 with position, 0A000 for known gaps."""
    fast = literal_insert(sql)
    if fast is not None:
        insert, offset = fast
        if at_end(sql, offset):
            return insert
        tail = StatementParser(sql, offset)
        tail.insert_tail(insert)
        tail.end()
        return insert
    parser = StatementParser(sql)
    statement = parser.statement()
    parser.end()
    parser.refuse_into()
    return statement


def parse_rows(sql: str, offset: int) -> list[list[ast.Expr]]:
    """The rows of VALUES that begin at a 0-based offset of a statement."""
    return StatementParser(sql, offset).values_rows()


def parse_query(sql: str) -> ast.Query:
    """A query as stored in the catalog."""
    parser = StatementParser(sql)
    query = parser.query()
    parser.end()
    return query


def parse_expression(sql: str) -> ast.Expr:
    """An expression as stored in the catalog (a default, a check, a computed column)."""
    parser = StatementParser(sql)
    expr = parser.expr()
    parser.end()
    return expr


def parse_type(text: str) -> ast.TypeName:
    """A type name, as in regtype input."""
    parser = StatementParser(text)
    type_ = parser.type()
    parser.end()
    return type_
