"""Paths over documents, in lax and strict mode; items come one by one, so that a search ends at the first.

Values are as :func:`laminar.sql.kernels.jsontext.load` makes them. Where PostgreSQL can suppress an error
(``silent``, predicates), it is a :class:`PathError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from laminar.errors import PgError, not_supported
from laminar.sql.jsonpath.numbers import arithmetic, plain
from laminar.sql.jsonpath.parser import PREDICATES, Node
from laminar.sql.kernels.are import compile_are
from laminar.sql.kernels.jsontext import Number


class PathError(PgError):
    """An error that silent mode and predicates suppress."""


_MEMBER, _OBJECT, _ARRAY, _SUBSCRIPT = "2203A", "2203C", "22039", "22033"
_COMPARE: Final[dict[str, Callable[[int], bool]]] = {
    "==": lambda c: c == 0,
    "!=": lambda c: c != 0,
    "<": lambda c: c < 0,
    "<=": lambda c: c <= 0,
    ">": lambda c: c > 0,
    ">=": lambda c: c >= 0,
}


def kind_of(value: Any) -> str:
    """As ``.type()`` names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, Number):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


class _Run:
    """One evaluation: the document, the variables, the mode."""

    def __init__(self, root: Any, variables: dict[str, Any], strict: bool) -> None:
        self.root = root
        self.variables = variables
        self.strict = strict
        self.forgiving = not strict
        self.current = root
        self.size = 0

    def fault(self, state: str, message: str) -> None:
        """A structural error: none in lax mode."""
        if not self.forgiving:
            raise PathError(state, message)

    # --- sequences

    def items(self, node: Node) -> Iterator[Any]:
        """The items that a path yields."""
        if node.kind in PREDICATES:
            yield self.truth(node)
            return
        method: Callable[[Node], Iterator[Any]] = getattr(self, f"_{node.kind}")
        yield from method(node)

    def unwrapped(self, node: Node) -> Iterator[Any]:
        """Operands: in lax mode the elements of arrays."""
        for item in self.items(node):
            if not self.strict and isinstance(item, list):
                yield from item
            else:
                yield item

    def targets(self, node: Node) -> Iterator[Any]:
        """What an accessor applies to: in lax mode the elements of arrays, one level."""
        yield from self.unwrapped(node.args[0])

    def _root(self, _node: Node) -> Iterator[Any]:
        yield self.root

    def _current(self, _node: Node) -> Iterator[Any]:
        yield self.current

    def _last(self, _node: Node) -> Iterator[Any]:
        yield Number(self.size - 1)

    def _value(self, node: Node) -> Iterator[Any]:
        yield node.value

    def _variable(self, node: Node) -> Iterator[Any]:
        if node.value not in self.variables:
            raise PgError("42704", f'could not find jsonpath variable "{node.value}"')
        yield self.variables[node.value]

    # --- accessors

    def _key(self, node: Node) -> Iterator[Any]:
        for target in self.targets(node):
            if not isinstance(target, dict):
                self.fault(_MEMBER, "jsonpath member accessor can only be applied to an object")
            elif node.value in target:
                yield target[node.value]
            else:
                self.fault(_MEMBER, f'JSON object does not contain key "{node.value}"')

    def _keys(self, node: Node) -> Iterator[Any]:
        for target in self.targets(node):
            if isinstance(target, dict):
                yield from target.values()
            else:
                self.fault(_OBJECT, "jsonpath wildcard member accessor can only be applied to an object")

    def _items(self, node: Node) -> Iterator[Any]:
        for target in self.items(node.args[0]):
            if isinstance(target, list):
                yield from target
            elif not self.strict:
                yield target
            else:
                self.fault(_ARRAY, "jsonpath wildcard array accessor can only be applied to an array")

    def _any(self, node: Node) -> Iterator[Any]:
        low, high = node.value
        for target in self.items(node.args[0]):
            before, self.forgiving = self.forgiving, True
            yield from self._levels(target, 0, low, high)
            self.forgiving = before

    def _levels(self, value: Any, level: int, low: int, high: int | None) -> Iterator[Any]:
        parts = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        leaf = not isinstance(value, (list, dict))
        if (level >= low >= 0) or (low < 0 < level and leaf):
            yield value
        if high is None or level < high:
            for part in parts:
                yield from self._levels(part, level + 1, low, high)

    def _subscripts(self, node: Node) -> Iterator[Any]:
        for target in self.items(node.args[0]):
            if not isinstance(target, list) and self.strict:
                self.fault(_ARRAY, "jsonpath array accessor can only be applied to an array")
                continue
            array = target if isinstance(target, list) else [target]
            for first, last in node.args[1:]:
                outer, self.size = self.size, len(array)
                low = self._subscript(first)
                high = low if last is None else self._subscript(last)
                self.size = outer
                if low < 0 or low > high or high >= len(array):
                    self.fault(_SUBSCRIPT, "jsonpath array subscript is out of bounds")
                yield from array[max(low, 0) : max(high + 1, 0)]

    def _subscript(self, node: Node) -> int:
        found = list(self.items(node))
        if len(found) != 1 or not isinstance(found[0], Number):
            raise PathError(_SUBSCRIPT, "jsonpath array subscript is not a single numeric value")
        index = int(Decimal(found[0]))
        if not -(1 << 31) <= index < 1 << 31:
            raise PathError(_SUBSCRIPT, "jsonpath array subscript is out of integer range")
        return index

    def _filter(self, node: Node) -> Iterator[Any]:
        for target in self.targets(node):
            outer, self.current = self.current, target
            passed = self.truth(node.args[1])
            self.current = outer
            if passed is True:
                yield target

    # --- methods

    def _method(self, node: Node) -> Iterator[Any]:
        name = node.value[0]
        if name == "type":
            yield from map(kind_of, self.items(node.args[0]))
        elif name == "size":
            yield from self._sizes(node)
        elif name == "keyvalue":
            yield from self._pairs(node)
        elif name == "datetime":
            raise not_supported("jsonpath item method .datetime() is not supported")
        else:
            for target in self.targets(node):
                yield _double(target) if name == "double" else _rounded(name, target)

    def _sizes(self, node: Node) -> Iterator[Any]:
        for target in self.items(node.args[0]):
            if not isinstance(target, list) and self.strict:
                self.fault(_ARRAY, "jsonpath item method .size() can only be applied to an array")
            yield Number(len(target) if isinstance(target, list) else 1)

    def _pairs(self, node: Node) -> Iterator[Any]:
        from laminar.sql.kernels.jsontext import key_order

        for target in self.targets(node):
            if not isinstance(target, dict):
                raise PathError(_OBJECT, "jsonpath item method .keyvalue() can only be applied to an object")
            if target is not self.root:
                raise not_supported("jsonpath item method .keyvalue() of a nested object is not supported")
            for key in sorted(target, key=key_order):
                yield {"id": Number(0), "key": key, "value": target[key]}

    # --- arithmetic

    def _arithmetic(self, node: Node) -> Iterator[Any]:
        left, right = (list(self.unwrapped(arg)) for arg in node.args)
        for side, found in (("left", left), ("right", right)):
            if len(found) != 1 or not isinstance(found[0], Number):
                message = f"{side} operand of jsonpath operator {node.value} is not a single numeric value"
                raise PathError("22038", message)
        try:
            yield arithmetic(node.value, left[0], right[0])
        except PgError as error:
            raise PathError(error.sqlstate, error.message) from None

    def _sign(self, node: Node) -> Iterator[Any]:
        for item in self.unwrapped(node.args[0]):
            if not isinstance(item, Number):
                message = f"operand of unary jsonpath operator {node.value} is not a numeric value"
                raise PathError("2203B", message)
            yield item if node.value == "+" else plain(-Decimal(item))

    # --- predicates: true, false, None for unknown

    def truth(self, node: Node) -> bool | None:
        method: Callable[[Node], bool | None] = getattr(self, f"_{node.kind}_truth")
        return method(node)

    def _and_truth(self, node: Node) -> bool | None:
        left = self.truth(node.args[0])
        if left is False:
            return False
        right = self.truth(node.args[1])
        return left if right is True else right

    def _or_truth(self, node: Node) -> bool | None:
        left = self.truth(node.args[0])
        if left is True:
            return True
        right = self.truth(node.args[1])
        return left if right is False else right

    def _not_truth(self, node: Node) -> bool | None:
        inner = self.truth(node.args[0])
        return None if inner is None else not inner

    def _unknown_truth(self, node: Node) -> bool | None:
        return self.truth(node.args[0]) is None

    def _exists_truth(self, node: Node) -> bool | None:
        try:
            if self.strict:
                return bool(list(self.items(node.args[0])))
            return any(True for _ in self.items(node.args[0]))
        except PathError:
            return None

    def _compare_truth(self, node: Node) -> bool | None:
        test = _COMPARE[node.value]
        return self._pairwise(node, True, lambda a, b: _compared(test, node.value, a, b))

    def _starts_truth(self, node: Node) -> bool | None:
        return self._pairwise(node, False, _starts)

    def _regex_truth(self, node: Node) -> bool | None:
        pattern, flags = node.value
        test = _regex(pattern, flags)
        one = Node("regex", (node.args[0], Node("value")))
        return self._pairwise(one, False, lambda text, _: test(text))

    def _pairwise(
        self, node: Node, unwrap_right: bool, test: Callable[[Any, Any], bool | None]
    ) -> bool | None:
        """Whether any pair of items passes; in strict mode all are looked at."""
        unknown = found = False
        try:
            lefts = list(self.unwrapped(node.args[0]))
            right = node.args[1]
            rights = list(self.unwrapped(right) if unwrap_right else self.items(right))
        except PathError:
            return None
        for a in lefts:
            for b in rights:
                passed = test(a, b)
                if passed is None and self.strict:
                    return None
                if passed and not self.strict:
                    return True
                unknown, found = unknown or passed is None, found or passed is True
        return True if found else None if unknown else False


def _compared(test: Callable[[int], bool], operator: str, a: Any, b: Any) -> bool | None:
    kind = kind_of(a)
    if kind != kind_of(b):
        return operator == "!=" if a is None or b is None else None
    if kind in ("array", "object"):
        return None
    if kind == "null":
        return test(0)
    x, y = (Decimal(a), Decimal(b)) if kind == "number" else (a, b)
    return test((x > y) - (x < y))


def _starts(a: Any, b: Any) -> bool | None:
    if kind_of(a) != "string" or kind_of(b) != "string":
        return None
    return str(a).startswith(b)


def _regex(pattern: str, flags: str) -> Callable[[Any], bool | None]:
    compiled = compile_are(f"***={pattern}" if "q" in flags else pattern, "i" in flags, "m" in flags)

    def test(text: Any) -> bool | None:
        if kind_of(text) != "string":
            return None
        if "\n" in text and not {"s", "m"} & set(flags) and "q" not in flags:
            raise not_supported("like_regex without the flag s or m is not supported on several lines")
        return compiled.matches(str(text))

    return test


def _double(value: Any) -> Number:
    if isinstance(value, Number):
        if math.isinf(float(value)):
            message = "numeric argument of jsonpath item method .double() is out of range for type "
            raise PathError("22036", message + "double precision")
        return value
    if kind_of(value) != "string":
        message = "jsonpath item method .double() can only be applied to a string or numeric value"
        raise PathError("22036", message)
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not math.isfinite(number):
        message = "string argument of jsonpath item method .double() is not a valid representation "
        raise PathError("22036", message + "of a double precision number")
    return plain(Decimal(f"{number:.15g}"))


def _rounded(name: str, value: Any) -> Number:
    if not isinstance(value, Number):
        message = f"jsonpath item method .{name}() can only be applied to a numeric value"
        raise PathError("22036", message)
    if name == "abs":
        return Number(value.removeprefix("-"))
    number = Decimal(value)
    whole = number.to_integral_value("ROUND_FLOOR" if name == "floor" else "ROUND_CEILING")
    return plain(whole)


# --- functions ------------------------------------------------------------------------------


def query(tree: tuple[Node, bool], document: Any, variables: Any, silent: bool) -> list[Any] | None:
    """All items; None for an error in silent mode."""
    try:
        return list(_start(tree, document, variables).items(tree[0]))
    except PathError:
        if silent:
            return None
        raise


def exists(tree: tuple[Node, bool], document: Any, variables: Any, silent: bool) -> bool | None:
    """Whether there is an item; None for an error in silent mode."""
    try:
        found = _start(tree, document, variables).items(tree[0])
        return bool(list(found)) if tree[1] else any(True for _ in found)
    except PathError:
        if silent:
            return None
        raise


def match(tree: tuple[Node, bool], document: Any, variables: Any, silent: bool) -> bool | None:
    """The path's one boolean; None for unknown, and for an error in silent mode."""
    found = query(tree, document, variables, silent)
    if found is not None and len(found) == 1 and (found[0] is None or isinstance(found[0], bool)):
        return found[0]
    if silent:
        return None
    raise PgError("22038", "single boolean result is expected")


def _start(tree: tuple[Node, bool], document: Any, variables: Any) -> _Run:
    if not isinstance(variables, dict):
        detail = 'Jsonpath parameters should be encoded as key-value pairs of "vars" object.'
        raise PgError("22023", '"vars" argument is not an object', detail=detail)
    return _Run(document, variables, tree[1])
