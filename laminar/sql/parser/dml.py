"""INSERT, UPDATE, DELETE, TRUNCATE, COPY, SUBSCRIBE."""

from __future__ import annotations

from laminar.errors import not_supported
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.parser.creates import CreateParser
from laminar.sql.parser.expressions import QUERY_START


class DmlParser(CreateParser):
    """Statements that read or change rows."""

    def modifying(self) -> s.Insert | s.Update | s.Delete:
        if self.kind == "insert":
            return self.insert(None)
        return self.update(None) if self.kind == "update" else self.delete(None)

    # --- INSERT

    def insert(self, with_: ast.With | None) -> s.Insert:
        self.expect("insert")
        self.expect("into")
        relation = self.qname()
        alias = self.name() if self.accept("as") else None
        columns: list[tuple[str, int]] | None = None
        if self.kind == "(" and not self.query_ahead():
            columns = self._insert_columns()
        overriding = None
        if self.accept_words("overriding"):
            if self.word() not in ("system", "user"):
                raise self.unexpected()
            overriding = self.advance().value
            self.expect_words("value")
        source: ast.Query | None = None
        if self.kind == "default" and columns is None:
            self.advance()
            self.expect("values")
        elif self.kind in QUERY_START or self.kind == "(":
            source = self.query()
        else:
            raise self.unexpected()
        result = s.Insert(relation, alias, columns, source, with_=with_, overriding=overriding)  # type: ignore[arg-type]
        self.insert_tail(result)
        return result

    def _insert_columns(self) -> list[tuple[str, int]]:
        self.expect("(")
        columns: list[tuple[str, int]] = []
        while True:
            pos = self.pos
            columns.append((self.name(), pos))
            if self.kind in (".", "["):
                raise not_supported("assignment to a part of a column is not supported", position=pos)
            if not self.accept(","):
                break
        self.expect(")")
        return columns

    def insert_tail(self, insert: s.Insert) -> None:
        """ON CONFLICT and RETURNING."""
        pos = self.pos
        if self.accept("on"):
            self.expect_words("conflict")
            insert.on_conflict = self._on_conflict(pos)
        insert.returning = self._returning()

    def _on_conflict(self, pos: int) -> s.OnConflict:
        columns: list[tuple[str, int]] = []
        constraint = None
        if self.kind == "(":
            columns = self.positioned_names()
            if self.kind == "where":
                raise not_supported("partial unique indexes are not supported", position=self.pos)
        elif self.accept("on"):
            self.expect("constraint")
            constraint = self.name()
        self.expect("do")
        if self.accept_words("nothing"):
            return s.OnConflict(columns, constraint, "nothing", [], None, pos)
        self.expect_words("update", "set")
        assignments = self.assignments()
        where = self.expr() if self.accept("where") else None
        return s.OnConflict(columns, constraint, "update", assignments, where, pos)

    def _returning(self) -> list[ast.Target]:
        return self.targets() if self.accept("returning") else []

    # --- UPDATE, DELETE

    def assignments(self) -> list[s.Assignment]:
        """set_clause_list."""
        items = [self._assignment()]
        while self.accept(","):
            items.append(self._assignment())
        return items

    def _assignment(self) -> s.Assignment:
        listed = self.kind == "("
        if listed:
            columns = self.positioned_names()
        else:
            pos = self.pos
            columns = [(self.name(), pos)]
            if self.kind in (".", "["):
                raise not_supported("assignment to a part of a column is not supported", position=pos)
        self.expect("=")
        source = self.expr_or_default() if len(columns) == 1 else self._row_source()
        return s.Assignment(columns, source, listed)

    def _row_source(self) -> ast.Expr:
        """What follows ``(a, b) =``: ROW(…), (…) with DEFAULT allowed, or a subquery."""
        pos = self.pos
        explicit = self.accept("row")
        if not explicit and self.kind == "(" and self.query_ahead():
            return self.expr()
        if self.kind != "(":
            return self.expr()
        self.expect("(")
        items = [self.expr_or_default()]
        while self.accept(","):
            items.append(self.expr_or_default())
        self.expect(")")
        return ast.Row(items, pos, explicit)

    def _target_alias(self) -> str | None:
        if self.accept("as"):
            return self.name()
        return self.name() if self.at_name() and self.kind != "set" else None

    def update(self, with_: ast.With | None) -> s.Update:
        self.expect("update")
        self.accept("only")
        relation = self.qname()
        self.accept("*")
        alias = self._target_alias()
        self.expect_words("set")
        assignments = self.assignments()
        from_ = self.from_list() if self.accept("from") else []
        return s.Update(relation, alias, assignments, from_, self._where(), self._returning(), with_)

    def delete(self, with_: ast.With | None) -> s.Delete:
        self.expect("delete")
        self.expect("from")
        self.accept("only")
        relation = self.qname()
        self.accept("*")
        alias = self._target_alias()
        using = self.from_list() if self.accept("using") else []
        return s.Delete(relation, alias, using, self._where(), self._returning(), with_)

    # --- MERGE

    def merge(self, with_: ast.With | None) -> s.Merge:
        self.expect_words("merge")
        self.expect("into")
        self.accept("only")
        relation = self.qname()
        self.accept("*")
        alias = self.name() if self.accept("as") or (self.at_name() and self.kind != "using") else None
        self.expect("using")
        source = self.from_item()
        self.expect("on")
        result = s.Merge(relation, alias, source, self.expr(), [], with_)
        while self.accept("when"):
            result.clauses.append(self._merge_clause())
        if not result.clauses:
            raise self.unexpected()
        return result

    def _merge_clause(self) -> s.MergeClause:
        matched = not self.accept("not")
        self.expect_words("matched")
        condition = self.expr() if self.accept("and") else None
        self.expect("then")
        clause = s.MergeClause(matched, condition, "nothing")
        if self.accept("do"):
            self.expect_words("nothing")
        elif matched and self.accept_words("delete"):
            clause.action = "delete"
        elif matched:
            self.expect_words("update", "set")
            clause.action, clause.assignments = "update", self.assignments()
        else:
            self._merge_insert(clause)
        return clause

    def _merge_insert(self, clause: s.MergeClause) -> None:
        self.expect_words("insert")
        clause.action = "insert"
        if self.kind == "(":
            clause.columns = self._insert_columns()
        if self.accept_words("overriding"):
            if self.word() not in ("system", "user"):
                raise self.unexpected()
            clause.overriding = self.advance().value  # type: ignore[assignment]
            self.expect_words("value")
        if self.kind == "default" and clause.columns is None:
            self.advance()
            self.expect("values")
            return
        self.expect("values")
        self.expect("(")
        clause.values = [self.expr_or_default()]
        while self.accept(","):
            clause.values.append(self.expr_or_default())
        self.expect(")")

    def _where(self) -> ast.Expr | None:
        if not self.accept("where"):
            return None
        if self.words("current", "of"):
            raise not_supported("WHERE CURRENT OF is not supported", position=self.pos)
        return self.expr()

    def truncate(self) -> s.Truncate:
        self.expect("truncate")
        self.accept("table")
        relations = [self._truncated()]
        while self.accept(","):
            relations.append(self._truncated())
        restart = self.accept_words("restart", "identity")
        if not restart:
            self.accept_words("continue", "identity")
        cascade = self.accept_words("cascade")
        if not cascade:
            self.accept_words("restrict")
        return s.Truncate(relations, restart, cascade)

    def _truncated(self) -> s.QName:
        self.accept("only")
        name = self.qname()
        self.accept("*")
        return name

    # --- SUBSCRIBE, COPY

    def subscribe(self) -> s.Subscribe:
        pos = self.pos
        self.expect_words("subscribe")
        self.accept("to")
        target = self.query_in_parens() if self.kind == "(" else self.qname()
        result = s.Subscribe(target, [], None, None, pos)
        while True:
            if self.kind == "with" and not result.options:
                result.options = self.with_options()
            elif self.words("as", "of", "epoch") and result.as_of is None:
                self.i += 3
                token = self.token
                if token.kind not in ("INT", "FLOAT") or not token.value.isdigit():
                    raise self.unexpected()
                self.advance()
                result.as_of = int(token.value)
            elif self.kind == "where" and result.where is None:
                self.advance()
                result.where = self.expr()
            else:
                return result

    def copy(self) -> s.Copy:
        pos = self.expect("copy").start + 1
        columns: list[tuple[str, int]] = []
        source: s.QName | ast.Query | s.Subscribe
        if self.kind == "(":
            source = self._copy_query()
            direction = "to"
            self.expect("to")
        else:
            self.accept("binary")
            source = self.qname()
            columns = self.positioned_names() if self.kind == "(" else []
            if self.kind not in ("from", "to"):
                raise self.unexpected()
            direction = self.advance().kind
        program = self.accept_words("program")
        file = self._copy_file(program)
        result = s.Copy(source, columns, direction, file, program, [], None, pos)  # type: ignore[arg-type]
        self._copy_options(result)
        if self.kind == "where":
            if direction == "to":
                raise self.error("WHERE clause not allowed with COPY TO", self.pos)
            self.advance()
            result.where = self.expr()
        return result

    def _copy_query(self) -> ast.Query | s.Subscribe:
        if self.word(1) == "subscribe":
            self.expect("(")
            subscription = self.subscribe()
            self.expect(")")
            return subscription
        if self.word(1) in ("insert", "update", "delete"):
            raise not_supported("COPY of a data-modifying statement is not supported", position=self.pos)
        if not self.query_ahead():
            self.expect("(")
            raise self.unexpected()
        return self.query_in_parens()

    def _copy_file(self, program: bool) -> s.QName | str:
        pos = self.pos
        if not program and self.word() in ("stdin", "stdout"):
            return self.advance().value
        return s.QName((self.string(),), pos)

    def _copy_options(self, copy: s.Copy) -> None:
        parenthesised = self.kind == "(" or (self.kind == "with" and self.peek() == "(")
        self.accept("with")
        if parenthesised:
            self.expect("(")
            while True:
                copy.options.append(self._copy_option())
                if not self.accept(","):
                    break
            self.expect(")")
            return
        while (option := self._old_copy_option()) is not None:
            copy.options.append(option)

    def _copy_option(self) -> s.Option:
        pos = self.pos
        option = s.Option(self.label(), None, pos, self.pos)
        option.value_pos = self.pos
        if self.kind == "(":
            self.advance()
            items = [self.label()]
            while self.accept(","):
                items.append(self.label())
            self.expect(")")
            option.items = tuple(items)
        elif self.accept("*"):
            option.items = ("*",)
        elif self.kind not in (",", ")"):
            self.option_value(option)
        return option

    def _old_copy_option(self) -> s.Option | None:
        """copy_opt_item: the syntax before PostgreSQL 9.0 (``CSV HEADER DELIMITER ','``)."""
        pos, word = self.pos, self.word()
        if word in ("csv", "binary"):
            self.advance()
            return s.Option("format", word, pos, pos)
        if word in ("header", "freeze"):
            self.advance()
            return s.Option(word, "true", pos, pos)
        if word in ("delimiter", "null", "quote", "escape", "encoding"):
            self.advance()
            self.accept("as")
            return s.Option(word, self.string(), pos, pos, quoted=True)
        if word == "force":
            self.advance()
            name = "force_null"
            if self.accept_words("quote"):
                name = "force_quote"
            elif self.accept_words("not", "null"):
                name = "force_not_null"
            else:
                self.expect_words("null")
            if self.accept("*"):
                return s.Option(name, None, pos, pos, items=("*",))
            items = [self.name()]
            while self.accept(","):
                items.append(self.name())
            return s.Option(name, None, pos, pos, items=tuple(items))
        return None
