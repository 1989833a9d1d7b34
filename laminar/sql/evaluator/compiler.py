"""From typed expressions to blocks of steps, every distinct subexpression once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.scalars import Constant
from laminar.errors import INTERNAL_ERROR, PgError
from laminar.sql import plan
from laminar.sql.evaluator import conversions, lists
from laminar.sql.evaluator.environment import Env
from laminar.sql.evaluator.lazy import Branch, CaseStep, CoalesceStep, LazyStep, LogicStep, choose
from laminar.sql.evaluator.program import Block, Registers, Step, StepRun, as_array
from laminar.sql.kernels.registry import bind, find, returns_set
from laminar.sql.kernels.sortkeys import sort_key, sort_key_storage
from laminar.sql.kernels.vectors import make_scalar
from laminar.types import PgType

Key = tuple[Any, ...]
_FALSE = pa.scalar(False)


class Scope:
    """Builds one block. A scope within another sees what the enclosing ones computed before it."""

    def __init__(self, columns: Sequence[int], parent: Scope | None = None) -> None:
        self.block = Block()
        self.parent = parent
        self.columns = columns
        #: registers of the enclosing block behind block.inputs (nested scopes only)
        self.sources: list[int] = []
        self._numbers: dict[Key, int] = {}
        #: registers that hold one value for all rows
        self.scalars: set[int] = set()

    # --- registers ---------------------------------------------------------------

    def _register(self, key: Key, value: Any = None) -> int:
        register = len(self.block.template)
        self.block.template.append(value)
        self._numbers[key] = register
        return register

    def find(self, key: Key) -> int | None:
        """The register that holds this value, imported from an enclosing scope if it is there."""
        register = self._numbers.get(key)
        if register is not None or self.parent is None:
            return register
        outer = self.parent.find(key)
        if outer is None:
            return None
        register = self._register(key, self.parent.block.template[outer])
        self.block.inputs.append(register)
        self.sources.append(outer)
        if outer in self.parent.scalars:
            self.scalars.add(register)
        return register

    def step(
        self,
        key: Key,
        run: StepRun,
        args: Sequence[int],
        type_: pa.DataType,
        position: int = 0,
        lazy: LazyStep | None = None,
        scalar: bool = False,
    ) -> int:
        register = self._register(key)
        arrays = tuple(a for a in args if a not in self.scalars)
        safe = lazy.safe if lazy is not None else None
        self.block.steps.append(Step(run, register, type_, arrays, position, safe))
        if scalar:
            self.scalars.add(register)
        return register

    # --- expressions -------------------------------------------------------------

    def compile(self, expr: plan.Expr) -> int:
        """The register that will hold the expression's value."""
        key = identity(expr)
        found = self.find(key)
        if found is not None:
            return found
        method: Callable[[Any, Key], int] | None = getattr(self, f"_{type(expr).__name__.lower()}", None)
        if method is None:
            raise PgError(INTERNAL_ERROR, f"{type(expr).__name__} reached the evaluator")
        return method(expr, key)

    def _columnref(self, expr: plan.ColumnRef, key: Key) -> int:
        if self.parent is not None:
            self.parent.compile(expr)
            found = self.find(key)
            assert found is not None
            return found
        raise PgError(INTERNAL_ERROR, f"column {expr.id} is not an input of the expression")

    def _const(self, expr: plan.Const, key: Key) -> int:
        register = self._register(key, make_scalar(expr.value, expr.type))
        self.scalars.add(register)
        return register

    def _param(self, expr: plan.Param, key: Key) -> int:
        index = expr.index - 1
        null = pa.scalar(None, expr.type.storage)

        def run(env: Env, _n: int, _registers: Registers) -> Any:
            value = env.params[index]
            return null if value is None else value

        return self.step(key, run, (), expr.type.storage, scalar=True)

    def _call(self, expr: plan.Call, key: Key) -> int:
        types = tuple(a.type for a in expr.args)
        found, run = bind(expr.function, types, expr.type, expr.position)
        args = [self.compile(a) for a in expr.args]
        volatile = expr.function.volatility == "v"
        if volatile:
            key = (*key, len(self.block.template))
        storage = storage_of(expr)
        return self._apply(
            key, run, args, expr, storage, found.rows, found.native, strict=expr.function.strict
        )

    def _apply(
        self,
        key: Key,
        run: Callable[..., Any],
        args: list[int],
        expr: plan.Call | plan.Cast,
        type_: pa.DataType,
        rows: bool = False,
        native: bool = False,
        *,
        strict: bool,
    ) -> int:
        """A step calling a kernel; of scalars alone it is computed once, for one row."""
        volatile = isinstance(expr, plan.Call) and expr.function.volatility == "v"
        scalar = all(a in self.scalars for a in args) and not volatile
        if native and not scalar:
            args = [self._native(a) for a in args]
        template = self.block.template
        if strict and any(a in self.scalars and _is_null(template[a]) for a in args):
            register = self._register(key, pa.scalar(None, type_))
            self.scalars.add(register)
            return register
        unsure = strict and any(a in self.scalars and template[a] is None for a in args)
        call = caller(run, tuple(args), rows)
        if unsure:
            call = null_checked(call, tuple(a for a in args if a in self.scalars), type_)
        if scalar:
            call = single(run, tuple(args), rows)
            if unsure:
                call = null_checked(call, tuple(args), type_)
            folded = self._fold(call, args, expr)
            if folded is not None:
                register = self._register(key, folded)
                self.scalars.add(register)
                return register
        return self.step(key, call, args, type_, expr.position, scalar=scalar)

    def _fold(self, call: StepRun, args: list[int], expr: plan.Call | plan.Cast) -> pa.Scalar[Any] | None:
        """The value of an immutable call of constants, unless it fails (then it fails when reached)."""
        if isinstance(expr, plan.Call) and expr.function.volatility != "i":
            return None
        if isinstance(expr, plan.Cast) and expr.method == "io":
            return None
        if any(self.block.template[a] is None for a in args):
            return None
        try:
            value: pa.Scalar[Any] = call(Env(), 1, self.block.template)
        except PgError:
            return None
        return value

    def _native(self, register: int) -> int:
        """A constant in the form native kernels read fastest."""
        value = self.block.template[register]
        if register not in self.scalars or not isinstance(value, pa.Scalar):
            return register
        key = ("native", register)
        found = self._numbers.get(key)
        if found is None:
            found = self._register(key, Constant(value) if value.is_valid else value)
            self.scalars.add(found)
        return found

    def _cast(self, expr: plan.Cast, key: Key) -> int:
        arg = self.compile(expr.arg)
        return self._apply(key, conversions.build(expr), [arg], expr, expr.type.storage, strict=True)

    def _sortkey(self, expr: plan.SortKey, key: Key) -> int:
        arg, of = self.compile(expr.arg), expr.arg.type

        def run(_env: Env, n: int, registers: Registers) -> Any:
            return sort_key(as_array(registers[arg], n), of)

        return self.step(key, run, (arg,), sort_key_storage(of))

    def _test(self, expr: plan.Test, key: Key) -> int:
        arg, what, negated = self.compile(expr.arg), expr.what, expr.negated

        def run(_env: Env, n: int, registers: Registers) -> Any:
            value = as_array(registers[arg], n)
            if what == "null":
                return pc.is_valid(value) if negated else pc.is_null(value)
            if what == "false":
                value = pc.invert(value)
            result = pc.fill_null(value, _FALSE)
            return pc.invert(result) if negated else result

        return self.step(key, run, (arg,), pa.bool_())

    def _distinct(self, expr: plan.Distinct, key: Key) -> int:
        left, right = self.compile(expr.left), self.compile(expr.right)
        call = plan.Call(expr.equals, (expr.left, expr.right), expr.type)
        equal, negated = self.compile(call), expr.negated

        def run(_env: Env, n: int, registers: Registers) -> Any:
            no_left = pc.is_null(as_array(registers[left], n))
            no_right = pc.is_null(as_array(registers[right], n))
            same = pc.if_else(
                pc.or_(no_left, no_right), pc.and_(no_left, no_right), as_array(registers[equal], n)
            )
            return same if negated else pc.invert(same)

        return self.step(key, run, (left, right, equal), pa.bool_())

    def _arraycompare(self, expr: plan.ArrayCompare, key: Key) -> int:
        left, array = self.compile(expr.left), self.compile(expr.array)
        template = self.block.template
        known = template[array] if array in self.scalars else None
        run = lists.compare(expr, left, array, known)
        return self.step(key, run, (left, array), pa.bool_(), expr.position)

    def _makearray(self, expr: plan.MakeArray, key: Key) -> int:
        args = tuple(self.compile(i) for i in expr.items)
        type_ = expr.type.storage
        template = self.block.template
        if all(a in self.scalars and template[a] is not None for a in args):
            items = pa.array([template[a].as_py() for a in args], type_.value_type)
            made = pa.ListArray.from_arrays(pa.array([0, len(args)], pa.int32()), items)
            register = self._register(key, made.cast(type_)[0])
            self.scalars.add(register)
            return register

        def run(_env: Env, n: int, registers: Registers) -> Any:
            return lists.build([as_array(registers[a], n) for a in args], n, type_)

        return self.step(key, run, args, type_)

    # --- branches ----------------------------------------------------------------

    def _branch(self, expr: plan.Expr) -> tuple[Branch, Block]:
        for column in _columns(expr):
            self.compile(column)
        inner = Scope(self.columns, self)
        inner.block.outputs.append(inner.compile(expr))
        return Branch(inner.block, tuple(inner.sources)), inner.block

    def _lazy(self, key: Key, step: LazyStep, branches: Sequence[Branch], type_: pa.DataType) -> int:
        args = sorted({source for branch in branches for source in branch.sources})
        return self.step(key, step.run, args, type_, lazy=step)

    def _boolop(self, expr: plan.BoolOp, key: Key) -> int:
        if expr.op == "not":
            arg = self.compile(expr.args[0])
            return self.step(key, lambda _e, n, r: pc.invert(as_array(r[arg], n)), (arg,), pa.bool_())
        if all(total(a) for a in expr.args[1:]):
            args = [self.compile(a) for a in expr.args]
            combine = pc.get_function("and_kleene" if expr.op == "and" else "or_kleene")
            register = args[0]
            for i, arg in enumerate(args[1:]):
                part = key if i == len(args) - 2 else (*key, "part", i)
                register = self.step(part, _combiner(combine, register, arg), (register, arg), pa.bool_())
            return register
        branches = [self._branch(a)[0] for a in expr.args]
        exact = any(volatile(a) for a in expr.args)
        return self._lazy(key, LogicStep(exact, expr.op == "or", tuple(branches)), branches, pa.bool_())

    def _case(self, expr: plan.Case, key: Key) -> int:
        parts = [part for when in expr.whens for part in when] + [expr.default]
        type_ = expr.type.storage
        if len(expr.whens) == 1 and total(expr.whens[0][1]) and total(expr.default):
            test, yes, no = (self.compile(p) for p in parts)

            def run(_env: Env, n: int, registers: Registers) -> Any:
                return choose(as_array(registers[test], n), registers[yes], registers[no], n)

            return self.step(key, run, (test, yes, no), type_)
        branches = [self._branch(p)[0] for p in parts]
        whens = tuple(zip(branches[:-1:2], branches[1::2], strict=True))
        step = CaseStep(any(volatile(p) for p in parts), whens, branches[-1], type_)
        return self._lazy(key, step, branches, type_)

    def _coalesce(self, expr: plan.Coalesce, key: Key) -> int:
        type_ = expr.type.storage
        branches = [self._branch(a)[0] for a in expr.args]
        exact = any(volatile(a) for a in expr.args)
        return self._lazy(key, CoalesceStep(exact, tuple(branches), type_), branches, type_)


def compile_block(exprs: Sequence[plan.Expr], columns: Sequence[int], types: Sequence[PgType] = ()) -> Block:
    """A block whose inputs are these columns (by id) and whose outputs are the expressions."""
    scope = Scope(columns)
    for column in columns:
        register = scope._register(("column", column))
        scope.block.inputs.append(register)
    for expr in exprs:
        scope.block.outputs.append(scope.compile(expr))
    return scope.block


def storage_of(expr: plan.Expr) -> pa.DataType:
    """What evaluating the expression yields: its type's storage, for a set-returning call lists of that."""
    sets = isinstance(expr, plan.Call) and returns_set(expr.function)
    return pa.list_(expr.type.storage) if sets else expr.type.storage


def identity(expr: plan.Expr) -> Key:
    """Equal for expressions of equal value: the tree without its positions."""
    if isinstance(expr, plan.ColumnRef):
        return ("column", expr.id)
    if isinstance(expr, plan.Const):
        return ("const", type(expr.value).__name__, repr(expr.value), expr.type)
    if isinstance(expr, plan.Param):
        return ("param", expr.index, expr.type)
    if isinstance(expr, plan.Call):
        mark = id(expr) if expr.function.volatility == "v" else 0
        return ("call", expr.function.symbol, mark, expr.type, *map(identity, expr.args))
    if isinstance(expr, plan.Cast):
        inner = identity(expr.inner) if expr.inner is not None else None
        return ("cast", expr.method, expr.explicit, expr.type, inner, identity(expr.arg))
    if isinstance(expr, plan.Test):
        return ("test", expr.what, expr.negated, identity(expr.arg))
    if isinstance(expr, plan.BoolOp):
        return ("bool", expr.op, *map(identity, expr.args))
    if isinstance(expr, plan.Case):
        whens = tuple(identity(part) for when in expr.whens for part in when)
        return ("case", expr.type, *whens, identity(expr.default))
    if isinstance(expr, plan.Coalesce):
        return ("coalesce", expr.type, *map(identity, expr.args))
    if isinstance(expr, plan.MakeArray):
        return ("array", expr.type, *map(identity, expr.items))
    if isinstance(expr, plan.ArrayCompare):
        return ("any", expr.function.symbol, expr.any, identity(expr.left), identity(expr.array))
    if isinstance(expr, plan.Distinct):
        return ("distinct", expr.equals.symbol, expr.negated, identity(expr.left), identity(expr.right))
    if isinstance(expr, plan.SortKey):
        return ("sortkey", identity(expr.arg))
    return ("other", id(expr))


def _children(expr: plan.Expr) -> list[plan.Expr]:
    if isinstance(expr, (plan.Call, plan.BoolOp, plan.Coalesce)):
        return list(expr.args)
    if isinstance(expr, (plan.Cast, plan.Test, plan.SortKey)):
        return [expr.arg]
    if isinstance(expr, plan.Case):
        return [*(part for when in expr.whens for part in when), expr.default]
    if isinstance(expr, plan.MakeArray):
        return list(expr.items)
    if isinstance(expr, plan.ArrayCompare):
        return [expr.left, expr.array]
    if isinstance(expr, plan.Distinct):
        return [expr.left, expr.right]
    return []


def _columns(expr: plan.Expr) -> list[plan.ColumnRef]:
    if isinstance(expr, plan.ColumnRef):
        return [expr]
    return [column for child in _children(expr) for column in _columns(child)]


def total(expr: plan.Expr) -> bool:
    """Whether evaluating it for rows that do not need it can do no harm."""
    if isinstance(expr, plan.Call):
        found = find(expr.function.symbol)
        if found is None or not found.total or expr.function.volatility == "v":
            return False
    if isinstance(expr, plan.Cast) and expr.method not in ("relabel",):
        return False
    if isinstance(expr, (plan.ArrayCompare, plan.Distinct)):
        function = expr.function if isinstance(expr, plan.ArrayCompare) else expr.equals
        found = find(function.symbol)
        if found is None or not found.total:
            return False
    return all(total(child) for child in _children(expr))


def volatile(expr: plan.Expr) -> bool:
    if isinstance(expr, plan.Call) and expr.function.volatility == "v":
        return True
    return any(volatile(child) for child in _children(expr))


def _is_null(value: Any) -> bool:
    return isinstance(value, pa.Scalar) and not value.is_valid


def _combiner(function: Any, a: int, b: int) -> StepRun:
    def run(_env: Env, n: int, registers: Registers) -> Any:
        left = registers[a]
        if isinstance(left, pa.Scalar):
            left = as_array(left, n)
        return function.call([left, registers[b]])

    return run


def caller(run: Callable[..., Any], args: tuple[int, ...], rows: bool) -> StepRun:
    """The step that calls a kernel on these registers."""
    if rows:
        return lambda env, n, r: run(env, n, *[r[a] for a in args])
    if len(args) == 1:
        (a,) = args
        return lambda env, _n, r: run(env, r[a])
    if len(args) == 2:
        a, b = args
        return lambda env, _n, r: run(env, r[a], r[b])
    return lambda env, _n, r: run(env, *[r[i] for i in args])


def null_checked(call: StepRun, scalars: tuple[int, ...], type_: pa.DataType) -> StepRun:
    """For strict functions of values that are known when it runs: null in, null out."""

    def run(env: Env, n: int, registers: Registers) -> Any:
        if any(_is_null(registers[a]) for a in scalars):
            return pa.scalar(None, type_)
        return call(env, n, registers)

    return run


def single(run: Callable[..., Any], args: tuple[int, ...], rows: bool) -> StepRun:
    """A step whose arguments are all scalars: the kernel sees columns of one row."""

    def call(env: Env, _n: int, registers: Registers) -> Any:
        values = [as_array(registers[a], 1) for a in args]
        result = run(env, 1, *values) if rows else run(env, *values)
        return result if isinstance(result, pa.Scalar) else result[0]

    return call
