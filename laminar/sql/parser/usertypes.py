"""CREATE and ALTER of TYPE and DOMAIN."""

from __future__ import annotations

from typing import Literal

from laminar.errors import not_supported
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.parser.functions import FunctionParser

#: constraints that tables have and domains have not
_IMPOSSIBLE = {
    "unique": "unique", "primary": "primary key", "exclude": "exclusion", "foreign": "foreign key",
}  # fmt: skip


class UserTypeParser(FunctionParser):
    """CREATE TYPE, CREATE DOMAIN, ALTER TYPE, ALTER DOMAIN."""

    def create_type(self) -> s.Statement:
        self.expect_words("type")
        statement = s.CreateType(self.qname())
        if not self.accept("as"):
            raise not_supported("CREATE TYPE of base types is not supported", position=self.pos)
        if self.accept_words("enum"):
            statement.labels = self._labels()
        elif self.word() == "range":
            raise not_supported("CREATE TYPE … AS RANGE is not supported", position=self.pos)
        else:
            statement.fields = self._fields()
        return statement

    def _labels(self) -> list[tuple[str, int]]:
        self.expect("(")
        labels: list[tuple[str, int]] = []
        while self.kind != ")":
            pos = self.pos
            labels.append((self.string(), pos))
            if not self.accept(","):
                break
        self.expect(")")
        return labels

    def _fields(self) -> list[tuple[str, ast.TypeName, int]]:
        self.expect("(")
        fields: list[tuple[str, ast.TypeName, int]] = []
        while self.kind != ")":
            pos = self.pos
            fields.append((self.name(), self.type(), pos))
            if not self.accept(","):
                break
        self.expect(")")
        return fields

    def create_domain(self) -> s.Statement:
        self.expect_words("domain")
        name = self.qname()
        self.accept("as")
        statement = s.CreateDomain(name, self.type())
        while self._domain_constraint(statement):
            pass
        return statement

    def _domain_constraint(self, domain: s.CreateDomain) -> bool:
        pos = self.pos
        name = self.name() if self.accept("constraint") else None
        if self.accept("default"):
            start = self.i
            domain.default = self.expr()
            domain.default_text = self.text_since(start)
        elif self.accept_words("not", "null"):
            domain.not_null = True
        elif self.accept("null"):
            domain.not_null = False
        elif self.kind == "check":
            domain.checks.append(self._check(name))
        elif self.accept("collate"):
            raise not_supported("COLLATE of domains is not supported", position=pos)
        elif name is not None:
            raise self.unexpected()
        else:
            return False
        return True

    def alter_type(self, kind: Literal["type", "domain"]) -> s.Statement:
        """Behind ALTER TYPE or ALTER DOMAIN."""
        name, pos = self.qname(), self.pos
        if kind == "type" and self.accept_words("add", "value"):
            missing = self.if_not_exists()
            value = self.string()
            neighbour = None
            if self.word() in ("before", "after"):
                before = self.word() == "before"
                self.advance()
                neighbour = (before, self.string())
            return s.AlterType(kind, name, "add value", (value,), missing, neighbour)
        if kind == "type" and self.accept_words("rename", "value"):
            old = self.string()
            self.expect("to")
            return s.AlterType(kind, name, "rename value", (old, self.string()))
        if self.accept_words("rename", "to"):
            return s.AlterType(kind, name, "rename", (self.name(),))
        if self.accept_words("owner", "to"):
            return s.AlterType(kind, name, "owner", (self.label(),))
        if self.accept_words("set", "schema"):
            return s.AlterType(kind, name, "schema", (self.name(),))
        if kind == "domain":
            return self._alter_domain(name)
        raise not_supported(f"this form of ALTER {kind.upper()} is not supported", position=pos)

    def _alter_domain(self, name: s.QName) -> s.Statement:
        """What there is to a domain beyond its name and owner."""
        if self.accept_words("set", "default"):
            start = self.i
            expr = self.expr()
            return s.AlterDomain(name, "default", default=expr, default_text=self.text_since(start))
        if self.accept_words("drop", "default"):
            return s.AlterDomain(name, "default")
        if self.accept_words("set", "not", "null"):
            return s.AlterDomain(name, "not null")
        if self.accept_words("drop", "not", "null"):
            return s.AlterDomain(name, "null")
        if self.accept_words("rename", "constraint"):
            old = self.name()
            self.expect("to")
            return s.AlterDomain(name, "rename", (old, self.name()))
        if self.accept_words("validate", "constraint"):
            return s.AlterDomain(name, "validate", (self.name(),))
        if self.accept_words("drop", "constraint"):
            exists = self.if_exists()
            dropped = s.AlterDomain(name, "drop", (self.name(),), if_exists=exists)
            if not self.accept_words("cascade"):
                self.accept_words("restrict")
            return dropped
        self.expect_words("add")
        if self.word() in _IMPOSSIBLE:
            raise self.error(f"{_IMPOSSIBLE[self.word()]} constraints not possible for domains", self.pos)
        check = self._check(self.name() if self.accept("constraint") else None)
        return s.AlterDomain(name, "add", check=check, valid=not self.accept_words("not", "valid"))
