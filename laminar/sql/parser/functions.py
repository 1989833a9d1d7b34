"""CREATE FUNCTION and CREATE AGGREGATE, and the signatures that DROP and its kin take."""

from __future__ import annotations

from laminar.errors import not_supported
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.keywords import FUNCTION_NAMES
from laminar.sql.parser.definitions import DefinitionParser

#: what cannot follow a parameter's name
_AFTER_TYPE = frozenset((",", ")", "default", "=", "[", "(", ".", "array", "EOF", "OP"))
_VOLATILITY = {"immutable": "i", "stable": "s", "volatile": "v"}


class FunctionParser(DefinitionParser):
    """CREATE [OR REPLACE] FUNCTION | AGGREGATE."""

    def function(self, or_replace: bool) -> s.Statement:
        aggregate = self.advance().value == "aggregate"
        statement = s.CreateFunction(self.qname(), [], None, or_replace, aggregate=aggregate)
        if aggregate and self.peek(2) == "=":
            self._refuse_transitions()
        self.expect("(")
        if not self._nothing(aggregate):
            statement.parameters.append(self._parameter())
            while self.accept(","):
                statement.parameters.append(self._parameter())
            self.expect(")")
        if aggregate and self.kind == "(":
            self._refuse_transitions()
        if self.accept_words("returns"):
            if self.accept("table"):
                statement.columns = self._columns()
            else:
                statement.result = self.type()
        while self._attribute(statement):
            pass
        return statement

    def _refuse_transitions(self) -> None:
        """PostgreSQL's own CREATE AGGREGATE, with SFUNC and STYPE, names functions in C and PL/pgSQL."""
        raise not_supported(
            "aggregates of transition functions are not supported",
            hint="Write CREATE AGGREGATE name(x type) RETURNS type LANGUAGE python AS $$…$$.",
            position=self.pos,
        )

    def _columns(self) -> list[s.Parameter]:
        self.expect("(")
        columns = []
        while True:
            pos = self.pos
            columns.append(s.Parameter(self.type_name_word(), self.type(), pos=pos))
            if not self.accept(","):
                break
        self.expect(")")
        return columns

    def _parameter(self) -> s.Parameter:
        pos = self.pos
        if self.word() in ("out", "inout") and self.peek() not in _AFTER_TYPE:
            raise not_supported("OUT parameters are not supported", position=pos)
        variadic = self.accept("variadic")
        if self.word() == "in" and self.peek() not in _AFTER_TYPE:
            self.advance()
        name = ""
        named = self.kind == "IDENT" or self.kind in FUNCTION_NAMES
        if named and self.peek() not in _AFTER_TYPE and not self.words("double", "precision"):
            name = self.advance().value
        parameter = s.Parameter(name, self.type(), None, variadic, pos)
        if self.accept("default") or self.accept("="):
            parameter.default = self.expr()
        return parameter

    def _attribute(self, statement: s.CreateFunction) -> bool:
        """One of LANGUAGE, AS, IMMUTABLE and so on, in any order; False when there is none."""
        word, pos = self.word(), self.pos
        if word == "language":
            self.advance()
            statement.language_pos = self.pos
            statement.language = self.string() if self.kind == "STRING" else self.label()
        elif word in _VOLATILITY:
            self.advance()
            statement.volatility = _VOLATILITY[word]  # type: ignore[assignment]
        elif word == "strict":
            self.advance()
            statement.strict = True
        elif self.accept_words("returns", "null", "on", "null", "input"):
            statement.strict = True
        elif self.accept_words("called", "on", "null", "input"):
            statement.strict = False
        elif word in ("cost", "rows"):
            self.advance()
            self.advance()
        elif word == "parallel":
            self.advance()
            self.label()
        elif self.accept_words("leakproof") or self.accept_words("not", "leakproof"):
            pass
        elif word == "as":
            self.advance()
            statement.body_pos = self.pos
            statement.body = self.string()
            if self.kind == ",":
                raise not_supported("functions in object files are not supported", position=self.pos)
        elif word == "return":
            self.advance()
            start = self.i
            statement.body_pos = self.pos
            self.expr()
            statement.body, statement.language = f"SELECT {self.text_since(start)}", "sql"
        elif word == "with" and self.peek() == "(":
            statement.options = self.with_options()
        else:
            return self._refused(word, pos)
        return True

    def _refused(self, word: str, pos: int) -> bool:
        if self.accept_words("security", "invoker") or self.accept_words("external", "security", "invoker"):
            return True
        if word in ("security", "external"):
            raise not_supported("SECURITY DEFINER is not supported", position=pos)
        if word in ("set", "window", "transform", "support"):
            raise not_supported(f"{word.upper()} of functions is not supported", position=pos)
        if self.words("begin", "atomic"):
            raise not_supported("BEGIN ATOMIC is not supported", hint="Use AS $$ … $$.", position=pos)
        return False

    def _nothing(self, aggregate: bool) -> bool:
        """The end of an empty list; ``*)`` is one of an aggregate's."""
        if aggregate and self.kind == "*" and self.peek() == ")":
            self.advance()
        return self.accept(")")

    def signature(self, aggregate: bool = False) -> list[ast.TypeName] | None:
        """The argument types after a function's name, if they are there."""
        if not self.accept("("):
            return None
        types: list[ast.TypeName] = []
        if not self._nothing(aggregate):
            types.append(self._parameter().type)
            while self.accept(","):
                types.append(self._parameter().type)
            self.expect(")")
        return types
