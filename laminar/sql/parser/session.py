"""Statements of a session: SET, SHOW, transactions, cursors, EXPLAIN, DROP, ALTER, GRANT."""

from __future__ import annotations

from typing import Final

from laminar.errors import not_supported
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.keywords import FUNCTION_NAMES
from laminar.sql.parser.dml import DmlParser

#: how an object's kind is spelled, longest first
_KINDS: Final = (
    ("materialized", "view"), ("lookup", "table"), ("table",), ("source",), ("view",), ("stream",), ("sink",),
    ("index",), ("schema",), ("function",), ("aggregate",), ("secret",), ("connection",), ("role",),
    ("user",),
    ("column",), ("database",), ("type",), ("domain",), ("sequence",), ("policy",),
)  # fmt: skip
_PLURALS: Final = {
    "sources", "tables", "views", "streams", "sinks", "indexes", "functions", "secrets", "cluster",
    "jobs", "schemas",
    "databases", "connections", "roles", "users",
}  # fmt: skip
_ISOLATION: Final = (
    ("serializable",),
    ("repeatable", "read"),
    ("read", "committed"),
    ("read", "uncommitted"),
)
_PRIVILEGES: Final = frozenset((
    "select", "insert", "update", "delete", "truncate", "references", "trigger", "usage", "create", "connect",
    "temporary", "temp", "execute", "all",
))  # fmt: skip


class SessionParser(DmlParser):
    """What remains besides queries, DML and CREATE."""

    def object_kind(self) -> s.ObjectKind:
        for words in _KINDS:
            if self.words(*words):
                self.i += len(words)
                kind = " ".join(words)
                return "role" if kind == "user" else kind  # type: ignore[return-value]
        raise self.unexpected()

    # --- DROP, ALTER, COMMENT, GRANT

    def drop(self) -> s.Statement:
        self.expect_words("drop")
        if self.word() in (
            "trigger",
            "rule",
            "extension",
            "operator",
            "owned",
            "procedure",
            "publication",
        ):
            raise not_supported(f"DROP {self.word().upper()} is not supported", position=self.pos)
        kind = self.object_kind()
        if kind == "database":
            return self.drop_database()
        if kind == "column":
            self.i -= 1
            raise self.unexpected()
        if kind == "index":
            self.accept_words("concurrently")
        exists = self.if_exists()
        drop = s.Drop(kind, [], exists, False)
        while True:
            drop.names.append(self.qname())
            drop.arguments.append(
                self.signature(kind == "aggregate") if kind in ("function", "aggregate") else None
            )
            if not self.accept(","):
                break
        drop.cascade = self.accept_words("cascade")
        if not drop.cascade:
            self.accept_words("restrict")
        return drop

    def alter(self) -> s.Statement:
        self.expect_words("alter")
        pos = self.pos
        if self.word() in ("role", "user", "group") and self.word(2) != "rename":
            return self.role(alter=True)
        if self.word() in ("system", "default", "extension", "trigger", "operator", "text"):
            raise not_supported(f"ALTER {self.word().upper()} is not supported", position=pos)
        kind = self.object_kind()
        if kind in ("type", "domain"):
            return self.alter_type(kind)
        if kind == "database":
            return self.alter_database()
        exists = self.if_exists()
        self.accept("only")
        name = self.qname()
        self.accept("*")
        first = alter = s.Alter(kind, name, "rename", exists)
        self._alter_action(alter)
        while kind in ("table", "source", "materialized view", "view") and self.accept(","):
            alter.next = s.Alter(kind, name, "rename", exists)
            alter = alter.next
            self._alter_action(alter)
        return first

    def _alter_action(self, alter: s.Alter) -> None:
        pos = alter.pos = self.pos
        if self.accept_words("rename"):
            self._rename(alter)
        elif self.accept_words("owner"):
            self.expect("to")
            alter.action, alter.arguments = "owner", (self.label(),)
        elif self.accept_words("set", "schema"):
            alter.action, alter.arguments = "schema", (self.name(),)
        elif self.accept_words("swap", "with"):
            alter.action, alter.arguments = "swap", tuple(self.qualified())
        elif alter.kind == "sequence":
            alter.action, alter.options = "sequence", self.sequence_options()
            if not alter.options:
                raise self.unexpected()
        elif self.words("set") and self.peek() == "(":
            self.advance()
            alter.action, alter.options = "set", self.options()
        elif self.words("set") and self.peek(2) in ("=", "to"):
            self.advance()
            at = self.pos
            name = self.label()
            self.advance()
            alter.action, alter.options = "set", [self.option_value(s.Option(name, None, at, self.pos))]
        elif self.word() in ("pause", "resume"):
            alter.action = "pause" if self.advance().value == "pause" else "resume"
        elif self.accept_words("add"):
            self._add_column(alter)
        elif self.words("drop", "constraint"):
            self.i += 2
            alter.if_column = self.if_exists()
            alter.action, alter.arguments = "drop constraint", (self.name(),)
            self._behaviour(alter)
        elif self.words("drop", "column") or (self.word() == "drop" and self.at_name(1)):
            self.advance()
            self.accept_words("column")
            alter.if_column = self.if_exists()
            alter.action, alter.arguments = "drop column", (self.name(),)
            self._behaviour(alter)
        elif self.word() == "alter" and self.word(1) != "constraint":
            self.advance()
            self._alter_column(alter, pos)
        elif self.word() in (
            "alter",
            "enable",
            "disable",
            "attach",
            "detach",
            "inherit",
            "cluster",
            "validate",
        ):
            raise not_supported(f"this form of ALTER {alter.kind.upper()} is not supported", position=pos)
        else:
            raise self.unexpected()

    def _behaviour(self, alter: s.Alter) -> None:
        alter.cascade = self.accept_words("cascade")
        if not alter.cascade:
            self.accept_words("restrict")

    def _rename(self, alter: s.Alter) -> None:
        """RENAME TO, RENAME [COLUMN] a TO b, RENAME CONSTRAINT a TO b."""
        if self.accept("to"):
            alter.arguments = (self.name(),)
            return
        alter.action = "rename column"
        if self.accept("constraint"):
            alter.action = "rename constraint"
        else:
            self.accept_words("column")
        old = self.name()
        self.expect("to")
        alter.arguments = (old, self.name())

    def _alter_column(self, alter: s.Alter, pos: int) -> None:
        """ALTER [COLUMN] c SET DEFAULT …, DROP DEFAULT, SET and DROP NOT NULL, TYPE."""
        self.accept_words("column")
        alter.arguments = (self.name(),)
        if self.accept_words("set", "default"):
            alter.action = "default"
            start = self.i
            alter.expr = self.expr()
            alter.text = self.text_since(start)
        elif self.accept_words("drop", "default"):
            alter.action = "default"
        elif self.accept_words("set", "not", "null"):
            alter.action = "not null"
        elif self.accept_words("drop", "not", "null"):
            alter.action = "nullable"
        elif self.accept_words("type") or self.accept_words("set", "data", "type"):
            alter.action = "type"
            alter.type = self.type()
            if self.accept("using"):
                start = self.i
                alter.expr = self.expr()
                alter.text = self.text_since(start)
        elif self.word() in ("set", "reset", "add", "drop", "restart"):
            raise not_supported("this form of ALTER COLUMN is not supported", position=pos)
        else:
            raise self.unexpected()

    def _add_column(self, alter: s.Alter) -> None:
        if self.kind in ("constraint", "primary", "unique", "check", "foreign") or self.words(
            "exclude", "using"
        ):
            alter.action = "add constraint"
            alter.constraint = self._table_constraint()
            return
        self.accept_words("column")
        alter.action = "add column"
        alter.if_column = self.if_not_exists()
        alter.column = self.column_definition()

    def comment(self) -> s.Statement:
        self.expect_words("comment", "on")
        kind = self.object_kind()
        name = self.qname()
        if kind in ("function", "aggregate"):
            self.signature(kind == "aggregate")
        self.expect_words("is")
        return s.CommentOn(kind, name, None if self.accept("null") else self.string())

    def grant(self) -> s.Statement:
        revoke = self.advance().kind == "revoke"
        option = revoke and self.accept_words("grant", "option", "for")
        privileges: list[tuple[str, list[str]]] = []
        while True:
            word = self.label()
            if word == "all":
                self.accept_words("privileges")
            privileges.append((word, self.name_list() if self.kind == "(" else []))
            if not self.accept(","):
                break
        kind: s.ObjectKind | None = None
        names: list[s.QName] = []
        all_in_schema = False
        if self.accept("on"):
            for word, _ in privileges:
                if word not in _PRIVILEGES:
                    raise self.error(f'unrecognized privilege type "{word}"')
            kind, names, all_in_schema = self._grant_objects()
        self.expect("from" if revoke else "to")
        roles = [self._grantee()]
        while self.accept(","):
            roles.append(self._grantee())
        if not revoke and (
            self.accept_words("with", "grant", "option") or self.accept_words("with", "admin", "option")
        ):
            option = True
        cascade = revoke and self.accept_words("cascade")
        if not cascade:
            self.accept_words("restrict")
        return s.Grant(revoke, privileges, kind, names, roles, option, cascade, all_in_schema)

    def _grantee(self) -> str:
        self.accept("group")
        return self.label()

    def _grant_objects(self) -> tuple[s.ObjectKind, list[s.QName], bool]:
        if self.accept_words("all"):
            kind = self.label().rstrip("s")
            self.expect("in")
            self.expect_words("schema")
            return kind, [self.qname()], True  # type: ignore[return-value]
        kinds = {words for words in _KINDS if self.words(*words) and self.at_name(len(words))}
        kind = self.object_kind() if kinds else "table"
        names = [self._granted(kind)]
        while self.accept(","):
            names.append(self._granted(kind))
        return kind, names, False

    def _granted(self, kind: str) -> s.QName:
        name = self.qname()
        if kind in ("function", "aggregate"):
            self.signature(kind == "aggregate")
        return name

    # --- EXPLAIN, SHOW, SET

    def explain(self) -> s.Statement:
        self.expect_words("explain")
        options: list[s.Option] = []
        if self.kind == "(" and not self.query_ahead():
            options = self.options()
        else:
            for word in ("analyze", "verbose"):
                if self.accept_words(word) or (word == "analyze" and self.accept("analyse")):
                    options.append(s.Option(word, "true"))
        start = self.i
        statement = self.statement()
        return s.Explain(statement, options, self.text_since(start))

    def show(self) -> s.Statement:
        self.expect_words("show")
        pos = self.pos
        if self.accept("create"):
            return s.ShowCreate(self.object_kind(), self.qname())
        if self.accept_words("materialized", "views"):
            return self._show_tail(s.Show("materialized views", pos))
        if self.accept_words("lookup", "tables"):
            return self._show_tail(s.Show("lookup tables", pos))
        if self.accept_words("time", "zone"):
            return s.Show("timezone", pos)
        if self.accept_words("transaction", "isolation", "level"):
            return s.Show("transaction_isolation", pos)
        if self.accept_words("session", "authorization"):
            return s.Show("session_authorization", pos)
        if self.accept("all"):
            return s.Show("all", pos)
        if self.word() in _PLURALS and self.peek() != ".":
            return self._show_tail(s.Show(self.advance().value, pos))
        return s.Show(self._setting(), pos)

    def _show_tail(self, show: s.Show) -> s.Show:
        if self.accept("from") or self.accept("in"):
            show.schema = self.name()
        if self.accept("like"):
            show.like = self.string()
        return show

    def _setting(self) -> str:
        name = self.name()
        while self.accept("."):
            name += "." + self.name()
        return name

    def set(self) -> s.Statement:
        self.expect_words("set")
        if self.words("transaction"):
            self.advance()
            return s.SetTransaction(self.modes(required=True))
        if self.accept_words("session", "characteristics", "as", "transaction"):
            return s.SetTransaction(self.modes(required=True), session=True)
        if self.word() == "constraints":
            raise not_supported("SET CONSTRAINTS is not supported", position=self.pos)
        local = self.accept_words("local")
        if not local and self.word() == "session" and self.word(1) != "authorization":
            self.advance()
        pos = self.pos
        if self.accept_words("time", "zone"):
            return s.SetVariable("timezone", self._zone(), local, pos)
        if self.accept_words("session", "authorization"):
            return s.SetVariable("session_authorization", self._one_or_default(), local, pos)
        if self.word() == "role" and self.peek() not in ("=", "to"):
            self.advance()
            return s.SetVariable("role", self._one_or_default(), local, pos)
        if self.word() == "names" and self.peek() not in ("=", "to"):
            self.advance()
            values = None if self.kind in ("EOF", ";") or self.accept("default") else [self.string()]
            return s.SetVariable("client_encoding", values, local, pos)
        if self.word() == "schema" and self.peek() == "STRING":
            self.advance()
            return s.SetVariable("search_path", [self.string()], local, pos)
        name = self._setting()
        if not self.accept("="):
            self.expect("to")
        if self.accept("default"):
            return s.SetVariable(name, None, local, pos)
        values = [self._value()]
        while self.accept(","):
            values.append(self._value())
        return s.SetVariable(name, values, local, pos)

    def _one_or_default(self) -> list[str] | None:
        return None if self.accept("default") else [self.string() if self.kind == "STRING" else self.label()]

    def _zone(self) -> list[str] | None:
        if self.accept("default") or self.accept_words("local"):
            return None
        if self.kind == "interval":
            self.advance()
            value = self.string()
            self.interval_fields()
            return [value]
        return [self._value()]

    def _value(self) -> str:
        """var_value: a string, number or word."""
        sign = "-" if self.accept("-") else ""
        if not sign:
            self.accept("+")
        token = self.token
        if token.kind in ("INT", "FLOAT"):
            self.advance()
            return sign + token.value
        if sign:
            raise self.unexpected()
        if token.kind in ("STRING", "true", "false", "on") or self.at_name() or token.kind in FUNCTION_NAMES:
            self.advance()
            return token.value
        raise self.unexpected()

    def reset(self) -> s.Statement:
        self.expect_words("reset")
        if self.accept("all"):
            return s.ResetAll()
        pos = self.pos
        if self.accept_words("time", "zone"):
            return s.SetVariable("timezone", None, False, pos)
        if self.accept_words("session", "authorization"):
            return s.SetVariable("session_authorization", None, False, pos)
        return s.SetVariable(self._setting(), None, False, pos)

    # --- transactions

    def modes(self, *, required: bool = False) -> s.TransactionModes:
        modes = s.TransactionModes()
        first = True
        while True:
            comma = not first and self.accept(",")
            if self.accept_words("isolation"):
                self.expect_words("level")
                modes.isolation = self._isolation()
            elif self.accept_words("read"):
                modes.read_only = self.accept_words("only")
                if not modes.read_only:
                    self.expect_words("write")
            elif self.accept_words("deferrable"):
                modes.deferrable = True
            elif self.accept_words("not", "deferrable"):
                modes.deferrable = False
            elif comma or (required and first):
                raise self.unexpected()
            else:
                return modes
            first = False

    def _isolation(self) -> str:
        for words in _ISOLATION:
            if self.accept_words(*words):
                return " ".join(words)
        raise self.unexpected()

    def transaction(self) -> s.Statement:
        """BEGIN, START TRANSACTION, COMMIT, END, ROLLBACK, ABORT, SAVEPOINT, RELEASE."""
        word = self.advance().value
        if word == "savepoint":
            return s.Savepoint(self.name())
        if word == "release":
            self.accept_words("savepoint")
            return s.Release(self.name())
        if word == "start":
            self.expect_words("transaction")
            return s.Begin(self.modes(), start=True)
        if word in ("commit", "rollback") and self.word() == "prepared":
            raise not_supported("two-phase commit is not supported", position=self.pos)
        if self.word() in ("work", "transaction"):
            self.advance()
        if word == "begin":
            return s.Begin(self.modes())
        if word == "rollback" and self.accept("to"):
            self.accept_words("savepoint")
            return s.RollbackTo(self.name())
        chain = False
        if self.accept("and"):
            chain = not self.accept_words("no")
            self.expect_words("chain")
        return s.Commit(chain) if word in ("commit", "end") else s.Rollback(chain)

    # --- cursors, prepared statements

    def declare(self) -> s.Statement:
        self.expect_words("declare")
        cursor = s.Declare(self.name(), s.Query(ast.ValuesQuery([], ast.Tail(), 0)))
        while self.word() in ("binary", "insensitive", "asensitive", "scroll", "no"):
            word = self.advance().value
            cursor.binary |= word == "binary"
            if word == "scroll":
                cursor.scroll = True
            elif word == "no":
                self.expect_words("scroll")
                cursor.scroll = False
        self.expect_words("cursor")
        if self.accept_words("with", "hold"):
            cursor.hold = True
        else:
            self.accept_words("without", "hold")
        self.expect("for")
        start = self.i
        cursor.statement = self.subscribe() if self.word() == "subscribe" else s.Query(self.query())
        cursor.text = self.text_since(start)
        return cursor

    def fetch(self) -> s.Statement:
        move = self.advance().value == "move"
        direction, count = self._direction()
        if self.kind in ("from", "in"):
            self.advance()
        result = s.Fetch(self.name(), direction, count, move)  # type: ignore[arg-type]
        result.options = self.with_options()
        return result

    def _direction(self) -> tuple[str, int | None]:
        word = self.word()
        if word in ("next", "prior", "first", "last"):
            self.advance()
            return {
                "next": ("forward", 1),
                "prior": ("backward", 1),
                "first": ("absolute", 1),
                "last": ("absolute", -1),
            }[word]
        if word in ("absolute", "relative"):
            self.advance()
            return word, self._signed_integer()
        if word in ("forward", "backward"):
            self.advance()
            if self.accept("all"):
                return word, None
            return word, self._signed_integer() if self.kind in ("INT", "-", "+") else 1
        if word == "all":
            self.advance()
            return "forward", None
        if self.kind in ("INT", "-", "+"):
            count = self._signed_integer()
            return ("forward", count) if count >= 0 else ("backward", -count)
        return "forward", 1

    def _signed_integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        if sign > 0:
            self.accept("+")
        return sign * self.integer()

    def close(self) -> s.Statement:
        self.expect_words("close")
        return s.Close(None if self.accept("all") else self.name())

    def prepare(self) -> s.Statement:
        self.expect_words("prepare")
        if self.word() == "transaction":
            raise not_supported("two-phase commit is not supported", position=self.pos)
        name = self.name()
        types: list[ast.TypeName] = []
        if self.accept("("):
            types.append(self.type())
            while self.accept(","):
                types.append(self.type())
            self.expect(")")
        self.expect("as")
        start = self.i
        if self.kind not in ("select", "values", "with", "table", "(", "insert", "update", "delete"):
            raise self.unexpected()
        statement = self.statement()
        return s.Prepare(name, types, statement, self.text_since(start))

    def execute(self) -> s.Statement:
        self.expect_words("execute")
        name = self.name()
        args: list[ast.Expr] = []
        if self.accept("("):
            args = self.expr_list()
            self.expect(")")
        return s.Execute(name, args)

    def deallocate(self) -> s.Statement:
        self.expect_words("deallocate")
        self.accept_words("prepare")
        return s.Deallocate(None if self.accept("all") else self.name())

    def discard(self) -> s.Statement:
        self.expect_words("discard")
        word = "temp" if self.word() == "temporary" else self.word()
        if word not in ("all", "plans", "sequences", "temp"):
            raise self.unexpected()
        self.advance()
        return s.Discard(word)  # type: ignore[arg-type]

    def statement(self) -> s.Statement:
        raise NotImplementedError
