"""CREATE statements."""

from __future__ import annotations

from typing import Literal

from laminar.errors import not_supported
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.parser.databases import DatabaseParser

#: what is not there -> what to do instead
_REFUSED = {
    "trigger": "A materialized view or a sink INTO a table reacts to every change.",
    "rule": "A materialized view or a sink INTO a table reacts to every change.",
    "procedure": "Write a function, or send the statements from the client.",
    "extension": "What Laminar has is built in.",
    "language": "Functions are written in sql or python.",
    "unlogged": "SET synchronous_commit = off makes commits cheap; temporary tables are not logged.",
    "recursive": "Write CREATE VIEW … AS WITH RECURSIVE ….",
} | dict.fromkeys((
    "operator", "cast", "collation", "conversion", "event", "foreign", "publication", "server", "statistics",
    "subscription", "tablespace", "text", "transform", "policy", "access", "secret", "connection",
))  # fmt: skip


class CreateParser(DatabaseParser):
    """CREATE …"""

    def create(self) -> s.Statement:
        self.expect("create")
        or_replace = self.accept_words("or", "replace")
        temporary = self.word() in ("temp", "temporary")
        if temporary:
            self.advance()
        pos, word = self.pos, self.word()
        if word == "table" and not or_replace:
            return self._table(temporary)
        if word == "view":
            return self._view(or_replace, temporary)
        if word == "sequence":
            return self._sequence(temporary)
        if temporary:
            raise self.unexpected()
        if word == "source":
            return self._source(or_replace)
        if word == "materialized":
            self.advance()
            self.expect_words("view")
            return self._materialized(or_replace, stored=True)
        if word == "stream":
            self.advance()
            return self._materialized(or_replace, stored=False)
        if word in ("function", "aggregate"):
            return self.function(or_replace)
        if or_replace and word not in ("procedure", "rule", "trigger"):
            raise self.unexpected()
        if word == "sink":
            return self._sink()
        if word == "lookup" and self.word(1) == "table":
            return self._lookup()
        if word == "schema":
            return self._schema()
        if word == "index" or (word == "unique" and self.word(1) == "index"):
            return self._index()
        if word in ("role", "user", "group"):
            return self.role(alter=False)
        if word == "database":
            return self.create_database()
        if word == "type":
            return self.create_type()
        if word == "domain":
            return self.create_domain()
        if word in _REFUSED:
            raise not_supported(f"CREATE {word.upper()} is not supported", hint=_REFUSED[word], position=pos)
        raise self.unexpected()

    # --- relations with columns

    def _table(self, temporary: bool) -> s.Statement:
        self.expect("table")
        exists = self.if_not_exists()
        name = self.qname()
        if self.kind != "(" or self._names_only():
            return self._table_as(name, exists, temporary)
        table = s.CreateTable(name, self.elements(), exists, temporary)
        self._table_suffixes(table)
        if self.kind == "as":
            raise self.unexpected()
        return table

    def _names_only(self) -> bool:
        """``(a, b) AS``: the column names of CREATE TABLE AS."""
        return self.at_name(1) and self.peek(2) in (",", ")")

    def _table_suffixes(self, table: s.CreateTable) -> None:
        while True:
            if self.accept_words("append", "only"):
                table.append_only = True
            elif self.words("on", "conflict"):
                self.i += 2
                table.conflict = self._conflict_behaviour()
            elif self.kind == "with" and self.peek() == "(":
                table.options = self.with_options()
            elif self.words("on", "commit"):
                raise not_supported("ON COMMIT is not supported", position=self.pos)
            elif self.word() in ("inherits", "partition", "tablespace", "using"):
                raise not_supported(f"{self.word().upper()} is not supported", position=self.pos)
            else:
                return

    def _conflict_behaviour(self) -> Literal["overwrite", "ignore", "update_if_not_null"]:
        if self.accept_words("overwrite"):
            return "overwrite"
        if self.accept_words("ignore") or self.accept_words("do", "nothing"):
            return "ignore"
        self.expect_words("do", "update", "if", "not", "null")
        return "update_if_not_null"

    def _table_as(self, name: s.QName, exists: bool, temporary: bool) -> s.Statement:
        names = self.name_list() if self.kind == "(" else []
        options = self.with_options()
        self.expect("as")
        query, text = self._query_with_text()
        table = s.CreateTable(
            name, s.Elements(), exists, temporary, options=options, query=query, query_text=text
        )
        table.names = names
        if self.accept_words("with", "no", "data"):
            table.with_data = False
        else:
            self.accept_words("with", "data")
        return table

    def _query_with_text(self) -> tuple[ast.Query, str]:
        start = self.i
        query = self.query()
        return query, self.text_since(start)

    def _source(self, or_replace: bool) -> s.Statement:
        self.expect_words("source")
        exists = self.if_not_exists()
        name = self.qname()
        elements = self.elements() if self.kind == "(" else s.Elements()
        while self.word() == "include":
            if self.word(1) not in ("offset", "partition", "key", "timestamp", "headers"):
                self.advance()
                raise self.unexpected()
            elements.includes.append(self.include())
        options: list[s.Option] = []
        if self.accept("from"):
            pos = self.pos
            connector = self.label()
            options = [s.Option("connector", connector, pos, pos, True), *self.options()]
        elif self.kind == "with":
            self.expect("with")
            options = self.options()
        return s.CreateSource(name, elements, or_replace, exists, options, self.format())

    def _lookup(self) -> s.Statement:
        self.expect_words("lookup", "table")
        exists = self.if_not_exists()
        name = self.qname()
        elements = self.elements()
        return s.CreateLookupTable(name, elements, exists, self.with_options())

    # --- relations with queries

    def _view(self, or_replace: bool, temporary: bool) -> s.Statement:
        self.expect_words("view")
        name = self.qname()
        columns = self.name_list() if self.kind == "(" else []
        self.with_options()
        self.expect("as")
        query, text = self._query_with_text()
        if self.kind == "with":
            raise not_supported("WITH CHECK OPTION is not supported", position=self.pos)
        return s.CreateView(name, columns, query, text, or_replace, temporary)

    def _materialized(self, or_replace: bool, *, stored: bool) -> s.Statement:
        exists = self.if_not_exists()
        name = self.qname()
        columns = self.name_list() if self.kind == "(" else []
        options = self.with_options()
        self.expect("as")
        query, text = self._query_with_text()
        emit = self.emit_clauses()
        if self.accept_words("with", "no", "data"):
            raise not_supported("WITH NO DATA is not supported", position=self.tokens[self.i - 3].start + 1)
        self.accept_words("with", "data")
        kind = s.CreateMaterializedView if stored else s.CreateStream
        return kind(name, columns, query, text, emit, options, exists, or_replace)

    def _sink(self) -> s.Statement:
        self.expect_words("sink")
        exists = self.if_not_exists()
        name = self.qname()
        into = self.qname() if self.accept("into") else None
        source: s.QName | None = None
        query: ast.Query | None = None
        text: str | None = None
        emit = s.EmitClause()
        if self.accept("from"):
            source = self.qname()
        else:
            self.expect("as")
            query, text = self._query_with_text()
            emit = self.emit_clauses()
        options = self.with_options()
        return s.CreateSink(name, source, query, text, into, options, self.format(), exists, emit)

    # --- other objects

    def _schema(self) -> s.Statement:
        self.expect_words("schema")
        exists = self.if_not_exists()
        pos = self.pos
        if self.kind == "authorization":
            raise not_supported("CREATE SCHEMA AUTHORIZATION is not supported", position=pos)
        name = self.name()
        if self.kind == "authorization":
            raise not_supported("CREATE SCHEMA AUTHORIZATION is not supported", position=self.pos)
        return s.CreateSchema(name, exists, pos)

    def _sequence(self, temporary: bool) -> s.Statement:
        self.expect_words("sequence")
        exists = self.if_not_exists()
        return s.CreateSequence(self.qname(), self.sequence_options(), exists, temporary)

    def _index(self) -> s.Statement:
        unique = self.accept("unique")
        self.expect_words("index")
        self.accept_words("concurrently")
        exists = self.if_not_exists()
        name = None if self.kind == "on" else self.name()
        self.expect("on")
        relation = self.qname()
        method = self.name() if self.accept("using") else None
        self.expect("(")
        columns = [self._sort_item()]
        while self.accept(","):
            columns.append(self._sort_item())
        self.expect(")")
        where = self.expr() if self.accept("where") else None
        return s.CreateIndex(name, relation, columns, unique, exists, method, where)

    def role(self, *, alter: bool) -> s.Statement:
        """Behind CREATE or ALTER: ROLE | USER | GROUP name [WITH] options."""
        user = self.advance().kind == "user"
        exists = not alter and self.if_not_exists()
        if alter and (setting := self.role_setting()) is not None:
            return setting
        name = self.label()
        options = [s.Option("login", "true")] if user and not alter else []
        self.accept("with")
        while self.kind not in ("EOF", ";"):
            options.append(self._role_option())
        return s.CreateRole(name, options, alter, exists)

    def name_list_bare(self) -> list[str]:
        """``a, b, c``"""
        names = [self.label()]
        while self.accept(","):
            names.append(self.label())
        return names

    def _role_option(self) -> s.Option:
        pos, word = self.pos, self.label()
        if word in ("superuser", "login", "inherit", "createdb", "createrole", "replication", "bypassrls"):
            return s.Option(word, "true", pos)
        if word.startswith("no") and word[2:] in (
            "superuser", "login", "inherit", "createdb", "createrole", "replication", "bypassrls",
        ):  # fmt: skip
            return s.Option(word[2:], "false", pos)
        if word == "encrypted":
            self.expect_words("password")
            word = "password"
        if word == "password":
            if self.accept("null"):
                return s.Option("password", None, pos)
            return s.Option("password", self.string(), pos, quoted=True)
        if word == "connection":
            self.expect_words("limit")
            return self.option_value(s.Option("connection limit", None, pos, self.pos))
        if word == "in":
            if not self.accept_words("role"):
                self.expect("group")
            return s.Option("in role", None, pos, items=tuple(self.name_list_bare()))
        if word in ("role", "user", "admin", "sysid"):
            if word == "sysid":
                return self.option_value(s.Option("sysid", None, pos, self.pos))
            return s.Option("role" if word == "user" else word, None, pos, items=tuple(self.name_list_bare()))
        if word == "valid":
            self.expect_words("until")
            return s.Option("valid until", self.string(), pos, quoted=True)
        self.i -= 1
        raise self.error(f'unrecognized role option "{word}"', pos)
