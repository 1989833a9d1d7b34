"""The pieces of definitions: options, columns, constraints, FORMAT, EMIT."""

from __future__ import annotations

from dataclasses import replace

from laminar.errors import PgError, not_supported
from laminar.sql import statements as s
from laminar.sql.keywords import FUNCTION_NAMES
from laminar.sql.parser.queries import QueryParser

_SERIALS = {
    "serial": "int4", "serial4": "int4", "bigserial": "int8", "serial8": "int8", "smallserial": "int2",
    "serial2": "int2",
}  # fmt: skip
_INCLUDES = ("offset", "partition", "key", "timestamp", "headers")


#: what CREATE TABLE (LIKE …) can take over; of what the first three say Laminar has nothing
_LIKE = frozenset(
    {"compression", "storage", "statistics"}
    | {"comments", "constraints", "defaults", "generated", "identity", "indexes"}
)


def _foreign_keys(pos: int) -> PgError:
    return not_supported(
        "foreign keys are not supported",
        hint="Leave them out; a view with an anti join shows the rows that refer to nothing.",
        position=pos,
    )


class DefinitionParser(QueryParser):
    """Shared by CREATE statements."""

    def text_since(self, index: int) -> str:
        """The source from token ``index`` to the last one consumed."""
        return self.sql[self.tokens[index].start : self.tokens[self.i - 1].end]

    def qname(self) -> s.QName:
        pos = self.pos
        return s.QName(self.qualified(), pos)

    def if_not_exists(self) -> bool:
        if self.accept_words("if"):
            self.expect_words("not", "exists")
            return True
        return False

    def if_exists(self) -> bool:
        if self.accept_words("if"):
            self.expect_words("exists")
            return True
        return False

    # --- options

    def options(self) -> list[s.Option]:
        """``(name = value, a.b = value, flag)``; a name may be quoted with either quote."""
        self.expect("(")
        items: list[s.Option] = []
        if self.accept(")"):
            return items
        while True:
            items.append(self._option())
            if not self.accept(","):
                break
        self.expect(")")
        return items

    def with_options(self) -> list[s.Option]:
        """``WITH (…)`` if it is there."""
        if self.kind == "with" and self.peek() == "(":
            self.advance()
            return self.options()
        return []

    def _option(self) -> s.Option:
        pos = self.pos
        if self.kind == "STRING":
            name = self.string()
        else:
            name = self.label()
            while self.accept("."):
                name += "." + self.label()
        if self.kind in (",", ")"):
            return s.Option(name, None, pos, pos)
        self.accept("=")
        return self.option_value(s.Option(name, None, pos, self.pos))

    def option_value(self, option: s.Option) -> s.Option:
        """A string, number, word or interval."""
        sign = "-" if self.accept("-") else ""
        if not sign:
            self.accept("+")
        if self.accept_words("interval"):
            sign = ""
        token = self.token
        if token.kind in ("INT", "FLOAT") or (not sign and token.kind == "STRING"):
            self.advance()
            option.quoted = token.kind == "STRING"
            option.value = sign + token.value
        elif not sign and (
            token.kind in ("true", "false", "on") or self.at_name() or token.kind in FUNCTION_NAMES
        ):
            self.advance()
            option.value = token.value
        else:
            raise self.unexpected()
        return option

    def format(self) -> s.Format | None:
        """``FORMAT kind [ENCODE encoding [(options)]]``."""
        pos = self.pos
        if not self.accept_words("format"):
            return None
        kind = self.label()
        encoding = self.label() if self.accept_words("encode") else None
        options = self.options() if self.kind == "(" else []
        return s.Format(kind, encoding, options, pos)

    # --- columns

    def elements(self) -> s.Elements:
        """``(column …, constraint …, WATERMARK FOR …, INCLUDE …)``."""
        self.expect("(")
        result = s.Elements()
        if self.accept(")"):
            return result
        while True:
            self._element(result)
            if not self.accept(","):
                break
        self.expect(")")
        return result

    def _element(self, result: s.Elements) -> None:
        pos = self.pos
        if self.words("watermark", "for"):
            if result.watermark is not None:
                raise self.error("multiple WATERMARK clauses", pos, "42P16")
            result.watermark = self.watermark()
        elif self.word() == "include" and self.word(1) in _INCLUDES:
            result.includes.append(self.include())
        elif self.kind in ("constraint", "primary", "unique", "check", "foreign") or self.words(
            "exclude", "using"
        ):
            result.constraints.append(self._table_constraint())
        elif self.kind == "like":
            result.likes.append(self._like(len(result.columns)))
        else:
            result.columns.append(self.column_definition())

    def _like(self, place: int) -> s.Like:
        """``LIKE relation [{INCLUDING | EXCLUDING} what] …``; the last word on a thing counts."""
        self.expect("like")
        like = s.Like(self.qname(), place)
        while self.word() in ("including", "excluding"):
            including = self.advance().value == "including"
            if self.word() != "all" and self.word() not in _LIKE:
                raise self.unexpected()
            what = _LIKE if self.word() == "all" else {self.word()}
            self.advance()
            like.including = like.including | what if including else like.including - what
        return like

    def watermark(self) -> s.WatermarkDef:
        pos = self.pos
        self.expect_words("watermark", "for")
        at = self.pos
        column = self.name()
        if not self.accept("as"):
            return s.WatermarkDef(column, None, None, at or pos)
        start = self.i
        expr = self.expr()
        return s.WatermarkDef(column, expr, self.text_since(start), at or pos)

    def include(self) -> s.Include:
        pos = self.pos
        self.expect_words("include")
        what = self.advance().value
        column = self.name() if self.accept("as") else None
        return s.Include(what, column, pos)  # type: ignore[arg-type]

    def column_definition(self) -> s.ColumnDef:
        """``name type [COLLATE c] [constraints] | name type AS (expr)``."""
        pos = self.pos
        name = self.name()
        column = s.ColumnDef(name, self.type(), pos)
        names = column.type.names
        if len(names) == 1 and names[0] in _SERIALS:
            column.serial = column.not_null = True
            column.type = replace(column.type, names=("pg_catalog", _SERIALS[names[0]]))
        while self._column_constraint(column):
            pass
        return column

    def _column_constraint(self, column: s.ColumnDef) -> bool:
        name = self.name() if self.accept("constraint") else None
        pos = self.pos
        if self.kind == "collate":
            self.advance()
            self.qualified()
        elif self.accept("not"):
            self.expect("null")
            column.not_null = True
        elif self.accept("null"):
            if column.not_null:
                raise self.error(f'conflicting NULL/NOT NULL declarations for column "{column.name}"', pos)
        elif self.accept("default"):
            if column.default is not None:
                raise self.error(f'multiple default values specified for column "{column.name}"', pos)
            start = self.i
            column.default = self.restricted_expr()
            column.default_text = self.text_since(start)
        elif self.kind == "primary":
            self.advance()
            self.expect_words("key")
            column.primary_key = column.not_null = True
        elif self.accept("unique"):
            column.unique = True
        elif self.kind == "check":
            column.checks.append(self._check(name))
        elif self.kind == "references":
            raise _foreign_keys(pos)
        elif self.kind == "as":
            self.advance()
            self._generated(column)
        elif self.accept_words("generated"):
            self._generated_clause(column, pos)
        elif name is not None:
            raise self.unexpected()
        else:
            return False
        return True

    def _check(self, name: str | None) -> s.Check:
        self.expect("check")
        self.expect("(")
        start = self.i
        expr = self.expr()
        text = self.text_since(start)
        self.expect(")")
        return s.Check(expr, text, name)

    def _generated(self, column: s.ColumnDef) -> None:
        self.expect("(")
        start = self.i
        column.generated = self.expr()
        column.generated_text = self.text_since(start)
        self.expect(")")

    def sequence_options(self) -> list[s.Option]:
        """INCREMENT BY n, START WITH n, MINVALUE n, NO CYCLE, OWNED BY t.c, RESTART …"""
        found: list[s.Option] = []
        while (option := self._sequence_option()) is not None:
            if any(option.name == other.name for other in found):
                raise self.error("conflicting or redundant options", option.pos)
            found.append(option)
        return found

    def _sequence_option(self) -> s.Option | None:
        pos, word = self.pos, self.word()
        option = s.Option(word, None, pos, pos)
        if word == "no":
            self.advance()
            option.name = self.word()
            if option.name not in ("minvalue", "maxvalue", "cycle"):
                raise self.unexpected()
            self.advance()
            return replace(option, value="false") if option.name == "cycle" else option
        if word == "cycle":
            self.advance()
            option.value = "true"
        elif word in ("increment", "start", "minvalue", "maxvalue", "cache", "restart"):
            self.advance()
            if word == "increment":
                self.accept_words("by")
            elif word in ("start", "restart"):
                self.accept("with")
            if word == "restart" and self.kind not in ("INT", "-", "+"):
                return option
            option.value_pos = self.pos
            self.option_value(option)
        elif self.kind == "as":
            self.advance()
            option.name = "as"
            option.items = (self.type().names[-1],)
        elif word == "owned":
            self.advance()
            self.expect_words("by")
            option.name = "owned by"
            option.items = () if self.accept_words("none") else tuple(self.qualified())
        else:
            return None
        return option

    def _generated_clause(self, column: s.ColumnDef, pos: int) -> None:
        if self.accept_words("always"):
            always = True
        else:
            self.expect_words("by", "default")
            always = False
        self.expect("as")
        if self.accept_words("identity"):
            if column.identity is not None:
                raise self.error(f'multiple identity specifications for column "{column.name}"', pos)
            column.identity = "always" if always else "default"
            column.not_null = True
            if self.accept("("):
                column.sequence = self.sequence_options()
                self.expect(")")
            return
        if not always:
            raise self.unexpected()
        self._generated(column)
        self.expect_words("stored")

    def _table_constraint(self) -> s.TableConstraint:
        name = self.name() if self.accept("constraint") else None
        pos = self.pos
        if self.kind in ("primary", "unique"):
            kind = self.advance().kind
            if kind == "primary":
                self.expect_words("key")
            return s.TableConstraint(kind, self.positioned_names(), None, name, pos)  # type: ignore[arg-type]
        if self.kind == "check":
            return s.TableConstraint("check", [], self._check(name), name, pos)
        if self.kind == "foreign":
            raise _foreign_keys(pos)
        if self.word() == "exclude":
            raise not_supported("exclusion constraints are not supported", position=pos)
        raise self.unexpected()

    # --- EMIT

    def emit_clauses(self) -> s.EmitClause:
        """``[EMIT …] [ALLOW LATENESS …] [LATE DATA TO …]``, in any order, each at most once."""
        clause = s.EmitClause()
        while True:
            pos = self.pos
            if self.word() == "emit":
                if clause.mode is not None:
                    raise self.unexpected()
                clause.pos = pos
                self._emit(clause)
            elif self.words("allow", "lateness") or self.words("allowed", "lateness"):
                if clause.lateness is not None:
                    raise self.unexpected()
                self.i += 2
                clause.lateness_pos = pos
                clause.lateness = self.expr()
            elif self.words("late", "data", "to"):
                if clause.late_table is not None:
                    raise self.unexpected()
                self.i += 3
                clause.late_table = self.qname()
            else:
                return clause

    def _emit(self, clause: s.EmitClause) -> None:
        self.expect_words("emit")
        if self.accept_words("changes") or self.accept_words("on", "update"):
            clause.mode = "update"
        elif self.accept_words("on", "window", "close") or self.accept_words("after", "window", "close"):
            clause.mode = "close"
        elif self.accept_words("after", "watermark") or self.accept_words("on", "watermark"):
            clause.mode = "watermark"
        elif self.accept_words("final"):
            clause.mode = "final"
        elif self.word() in ("every", "periodically"):
            self.advance()
            clause.mode = "every"
            clause.every = self.expr()
        else:
            if self.word() in ("on", "after"):
                self.advance()
            raise self.unexpected(
                "Known forms: EMIT ON UPDATE, EMIT AFTER WATERMARK, EMIT ON WINDOW CLOSE, EMIT FINAL, "
                "EMIT EVERY interval."
            )
