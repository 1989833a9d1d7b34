"""The path language of PostgreSQL 15 (manual, 9.16.2) to a tree of :class:`Node`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from laminar.errors import SYNTAX_ERROR, PgError, not_supported
from laminar.sql.kernels.jsontext import Number


@dataclass(frozen=True, slots=True)
class Node:
    """One step or operation.

    Args:
        kind: ``root``, ``current``, ``last``, ``value``, ``variable``; accessors ``key``, ``keys``,
            ``items``, ``any``, ``subscripts``, ``method``, ``filter`` on their first argument;
            ``arithmetic``, ``sign``, ``compare``, ``and``, ``or``, ``not``, ``unknown``, ``exists``,
            ``starts``, ``regex``.
        args: operands.
        value: name, operator or literal.
    """

    kind: str
    args: tuple[Any, ...] = ()
    value: Any = None


#: nodes whose value is true, false or unknown
PREDICATES: Final = frozenset({"compare", "and", "or", "not", "unknown", "exists", "starts", "regex"})
METHODS: Final = frozenset({"type", "size", "double", "ceiling", "floor", "abs", "keyvalue", "datetime"})
_FOLDED: Final = METHODS | {
    "is",
    "to",
    "lax",
    "flag",
    "last",
    "with",
    "exists",
    "starts",
    "strict",
    "unknown",
}
_KEYWORDS: Final = _FOLDED | {"like_regex"}
_TOKEN: Final = re.compile(
    r"""[ \t\n\r\f]+ | /\*(?s:.*?)\*/
    | (?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<variable>\$(?:"(?:[^"\\]|\\.)*"|[^\W\d]\w*))
    | (?P<word>[^\W\d](?:\w)*)
    | (?P<symbol>&&|\|\||<=|>=|==|!=|<>|\*\*|[$@?.,()\[\]{}+\-*/%<>!])""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def parse(text: str) -> tuple[Node, bool]:
    """The tree and whether the path is strict. Raises 42601, 22P02."""
    return _Parser(text).path()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None and text[at] == '"':
                message = "unexpected end of quoted string at end of jsonpath input"
                raise PgError(SYNTAX_ERROR, message)
            if found is None:
                raise _wrong(text[at])
            if found.lastgroup is not None:
                self.tokens.append((found.lastgroup, found[0]))
            at = found.end()
        self.at = 0
        self.filters = self.subscripts = 0
        if not self.tokens:
            raise PgError("22P02", f'invalid input syntax for type jsonpath: "{text}"')

    # --- tokens

    def peek(self, ahead: int = 0) -> str:
        """The next token as text, words folded; '' at the end."""
        if self.at + ahead >= len(self.tokens):
            return ""
        kind, text = self.tokens[self.at + ahead]
        return text.lower() if kind == "word" and text.lower() in _KEYWORDS else text

    def kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def accept(self, *texts: str) -> bool:
        """Whether the next tokens are these symbols or words; they are consumed."""
        for ahead, text in enumerate(texts):
            found = self.tokens[self.at + ahead][0] if self.at + ahead < len(self.tokens) else ""
            if self.peek(ahead) != text or found not in ("symbol", "word"):
                return False
        self.at += len(texts)
        return True

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.unexpected()

    def unexpected(self) -> PgError:
        if self.at >= len(self.tokens):
            return PgError(SYNTAX_ERROR, "syntax error at end of jsonpath input")
        return _wrong(self.tokens[self.at][1])

    def string(self) -> str:
        if self.kind() != "string":
            raise self.unexpected()
        self.at += 1
        return _unquoted(self.tokens[self.at - 1][1])

    # --- grammar

    def path(self) -> tuple[Node, bool]:
        strict = self.accept("strict")
        if not strict:
            self.accept("lax")
        tree = self.disjunction()
        if self.at < len(self.tokens):
            raise self.unexpected()
        return tree, strict

    def disjunction(self) -> Node:
        left = self.conjunction()
        while self.accept("||"):
            left = Node("or", (self.truth(left), self.truth(self.conjunction())))
        return left

    def conjunction(self) -> Node:
        left = self.negation()
        while self.accept("&&"):
            left = Node("and", (self.truth(left), self.truth(self.negation())))
        return left

    def truth(self, node: Node) -> Node:
        if node.kind not in PREDICATES:
            raise self.unexpected()
        return node

    def negation(self) -> Node:
        if self.accept("!"):
            if self.peek() not in ("(", "exists"):
                raise self.unexpected()
            return Node("not", (self.truth(self.comparison()),))
        return self.comparison()

    def comparison(self) -> Node:
        left = self.sum()
        if self.kind() == "symbol" and self.peek() in ("==", "!=", "<>", "<", "<=", ">", ">="):
            operator = self.peek()
            self.at += 1
            return Node("compare", (left, self.sum()), "!=" if operator == "<>" else operator)
        if self.accept("starts", "with"):
            initial = self.primary()
            if initial.kind != "variable" and not (initial.kind == "value" and _is_text(initial.value)):
                raise self.unexpected()
            return Node("starts", (left, initial))
        if self.accept("like_regex"):
            pattern = self.string()
            return Node("regex", (left,), (pattern, _flags(self.string()) if self.accept("flag") else ""))
        return left

    def sum(self) -> Node:
        left = self.product()
        while self.kind() == "symbol" and self.peek() in ("+", "-"):
            operator = self.peek()
            self.at += 1
            left = Node("arithmetic", (left, self.product()), operator)
        return left

    def product(self) -> Node:
        left = self.signed()
        while self.kind() == "symbol" and self.peek() in ("*", "/", "%"):
            operator = self.peek()
            self.at += 1
            left = Node("arithmetic", (left, self.signed()), operator)
        return left

    def signed(self) -> Node:
        for sign in ("+", "-"):
            if self.accept(sign):
                return Node("sign", (self.signed(),), sign)
        return self.accessors(self.primary())

    def primary(self) -> Node:
        kind, text = self.kind(), self.peek()
        if kind in ("number", "string", "variable"):
            self.at += 1
            return _leaf(kind, text)
        if self.accept("("):
            inner = self.disjunction()
            self.expect(")")
            if self.accept("is", "unknown"):
                return Node("unknown", (self.truth(inner),))
            return inner
        if self.accept("exists"):
            self.expect("(")
            inner = self.sum()
            self.expect(")")
            return Node("exists", (inner,))
        if kind == "word" and text in ("true", "false", "null"):
            self.at += 1
            return Node("value", (), {"true": True, "false": False, "null": None}[text])
        if self.accept("$"):
            return Node("root")
        if self.accept("@"):
            if not self.filters:
                raise PgError(SYNTAX_ERROR, "@ is not allowed in root expressions")
            return Node("current")
        if self.accept("last"):
            if not self.subscripts:
                raise PgError(SYNTAX_ERROR, "LAST is allowed only in array subscripts")
            return Node("last")
        raise self.unexpected()

    def accessors(self, node: Node) -> Node:
        while True:
            if self.accept("."):
                node = self.member(node)
            elif self.accept("["):
                node = self.brackets(node)
            elif self.accept("?"):
                self.expect("(")
                self.filters += 1
                condition = self.truth(self.disjunction())
                self.filters -= 1
                self.expect(")")
                node = Node("filter", (node, condition))
            else:
                return node

    def member(self, node: Node) -> Node:
        if self.accept("*"):
            return Node("keys", (node,))
        if self.accept("**"):
            low: int | None = 0
            high: int | None = None
            if self.accept("{"):
                low = self.level()
                high = self.level() if self.accept("to") else low
                self.expect("}")
            # last alone means the leaves
            low = -1 if low is None else low
            return Node("any", (node,), (low, high))
        kind, text = self.kind(), self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        if kind == "string":
            return Node("key", (node,), self.string())
        if kind != "word":
            raise self.unexpected()
        self.at += 1
        if text.lower() in METHODS and self.accept("("):
            argument = self.string() if text.lower() == "datetime" and self.kind() == "string" else None
            self.expect(")")
            return Node("method", (node,), (text.lower(), argument))
        return Node("key", (node,), text)

    def level(self) -> int | None:
        """A level of ``.**{…}``; None for last."""
        if self.accept("last"):
            return None
        if self.kind() != "number" or not self.peek().isdigit():
            raise self.unexpected()
        self.at += 1
        return int(self.tokens[self.at - 1][1])

    def brackets(self, node: Node) -> Node:
        if self.accept("*"):
            self.expect("]")
            return Node("items", (node,))
        self.subscripts += 1
        ranges: list[tuple[Node, Node | None]] = []
        while True:
            first = self.sum()
            ranges.append((first, self.sum() if self.accept("to") else None))
            if not self.accept(","):
                break
        self.subscripts -= 1
        self.expect("]")
        return Node("subscripts", (node, *ranges))


def _wrong(text: str) -> PgError:
    return PgError(SYNTAX_ERROR, f'syntax error at or near "{text}" of jsonpath input')


def _flags(flags: str) -> str:
    """The flags of like_regex. Raises 42601, 0A000."""
    unknown = [flag for flag in flags if flag not in "ismxq"]
    if unknown:
        detail = f'Unrecognized flag character "{unknown[0]}" in LIKE_REGEX predicate.'
        raise PgError(SYNTAX_ERROR, "invalid input syntax for type jsonpath", detail=detail)
    if "x" in flags and "q" not in flags:
        raise not_supported('XQuery "x" flag (expanded regular expressions) is not implemented')
    return flags


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def _unquoted(text: str) -> str:
    try:
        found: str = json.loads(text, strict=False)
    except ValueError:
        # escapes that JSON does not have: \' \v \xHH and any other character for itself
        plain = re.sub(r"\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), text[1:-1])
        found = re.sub(r"\\(.)", lambda m: {"v": "\v", "n": "\n", "t": "\t"}.get(m[1], m[1]), plain)
    return found


def _leaf(kind: str, text: str) -> Node:
    if kind == "string":
        return Node("value", (), _unquoted(text))
    if kind == "variable":
        return Node("variable", (), _unquoted(text[1:]) if text[1] == '"' else text[1:])
    from decimal import Decimal

    return Node("value", (), Number(f"{Decimal(text):f}"))
