"""Expressions: syntax to typed plan expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from laminar.errors import (
    DATATYPE_MISMATCH,
    SYNTAX_ERROR,
    UNDEFINED_FUNCTION,
    UNDEFINED_PARAMETER,
    PgError,
    not_supported,
)
from laminar.sql import ast
from laminar.sql import plan as p
from laminar.sql.binder import records, scope, subscripts
from laminar.sql.binder.domains import checked
from laminar.sql.binder.scope import Level
from laminar.sql.binder.state import BOOLEAN, State, check_collation, location, user_type
from laminar.sql.kernels.records import check_similar
from laminar.sql.resolve import (
    common_type,
    integer_literal,
    literal,
    make_array,
    make_array_compare,
    make_distinct,
    make_in,
    make_operator,
    numeric_literal,
    oid_name,
)
from laminar.sql.resolve.rules import array_type, category, common_oid
from laminar.types import (
    BOOL,
    NUMERIC,
    OID,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    XID,
    PgType,
)

#: functions that SQL writes without parentheses -> name in pg_proc
#: FrozenTransactionId
_FROZEN: Final = 2
_VALUE_FUNCTIONS: Final = {
    "current_user": "current_user",
    "current_role": "current_user",
    "user": "current_user",
    "session_user": "session_user",
    "current_catalog": "current_database",
    "current_schema": "current_schema",
}
#: the clock's spellings: (kernel symbol, type oid)
_CLOCK: Final = {
    "current_date": ("sql_current_date", 1082),
    "current_timestamp": ("sql_current_timestamp", TIMESTAMPTZ),
    "localtimestamp": ("sql_localtimestamp", TIMESTAMP),
    "localtime": ("sql_localtime", 1083),
}


class ExpressionBinder(State):
    """Everything but function calls (see :mod:`calls`) and FROM."""

    if TYPE_CHECKING:

        def call(self, node: ast.FuncCall, level: Level) -> p.Expr: ...
        def grouping(self, node: ast.Special, level: Level) -> p.Expr: ...
        def named_function(self, schema: str, name: str, args: list[p.Expr], node: object) -> p.Expr: ...
        def subquery(self, query: ast.Query, level: Level) -> p.Plan: ...

    def expr(self, node: ast.Expr, level: Level) -> p.Expr:
        """Bind an expression."""
        method = getattr(self, "_" + type(node).__name__.lower(), None)
        if method is None:
            raise PgError("XX000", f"unexpected {type(node).__name__}", position=location(node) or None)
        result: p.Expr = method(node, level)
        return result

    def exprs(self, nodes: list[ast.Expr], level: Level) -> list[p.Expr]:
        return [self.expr(node, level) for node in nodes]

    # --- leaves

    def _literal(self, node: ast.Literal, level: Level) -> p.Expr:
        value = node.value
        if node.kind in ("string", "null"):
            return p.Const(value, PgType(UNKNOWN))
        assert value is not None
        if node.kind == "bool":
            return p.Const(value == "true", BOOLEAN)
        if node.kind == "int" or (node.kind == "float" and value.lstrip("-").isdigit()):
            return integer_literal(int(value))
        if node.kind == "float":
            constant = literal(value, PgType(NUMERIC), node.pos or None)
            if isinstance(constant, p.Const):
                return constant if constant.type.decimal else numeric_literal(value, constant.value)
            return constant
        raise not_supported("bit strings are not supported", position=node.pos)

    def _parameter(self, node: ast.Parameter, level: Level) -> p.Expr:
        if not self.inlining:
            return self.parameter(node)
        found = scope.find_column(level, f"${node.index}", node.pos)
        if found is None:
            raise PgError(UNDEFINED_PARAMETER, f"there is no parameter ${node.index}", position=node.pos)
        return self.reference(found.column, found.depth, node.pos)

    def _default(self, node: ast.Default, level: Level) -> p.Expr:
        raise PgError(SYNTAX_ERROR, "DEFAULT is not allowed in this context", position=node.pos)

    def _star(self, node: ast.Star, level: Level) -> p.Expr:
        if not node.parts:
            raise PgError(SYNTAX_ERROR, 'syntax error at or near "*"', position=node.pos)
        row = records.whole_row(self, node.parts, node.pos, level)
        if row is None:
            raise scope.missing_item(level, node.parts[-1], node.pos)
        return row

    def _name(self, node: ast.Name, level: Level) -> p.Expr:
        parts, pos = node.parts, node.pos
        if len(parts) == 1:
            found = scope.find_column(level, parts[0], pos)
            if found is not None:
                return self.reference(found.column, found.depth, pos)
            if len(level.items) == 1 and (system := _system_column(level.items[0], parts[0])) is not None:
                return system
            row = records.whole_row(self, parts, pos, level)
            if row is None:
                raise scope.missing_column(level, None, parts[0], pos)
            return row
        if len(parts) > 4:
            raise PgError(
                SYNTAX_ERROR,
                f"improper qualified name (too many dotted names): {'.'.join(parts)}",
                position=pos,
            )
        schema = parts[-3] if len(parts) > 2 else None
        item = scope.find_item(level, parts[-2], schema)
        if item is None:
            raise scope.missing_item(level, parts[-2], pos)
        column = scope.column_of(item[0], parts[-1], pos)
        if column is None and (system := _system_column(item[0], parts[-1])) is not None:
            return system
        if column is None:
            raise scope.missing_column(level, parts[-2], parts[-1], pos)
        return self.reference(column, item[1], pos)

    def _sqlvalue(self, node: ast.SqlValue, level: Level) -> p.Expr:
        function = _VALUE_FUNCTIONS.get(node.name)
        if function is not None:
            return self.named_function("pg_catalog", function, [], node)
        if node.name == "current_time":
            raise not_supported("time with time zone is not supported", position=node.pos)
        symbol, oid = _CLOCK[node.name]
        value = p.Call(p.Function(0, node.name, symbol, True, "s"), (), PgType(oid), node.pos)
        if node.precision is None or oid == 1082:
            return value
        return self.coerce(value, PgType(oid, min(node.precision, 6)), node)

    # --- operators

    def _operator(self, node: ast.Operator, level: Level) -> p.Expr:
        if node.schema not in (None, "pg_catalog"):
            raise PgError(
                UNDEFINED_FUNCTION,
                f"operator does not exist: {node.schema}.{node.op}",
                position=node.pos,
            )
        if node.left is not None and _is_row(node.left) and _is_row(node.right):
            return self._row_compare(node, level)
        left = None if node.left is None else self.expr(node.left, level)
        right = self.expr(node.right, level)
        return self.operate(node.op, left, right, node.pos, node.left, node.right)

    def operate(
        self, op: str, left: p.Expr | None, right: p.Expr, pos: int, left_node: object, right_node: object
    ) -> p.Expr:
        """``left op right`` with casts, and parameters settled."""
        places = (location(left_node) or None, location(right_node) or None)
        call = make_operator(op, left, right, pos or None, places)
        if call.function.symbol.startswith("record_"):
            check_similar(*(arg.type for arg in call.args))
        self.settle([right] if left is None else [left, right], call)
        return call

    def _row_compare(self, node: ast.Operator, level: Level) -> p.Expr:
        """``(a, b) op (c, d)`` as PostgreSQL compares rows."""
        assert node.left is not None
        left, right = self._row_items(node.left, level, node), self._row_items(node.right, level, node)
        if len(left) != len(right):
            raise PgError(SYNTAX_ERROR, "unequal number of entries in row expressions", position=node.pos)
        if not left:
            raise PgError("0A000", "cannot compare rows of zero length", position=node.pos)
        return self._compare_rows(node.op, left, right, node)

    def _compare_rows(self, op: str, left: list[p.Expr], right: list[p.Expr], node: ast.Operator) -> p.Expr:
        pairs = list(zip(left, right, strict=True))
        if op in ("=", "<>"):
            parts = tuple(self.operate(op, a, b, node.pos, node.left, node.right) for a, b in pairs)
            return parts[0] if len(parts) == 1 else p.BoolOp("and" if op == "=" else "or", parts)
        if op not in ("<", "<=", ">", ">="):
            raise PgError(
                "0A000",
                f"could not determine interpretation of row comparison operator {op}",
                hint="Row comparison operators must be associated with btree operator families.",
                position=node.pos,
            )
        result = self.operate(op, *pairs[-1], node.pos, node.left, node.right)
        for a, b in reversed(pairs[:-1]):
            strict = self.operate(op[0], a, b, node.pos, node.left, node.right)
            equal = self.operate("=", a, b, node.pos, node.left, node.right)
            result = p.BoolOp("or", (strict, p.BoolOp("and", (equal, result))))
        return result

    def _row_items(self, node: ast.Expr, level: Level, context: ast.Operator) -> list[p.Expr]:
        if isinstance(node, ast.Row):
            return [value for _, value in records.items(self, node.items, level, known=False)]
        if isinstance(node, ast.SubLink) and node.kind == "scalar":
            return self.row_subquery(node, level)
        value = self.expr(node, level)
        kinds = f"{oid_name(value.type.oid)} {context.op} record" if node is context.left else ""
        kinds = kinds or f"record {context.op} {oid_name(value.type.oid)}"
        raise PgError(UNDEFINED_FUNCTION, f"operator does not exist: {kinds}", position=context.pos)

    def row_subquery(self, node: ast.SubLink, level: Level) -> list[p.Expr]:
        """A subquery of one row as one scalar subquery per column."""
        width = len(self.subquery(node.query, level).columns)
        items: list[p.Expr] = []
        for index in range(width):
            plan = self.subquery(node.query, level)
            column = plan.columns[index]
            single = p.Project(plan, (p.ColumnRef(column.id, column.type),), (column,))
            items.append(p.Subquery(single, "scalar", column.type, position=node.pos))
        return items

    def _row(self, node: ast.Row, level: Level) -> p.Expr:
        return records.constructed(self, node, level)

    def _bool(self, node: ast.Bool, level: Level) -> p.Expr:
        word = node.op.upper()
        args = tuple(self.boolean(self.expr(arg, level), arg, word) for arg in node.args)
        return p.BoolOp(node.op, args)

    def _test(self, node: ast.Test, level: Level) -> p.Expr:
        if isinstance(node.arg, ast.Row) and node.what == "null":
            items = [value for _, value in records.items(self, node.arg.items, level)]
            tests = tuple(p.Test(item, "null", node.negated) for item in items)
            if not tests:
                return p.Const(True, BOOLEAN)
            return tests[0] if len(tests) == 1 else p.BoolOp("and", tests)
        arg = self.expr(node.arg, level)
        if node.what == "null" and arg.type.is_row:
            return records.null_test(arg, node.negated, node.pos)
        if node.what == "null":
            return p.Test(self._any_type(arg, node.arg), "null", node.negated)
        word = f"IS {'NOT ' if node.negated else ''}{node.what.upper()}"
        arg = self.boolean(arg, node.arg, word)
        return p.Test(arg, "null" if node.what == "unknown" else node.what, node.negated)

    def _any_type(self, arg: p.Expr, node: object) -> p.Expr:
        """An operand of IS NULL: any type does, an untyped one is text."""
        return self.known(arg, node) if arg.type.oid == UNKNOWN else arg

    def _isdistinct(self, node: ast.IsDistinct, level: Level) -> p.Expr:
        if _is_row(node.left) and _is_row(node.right):
            compare = ast.Operator("=", node.left, node.right, node.pos)
            left = self._row_items(node.left, level, compare)
            right = self._row_items(node.right, level, compare)
            if len(left) != len(right):
                raise PgError(SYNTAX_ERROR, "unequal number of entries in row expressions", position=node.pos)
            parts = tuple(
                make_distinct(a, b, node.negated, node.pos) for a, b in zip(left, right, strict=True)
            )
            return parts[0] if len(parts) == 1 else p.BoolOp("and" if node.negated else "or", parts)
        left_, right_ = self.expr(node.left, level), self.expr(node.right, level)
        if _is_null(left_) or _is_null(right_):
            arg, at = (right_, node.right) if _is_null(left_) else (left_, node.left)
            return p.Test(self._any_type(arg, at), "null", not node.negated)
        result = make_distinct(left_, right_, node.negated, node.pos)
        self.settle((left_, right_), result)
        return result

    def _between(self, node: ast.Between, level: Level) -> p.Expr:
        if any(_is_row(part) for part in (node.arg, node.low, node.high)):
            return self._row_between(node, level)
        arg, low, high = (self.expr(part, level) for part in (node.arg, node.low, node.high))
        result = self._range(node, arg, (low, node.low), (high, node.high))
        if not node.symmetric:
            return result
        other = self._range(node, arg, (high, node.high), (low, node.low))
        return p.BoolOp("and" if node.negated else "or", (result, other))

    def _row_between(self, node: ast.Between, level: Level) -> p.Expr:
        """``(a, b) BETWEEN (c, d) AND (e, f)``: two comparisons of rows."""
        ops = ("<", ">") if node.negated else (">=", "<=")

        def within(low: ast.Expr, high: ast.Expr) -> p.Expr:
            parts = tuple(
                self._operator(ast.Operator(op, node.arg, bound, node.pos), level)
                for op, bound in zip(ops, (low, high), strict=True)
            )
            return p.BoolOp("or" if node.negated else "and", parts)

        result = within(node.low, node.high)
        if not node.symmetric:
            return result
        return p.BoolOp("and" if node.negated else "or", (result, within(node.high, node.low)))

    def _range(
        self, node: ast.Between, arg: p.Expr, low: tuple[p.Expr, ast.Expr], high: tuple[p.Expr, ast.Expr]
    ) -> p.Expr:
        ops = ("<", ">") if node.negated else (">=", "<=")
        first = self.operate(ops[0], arg, low[0], node.pos, node.arg, low[1])
        second = self.operate(ops[1], arg, high[0], node.pos, node.arg, high[1])
        return p.BoolOp("or" if node.negated else "and", (first, second))

    def _inlist(self, node: ast.InList, level: Level) -> p.Expr:
        if isinstance(node.left, ast.Row):
            op = "<>" if node.negated else "="
            parts = tuple(
                self._operator(ast.Operator(op, node.left, item, node.pos), level) for item in node.items
            )
            return parts[0] if len(parts) == 1 else p.BoolOp("and" if node.negated else "or", parts)
        left, items = self.expr(node.left, level), self.exprs(node.items, level)
        if len(items) == 1:
            op = "<>" if node.negated else "="
            return self.operate(op, left, items[0], node.pos, node.left, node.items[0])
        chosen = common_oid([left.type.oid, *(item.type.oid for item in items)])
        if chosen is not None and left.type.oid != UNKNOWN:
            # untyped literals here, for errors to point at them
            items = [
                self.coerce(item, PgType(chosen), at)
                if isinstance(item, p.Const) and item.type.oid == UNKNOWN
                else item
                for item, at in zip(items, node.items, strict=True)
            ]
        result = make_in(left, items, node.negated, node.pos)
        self.settle([left, *items], result)
        return result

    def _like(self, node: ast.Like, level: Level) -> p.Expr:
        arg, pattern = self.expr(node.arg, level), self.expr(node.pattern, level)
        if node.kind == "similar":
            args = [pattern] if node.escape is None else [pattern, self.expr(node.escape, level)]
            pattern = self.named_function("pg_catalog", "similar_to_escape", args, node)
            op = "!~" if node.negated else "~"
        else:
            if node.escape is not None:
                escape = self.expr(node.escape, level)
                pattern = self.named_function("pg_catalog", "like_escape", [pattern, escape], node)
            op = ("!" if node.negated else "") + ("~~*" if node.kind == "ilike" else "~~")
        return self.operate(op, arg, pattern, node.pos, node.arg, node.pattern)

    def _quantified(self, node: ast.Quantified, level: Level) -> p.Expr:
        left, array = self.expr(node.left, level), self.expr(node.array, level)
        try:
            result = make_array_compare(node.op, left, array, node.any, node.pos)
        except PgError as error:
            if error.sqlstate.startswith("22"):
                error.position = location(node.array)
            raise
        self.settle((left, array), result)
        return result

    # --- conversions

    def _cast(self, node: ast.Cast, level: Level) -> p.Expr:
        target = self.type(node.type)
        if isinstance(node.arg, ast.Array) and target.is_array:
            return self._typed_array(node.arg, target, level)
        arg = self.expr(node.arg, level)
        pos = node.pos
        if arg.type.oid == UNKNOWN:
            result = self.coerce(arg, target, node.arg, "explicit")
        else:
            result = self.coerce(arg, target, ast.Default(pos), "explicit")
        named = user_type(node.type, self.catalog)
        if named is not None and named.domain is not None:
            return checked(result, named.domain, self.catalog, pos)
        return result

    def _typed_array(self, node: ast.Array, target: PgType, level: Level) -> p.Expr:
        """``ARRAY[…]::type[]``: the items are cast one by one."""
        if any(isinstance(item, ast.Array) for item in node.items):
            raise not_supported("multidimensional arrays are not supported", position=node.pos)
        items = [self.coerce(self.expr(i, level), target.element, i, "explicit") for i in node.items]
        return p.MakeArray(tuple(items), target)

    def _collate(self, node: ast.Collate, level: Level) -> p.Expr:
        arg = self.known(self.expr(node.arg, level), node.arg)
        if category(arg.type.oid) != "S":
            raise PgError(
                DATATYPE_MISMATCH,
                f"collations are not supported by type {oid_name(arg.type.oid)}",
                position=node.pos,
            )
        check_collation(node)
        return arg

    # --- conditionals

    def _case(self, node: ast.Case, level: Level) -> p.Expr:
        before, level.in_conditional = level.in_conditional, "CASE"
        arg = None if node.arg is None else self.known(self.expr(node.arg, level), node.arg)
        conditions: list[p.Expr] = []
        values: list[tuple[p.Expr, ast.Expr | None]] = []
        for when, then in node.whens:
            condition = self.expr(when, level)
            if arg is not None:
                condition = self.operate("=", arg, condition, location(when), node.arg, when)
            conditions.append(self.boolean(condition, when, "CASE/WHEN"))
            values.append((self.expr(then, level), then))
        default = (
            self.expr(node.default, level) if node.default is not None else p.Const(None, PgType(UNKNOWN))
        )
        level.in_conditional = before
        type_ = self.common([(default, node.default), *values], "CASE", node.pos)
        results = [self.coerce(value, type_, at) for value, at in values]
        whens = tuple(zip(conditions, results, strict=True))
        return p.Case(whens, self.coerce(default, type_, node.default), type_)

    def common(self, values: list[tuple[p.Expr, ast.Expr | None]], what: str, pos: int) -> PgType:
        """The common type, errors at the first value that does not fit."""
        exprs = [value for value, _ in values]
        for count in range(2, len(exprs) + 1):
            common_type(exprs[:count], location(values[count - 1][1]) or pos or None, what)
        return common_type(exprs, pos or None, what)

    def _special(self, node: ast.Special, level: Level) -> p.Expr:
        if node.kind == "grouping":
            return self.grouping(node, level)
        if node.kind == "nullif":
            return self._nullif(node, level)
        before, level.in_conditional = level.in_conditional, node.kind.upper()
        args = self.exprs(node.args, level)
        level.in_conditional = before if node.kind == "coalesce" else level.in_conditional
        level.in_conditional = before
        type_ = self.common(list(zip(args, node.args, strict=True)), node.kind.upper(), node.pos)
        args = [self.coerce(arg, type_, at) for arg, at in zip(args, node.args, strict=True)]
        if node.kind == "coalesce":
            return args[0] if len(args) == 1 else p.Coalesce(tuple(args), type_)
        return self._extreme(node, args, type_)

    def _extreme(self, node: ast.Special, args: list[p.Expr], type_: PgType) -> p.Expr:
        """GREATEST, LEAST: the first argument not beaten by a later one; nulls do not count."""
        op = ">=" if node.kind == "greatest" else "<="
        whens: list[tuple[p.Expr, p.Expr]] = []
        for index, arg in enumerate(args[:-1]):
            parts: list[p.Expr] = [p.Test(arg, "null", negated=True)]
            for other in args[index + 1 :]:
                wins = self.operate(op, arg, other, node.pos, None, None)
                parts.append(p.BoolOp("or", (p.Test(other, "null"), wins)))
            whens.append((p.BoolOp("and", tuple(parts)), arg))
        return p.Case(tuple(whens), args[-1], type_) if whens else args[0]

    def _nullif(self, node: ast.Special, level: Level) -> p.Expr:
        left, right = self.exprs(node.args, level)
        equal = self.operate("=", left, right, node.pos, node.args[0], node.args[1])
        assert isinstance(equal, p.Call)
        value = equal.args[0] if left.type.oid == UNKNOWN else left
        return p.Case(((equal, p.Const(None, value.type)),), value, value.type)

    # --- arrays and records

    def _array(self, node: ast.Array, level: Level) -> p.Expr:
        if any(isinstance(item, ast.Array) for item in node.items):
            raise not_supported("multidimensional arrays are not supported", position=node.pos)
        if not node.items:
            raise PgError(
                "42P18",
                "cannot determine type of empty array",
                hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
                position=node.pos,
            )
        items = self.exprs(node.items, level)
        type_ = self.common(list(zip(items, node.items, strict=True)), "ARRAY", node.pos)
        items = [
            self.coerce(item, PgType(type_.oid), at) if item.type.oid == UNKNOWN else item
            for item, at in zip(items, node.items, strict=True)
        ]
        return make_array(items, node.pos)

    def _subscript(self, node: ast.Subscript, level: Level) -> p.Expr:
        return subscripts.subscript(self, node, level)

    def _fieldselect(self, node: ast.FieldSelect, level: Level) -> p.Expr:
        if node.name == "*":
            raise not_supported('row expansion via "*" is not supported here', position=node.pos)
        return records.field(self, node, level)

    # --- subqueries

    def _sublink(self, node: ast.SubLink, level: Level) -> p.Expr:
        if node.kind == "exists":
            return p.Subquery(self.subquery(node.query, level), "exists", BOOLEAN, position=node.pos)
        if node.kind in ("any", "all"):
            return self._any_subquery(node, level)
        plan = self.subquery(node.query, level)
        if len(plan.columns) != 1:
            raise PgError(SYNTAX_ERROR, "subquery must return only one column", position=node.pos)
        type_ = plan.columns[0].type
        if node.kind == "scalar":
            return p.Subquery(plan, "scalar", type_, position=node.pos)
        oid = array_type(type_.oid)
        if not oid:
            raise PgError(
                "42704", f"could not find array type for data type {oid_name(type_.oid)}", position=node.pos
            )
        return p.Subquery(plan, "array", PgType(oid, type_.typmod), position=node.pos)

    def _any_subquery(self, node: ast.SubLink, level: Level) -> p.Expr:
        assert node.left is not None
        lefts = (
            self.exprs(node.left.items, level)
            if isinstance(node.left, ast.Row)
            else [self.expr(node.left, level)]
        )
        plan = self.subquery(node.query, level)
        if len(plan.columns) < len(lefts):
            raise PgError(SYNTAX_ERROR, "subquery has too few columns", position=node.pos)
        if len(plan.columns) > len(lefts):
            raise PgError(SYNTAX_ERROR, "subquery has too many columns", position=node.pos)
        if len(lefts) > 1 and node.op not in ("=", "<>"):
            raise not_supported(
                f"row comparison {node.op} with a subquery is not supported", position=node.pos
            )
        left_args: list[p.Expr] = []
        rights: list[p.Expr] = []
        functions: list[p.Function] = []
        for left, column in zip(lefts, plan.columns, strict=True):
            right = p.ColumnRef(column.id, column.type)
            call = make_operator(node.op, left, right, node.pos)
            self.settle((left,), call)
            if call.type.oid != BOOL:
                raise PgError(
                    DATATYPE_MISMATCH,
                    f"operator {node.op} must return type boolean, not type {oid_name(call.type.oid)}",
                    position=node.pos,
                )
            left_args.append(call.args[0])
            rights.append(call.args[1])
            functions.append(call.function)
        if any(not isinstance(right, p.ColumnRef) for right in rights):
            columns = tuple(self.output(c.name, e) for c, e in zip(plan.columns, rights, strict=True))
            plan = p.Project(plan, tuple(rights), columns)
        kind: Literal["any", "all"] = "any" if node.kind == "any" else "all"
        return p.Subquery(plan, kind, BOOLEAN, tuple(left_args), tuple(functions), node.pos)


def _system_column(item: scope.Item, name: str) -> p.Const | None:
    """tableoid of any relation; xmin of the catalogs', whose rows no transaction in progress has made."""
    if item.relation is not None and name == "tableoid":
        return p.Const(item.relation.oid, PgType(OID))
    if item.relation is not None and name == "xmin" and item.relation.kind == "system":
        return p.Const(_FROZEN, PgType(XID))
    return None


def _is_row(node: ast.Expr) -> bool:
    if isinstance(node, ast.SubLink):
        return node.kind == "scalar" and isinstance(node.query, ast.Select) and len(node.query.targets) > 1
    return isinstance(node, ast.Row)


def _is_null(expr: p.Expr) -> bool:
    return isinstance(expr, p.Const) and expr.value is None and expr.type.oid == UNKNOWN
