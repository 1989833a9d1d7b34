"""Overload resolution: which function or operator a name with argument types means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from laminar.errors import AMBIGUOUS_FUNCTION, UNDEFINED_FUNCTION, PgError
from laminar.sql import facts
from laminar.sql.plan import Function
from laminar.sql.resolve import rules
from laminar.sql.resolve.decimals import result as decimal_result
from laminar.sql.resolve.names import oid_name
from laminar.types import ARRAY_OF, NUMERIC, RECORD, UNKNOWN, PgType

_ADD_CASTS = "You might need to add explicit type casts."
_NO_FUNCTION = f"No function matches the given name and argument types. {_ADD_CASTS}"
_MANY_FUNCTIONS = f"Could not choose a best candidate function. {_ADD_CASTS}"
_NO_OPERATOR = f"No operator matches the given name and argument types. {_ADD_CASTS}"
_NO_PREFIX = (
    "No operator matches the given name and argument type. You might need to add an explicit type cast."
)
_MANY_OPERATORS = f"Could not choose a best candidate operator. {_ADD_CASTS}"


@dataclass(frozen=True, slots=True)
class ResolvedCall:
    """What a call means.

    Args:
        arg_types: the type each given argument must be coerced to, in the order of the
            parameters; an ``any`` parameter keeps the argument's own type.
        kind: function, aggregate, window function, or ``c``: a cast written as a call.
        pack_from: arguments from this index on become one array (VARIADIC), None if not.
        order: parameter i takes given argument ``order[i]`` (named notation), -1 its default.
        defaults: of the parameters that got no argument, as :class:`facts.ProcFact` has them.
    """

    function: Function
    arg_types: list[PgType]
    result_type: PgType
    kind: Literal["f", "a", "w", "c"]
    retset: bool
    pack_from: int | None = None
    order: tuple[int, ...] = ()
    defaults: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    fact: facts.ProcFact
    args: tuple[int, ...]
    order: tuple[int, ...]
    expanded: bool


def resolve_function(
    name: str,
    schema: str | None,
    arg_types: Sequence[PgType],
    position: int | None = None,
    *,
    arg_names: Sequence[str | None] = (),
    variadic: bool = False,
    own: Sequence[facts.ProcFact] = (),
) -> ResolvedCall:
    """The function that ``name(arg types)`` calls.

    Args:
        own: users' functions of that name and schema, in the order of the search path.
        arg_names: per argument its name in ``f(name => value)`` notation, None if positional.
        variadic: the last argument was written ``VARIADIC array``.

    Raises:
        PgError: 42883 none fits, 42725 more than one does, 42804 polymorphic types unsettled.
    """
    oids = [t.oid for t in arg_types]
    names = list(arg_names) or [None] * len(oids)
    found = facts.functions_named(name, schema or "pg_catalog")
    found = (*found, *own)
    candidates = _candidates(found, len(oids), names, variadic)
    chosen = next((c for c in candidates if _given(c, oids) == oids), None)
    if chosen is None:
        cast = _as_cast(name, schema, oids, names)
        if cast is not None:
            return cast
        fitting = [c for c in candidates if rules.can_coerce(oids, _given(c, oids), "implicit")]
        chosen = fitting[0] if len(fitting) == 1 else None
        if len(fitting) > 1:
            best = rules.select_candidate(oids, [_given(c, oids) for c in fitting])
            if best is None:
                message = f"function {_signature(name, schema, oids, names)} is not unique"
                raise PgError(AMBIGUOUS_FUNCTION, message, hint=_MANY_FUNCTIONS, position=position)
            chosen = fitting[best]
    if chosen is None:
        message = f"function {_signature(name, schema, oids, names)} does not exist"
        raise PgError(UNDEFINED_FUNCTION, message, hint=_NO_FUNCTION, position=position)
    return _settle(chosen, arg_types, position)


def _given(candidate: _Candidate, oids: Sequence[int]) -> list[int]:
    """Parameter types in the order of the given arguments."""
    given = [0] * len(oids)
    for parameter, argument in enumerate(candidate.order):
        if argument >= 0:
            given[argument] = candidate.args[parameter]
    return given


def _candidates(
    found: Sequence[facts.ProcFact], count: int, names: Sequence[str | None], variadic: bool
) -> list[_Candidate]:
    """FuncnameGetCandidates: overloads that take this many arguments, VARIADIC ones expanded.

    Of two with the same effective signature the one that needs no expansion wins.
    """
    kept: dict[tuple[int, ...], _Candidate] = {}
    for fact in found:
        for candidate in _shapes(fact, count, names, variadic):
            given = tuple(_given(candidate, [0] * count))
            rival = kept.get(given)
            if rival is None or (rival.expanded and not candidate.expanded):
                kept[given] = candidate
    return list(kept.values())


def _shapes(
    fact: facts.ProcFact, count: int, names: Sequence[str | None], variadic: bool
) -> list[_Candidate]:
    positional = names.index(next(n for n in names if n)) if any(names) else count
    parameters = len(fact.args)
    if positional < count:
        order = _named_order(fact, positional, names)
        return [_Candidate(fact, fact.args, order, False)] if order is not None else []
    if fact.variadic and not variadic and count >= parameters:
        element = fact.variadic
        args = fact.args[:-1] + (element,) * (count - parameters + 1)
        return [_Candidate(fact, args, tuple(range(count)), True)]
    if variadic and not fact.variadic:
        return []
    if count <= parameters <= count + len(fact.defaults):
        order = tuple(range(count)) + (-1,) * (parameters - count)
        return [_Candidate(fact, fact.args, order, False)]
    return []


def _named_order(
    fact: facts.ProcFact, positional: int, names: Sequence[str | None]
) -> tuple[int, ...] | None:
    """MatchNamedCall: which argument each parameter takes, None if the names don't fit."""
    parameters = fact.arg_names
    if len(parameters) != len(fact.args) or len(names) > len(parameters):
        return None
    order = list(range(positional)) + [-1] * (len(parameters) - positional)
    for argument in range(positional, len(names)):
        name = names[argument]
        if name is None or name not in parameters or order[parameters.index(name)] != -1:
            return None
        order[parameters.index(name)] = argument
    first_default = len(parameters) - len(fact.defaults)
    if any(o == -1 for o in order[:first_default]):
        return None
    return tuple(order)


def _as_cast(
    name: str, schema: str | None, oids: Sequence[int], names: Sequence[str | None]
) -> ResolvedCall | None:
    """``float8(x)``: a type's name used as a function is a cast, when that needs no real function."""
    if len(oids) != 1 or names[0] or schema not in (None, "pg_catalog"):
        return None
    target = facts.types_by_name().get(name)
    if target is None or target.kind == "p":
        return None
    way = rules.pathway(oids[0], target.oid, "explicit") if oids[0] != UNKNOWN else ("relabel", 0)
    if way is None or way[0] not in ("relabel", "io"):
        return None
    type_ = PgType(target.oid)
    function = Function(0, name, "", True, "i")
    return ResolvedCall(function, [type_], type_, "c", False, order=(0,))


def _signature(name: str, schema: str | None, oids: Sequence[int], names: Sequence[str | None]) -> str:
    args = [f"{n} => {oid_name(t)}" if n else oid_name(t) for n, t in zip(names, oids, strict=True)]
    return f"{schema + '.' if schema else ''}{name}({', '.join(args)})"


def as_function(fact: facts.ProcFact) -> Function:
    return Function(fact.oid, fact.name, fact.symbol, fact.strict, fact.volatility, fact.routine)


def _settle(chosen: _Candidate, arg_types: Sequence[PgType], position: int | None) -> ResolvedCall:
    fact = chosen.fact
    ordered = [arg_types[i].oid if i >= 0 else chosen.args[p] for p, i in enumerate(chosen.order)]
    declared, result = rules.settle_generic(ordered, list(chosen.args), fact.result, position)
    targets: list[PgType] = []
    for parameter, argument in enumerate(chosen.order):
        oid = declared[parameter]
        own = arg_types[argument] if argument >= 0 else None
        if own is not None and own.oid == oid:
            targets.append(own)
        elif own is not None and oid == rules.ANY:
            # pg_typeof is to see what its argument is
            keep = own.oid != UNKNOWN or fact.symbol == "pg_typeof"
            targets.append(own if keep else PgType(25))
        else:
            targets.append(PgType(oid))
    missing = sum(1 for o in chosen.order if o < 0)
    defaults = tuple(
        fact.defaults[p - len(fact.args)] for p, o in enumerate(chosen.order) if o < 0
    ) if missing else ()  # fmt: skip
    pack = chosen.expanded and fact.variadic != rules.ANY
    decimal = decimal_result(fact.symbol, targets) if result == NUMERIC else None
    kind: Literal["f", "a", "w"] = fact.kind if fact.kind != "p" else "f"
    return ResolvedCall(
        as_function(fact),
        targets,
        PgType(result, -1, decimal, _row_shape(result, arg_types)),
        kind,
        fact.retset,
        len(fact.args) - 1 if pack else None,
        chosen.order,
        defaults,
    )


def _row_shape(result: int, arg_types: Sequence[PgType]) -> tuple[tuple[str, PgType], ...] | None:
    """A result that is a row has the fields of the arguments' rows."""
    if result not in (RECORD, ARRAY_OF[RECORD]):
        return None
    return next((t.fields for t in arg_types if t.fields is not None), None)


@dataclass(frozen=True, slots=True)
class ResolvedOperator:
    """An operator's function with the types its operands must be coerced to (``left`` None if prefix)."""

    operator: facts.OperatorFact
    function: Function
    left: PgType | None
    right: PgType
    result_type: PgType


def resolve_operator(
    symbol: str, left: PgType | None, right: PgType, position: int | None = None
) -> ResolvedOperator:
    """The operator that ``left symbol right`` (or ``symbol right``) means.

    Raises:
        PgError: 42883 none fits, 42725 more than one does.
    """
    found = [o for o in facts.operators_named(symbol) if bool(o.left) == (left is not None)]
    actual = [right.oid] if left is None else [left.oid, right.oid]
    assumed = list(actual)
    if left is not None:
        # an unknown literal is first tried as the other operand's type
        if assumed[0] == UNKNOWN:
            assumed[0] = assumed[1]
        elif assumed[1] == UNKNOWN:
            assumed[1] = assumed[0]
    signatures = [[o.right] if left is None else [o.left, o.right] for o in found]
    chosen = next((o for o, s in zip(found, signatures, strict=True) if s == assumed), None)
    if chosen is None:
        fitting = [i for i, s in enumerate(signatures) if rules.can_coerce(actual, s, "implicit")]
        best = 0 if len(fitting) == 1 else None
        if len(fitting) > 1:
            best = rules.select_candidate(actual, [signatures[i] for i in fitting])
            if best is None:
                message = f"operator is not unique: {_operator_signature(symbol, actual)}"
                raise PgError(AMBIGUOUS_FUNCTION, message, hint=_MANY_OPERATORS, position=position)
        if best is None:
            message = f"operator does not exist: {_operator_signature(symbol, actual)}"
            hint = _NO_PREFIX if left is None else _NO_OPERATOR
            raise PgError(UNDEFINED_FUNCTION, message, hint=hint, position=position)
        chosen = found[fitting[best]]
    declared = [chosen.right] if left is None else [chosen.left, chosen.right]
    targets, result = rules.settle_generic(actual, declared, chosen.result, position)
    own = [right] if left is None else [left, right]
    types = [o if o.oid == t else PgType(t) for o, t in zip(own, targets, strict=True)]
    function = as_function(facts.function(chosen.function))
    decimal = decimal_result(function.symbol, types) if result == NUMERIC else None
    left_type = None if left is None else types[0]
    shape = _row_shape(result, own)
    return ResolvedOperator(chosen, function, left_type, types[-1], PgType(result, -1, decimal, shape))


def _operator_signature(symbol: str, oids: Sequence[int]) -> str:
    return " ".join([*(oid_name(t) for t in oids[:-1]), symbol, oid_name(oids[-1])])
