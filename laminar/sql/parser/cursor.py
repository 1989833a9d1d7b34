"""A cursor over tokens, and the names that every part of the grammar needs."""

from __future__ import annotations

import string

from laminar.errors import PgError
from laminar.sql.keywords import COLUMN_NAMES, FUNCTION_NAMES, KEYWORDS, NEEDS_AS
from laminar.sql.lexer import Token, syntax_error, tokenize


class Cursor:
    """Looks at ``tokens[i]``, moves forward, never back except to a remembered ``i``."""

    def __init__(self, sql: str, at: int = 0) -> None:
        self.sql = sql
        self.tokens, self.lexical_error = tokenize(sql, at)
        self.i = 0
        #: SELECT … INTO: name, its position, whether it is temporary
        self.into: tuple[tuple[str, ...], int, bool] | None = None
        #: nesting of SELECTs
        self.selects = 0
        #: nesting of expressions, bounded as PostgreSQL's stack depth is
        self.depth = 0

    # --- looking

    @property
    def token(self) -> Token:
        return self.tokens[self.i]

    @property
    def kind(self) -> str:
        return self.tokens[self.i].kind

    @property
    def pos(self) -> int:
        """The current token's position, 1-based."""
        return self.tokens[self.i].start + 1

    def peek(self, ahead: int = 1) -> str:
        """The kind of a later token."""
        at = self.i + ahead
        return self.tokens[at].kind if at < len(self.tokens) else "EOF"

    def word(self, ahead: int = 0) -> str:
        """The folded text of an unquoted word, else ''."""
        at = self.i + ahead
        if at >= len(self.tokens):
            return ""
        token = self.tokens[at]
        if token.kind in KEYWORDS or (token.kind == "IDENT" and self.sql[token.start] != '"'):
            return token.value
        return ""

    def words(self, *expected: str) -> bool:
        """Whether the next words are these."""
        return all(self.word(n) == word for n, word in enumerate(expected))

    # --- moving

    def advance(self) -> Token:
        token = self.tokens[self.i]
        if token.kind != "EOF":
            self.i += 1
        return token

    def accept(self, kind: str) -> bool:
        if self.tokens[self.i].kind == kind:
            self.i += 1
            return True
        return False

    def accept_words(self, *expected: str) -> bool:
        if self.words(*expected):
            self.i += len(expected)
            return True
        return False

    def expect(self, kind: str) -> Token:
        token = self.tokens[self.i]
        if token.kind != kind:
            raise self.unexpected()
        self.i += 1
        return token

    def expect_words(self, *expected: str) -> None:
        for word in expected:
            if self.word() != word:
                raise self.unexpected()
            self.i += 1

    def unexpected(self, hint: str | None = None) -> PgError:
        """A 42601 at the current token, to be raised."""
        token = self.token
        if token.kind == "ERROR" and self.lexical_error is not None:
            return self.lexical_error
        if token.kind == "JUNK":
            junk = token.start + len(token.value.rstrip(string.ascii_letters + "_")) + 1
            return syntax_error(self.sql, token.start, junk, "trailing junk after numeric literal")
        error = syntax_error(self.sql, token.start, token.end)
        error.hint = hint
        return error

    def error(
        self, message: str, pos: int | None = None, sqlstate: str = "42601", hint: str | None = None
    ) -> PgError:
        return PgError(sqlstate, message, position=self.pos if pos is None else pos, hint=hint)

    # --- names

    def at_name(self, ahead: int = 0) -> bool:
        """Whether a ColId stands here."""
        kind = self.peek(ahead)
        return kind == "IDENT" or kind in COLUMN_NAMES

    def name(self) -> str:
        """ColId."""
        token = self.tokens[self.i]
        if token.kind == "IDENT" or token.kind in COLUMN_NAMES:
            self.i += 1
            return token.value
        raise self.unexpected()

    def type_name_word(self) -> str:
        """type_function_name."""
        token = self.tokens[self.i]
        if token.kind == "IDENT" or token.kind in FUNCTION_NAMES:
            self.i += 1
            return token.value
        raise self.unexpected()

    def label(self) -> str:
        """ColLabel: any word."""
        token = self.tokens[self.i]
        if token.kind == "IDENT" or token.kind in KEYWORDS:
            self.i += 1
            return token.value
        raise self.unexpected()

    def at_bare_label(self) -> bool:
        """BareColLabel: a column label that needs no AS."""
        kind = self.kind
        return kind == "IDENT" or (kind in KEYWORDS and kind not in NEEDS_AS)

    def qualified(self) -> tuple[str, ...]:
        """any_name: ``a[.b[.c]]``."""
        parts = [self.name()]
        while self.accept("."):
            parts.append(self.label())
        return tuple(parts)

    def name_list(self) -> list[str]:
        """``(a, b, …)`` with the parentheses."""
        return [name for name, _ in self.positioned_names()]

    def positioned_names(self) -> list[tuple[str, int]]:
        """``(a, b, …)`` with each name's position."""
        self.expect("(")
        names: list[tuple[str, int]] = []
        while True:
            pos = self.pos
            names.append((self.name(), pos))
            if not self.accept(","):
                break
        self.expect(")")
        return names

    def string(self) -> str:
        return self.expect("STRING").value

    def integer(self) -> int:
        return int(self.expect("INT").value)

    def end(self) -> None:
        """The statement's end, a semicolon allowed."""
        self.accept(";")
        if self.kind != "EOF":
            raise self.unexpected()
