"""CREATE, ALTER and DROP DATABASE; settings of databases and roles."""

from __future__ import annotations

from laminar.errors import not_supported
from laminar.sql import statements as s
from laminar.sql.parser.usertypes import UserTypeParser


class DatabaseParser(UserTypeParser):
    """Statements about whole databases."""

    def create_database(self) -> s.Statement:
        """DATABASE name [[WITH] option [=] value …]"""
        self.expect_words("database")
        pos = self.pos
        return s.CreateDatabase(self.name(), self._database_options(), pos)

    def drop_database(self) -> s.Statement:
        """Behind DROP DATABASE: [IF EXISTS] name [[WITH] (FORCE)]"""
        exists = self.if_exists()
        drop = s.DropDatabase(self.name(), exists)
        if self.accept("with") or self.kind == "(":
            self.expect("(")
            while True:
                self.expect_words("force")
                drop.force = True
                if not self.accept(","):
                    break
            self.expect(")")
        return drop

    def alter_database(self) -> s.Statement:
        """Behind ALTER DATABASE."""
        alter = s.AlterDatabase(self.name())
        if self.accept_words("rename"):
            self.expect("to")
            alter.new_name = self.name()
        elif self.accept_words("owner"):
            self.expect("to")
            alter.owner = self.label()
        elif self.words("set", "tablespace") or self.words("refresh", "collation"):
            raise not_supported("this form of ALTER DATABASE is not supported", position=self.pos)
        elif self.word() in ("set", "reset"):
            alter.setting = self._kept_setting()
        else:
            alter.options = self._database_options()
        return alter

    def role_setting(self) -> s.Statement | None:
        """``name | ALL [IN DATABASE name] SET … | RESET …`` behind ALTER ROLE; None for other forms."""
        start, pos = self.i, self.pos
        every = bool(self.accept("all"))
        name = "" if every else self.label()
        elsewhere = self.accept("in")
        if elsewhere:
            self.expect_words("database")
            self.name()
        if self.word() not in ("set", "reset"):
            if every or elsewhere:
                raise self.unexpected()
            self.i = start
            return None
        if every or elsewhere:
            raise not_supported(
                "settings of all roles, or of a role in a database, are not supported", position=pos
            )
        return s.AlterRoleSetting(name, self._kept_setting())

    def _kept_setting(self) -> s.SetVariable | s.ResetAll:
        statement = self.set() if self.word() == "set" else self.reset()
        if not isinstance(statement, s.SetVariable | s.ResetAll):
            raise self.unexpected()
        return statement

    def _database_options(self) -> list[s.Option]:
        self.accept("with")
        options: list[s.Option] = []
        while self.kind not in ("EOF", ";"):
            pos, name = self.pos, self.label().lower()
            if name == "connection":
                self.expect_words("limit")
                name = "connection limit"
            if any(option.name == name for option in options):
                raise self.error("conflicting or redundant options", pos)
            self.accept("=")
            option = s.Option(name, None, pos, self.pos)
            options.append(option if self.accept("default") else self.option_value(option))
        return options

    def set(self) -> s.Statement:
        raise NotImplementedError

    def reset(self) -> s.Statement:
        raise NotImplementedError
