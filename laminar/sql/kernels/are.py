"""PostgreSQL's advanced regular expressions on Python's ``re``.

The syntax is translated; what Python cannot express is refused (0A000). Which match is
found differs between the two, so it is settled here: both begin at the leftmost place,
but PostgreSQL then takes the longest match (the shortest, if its quantifiers are
non-greedy), Python the first that backtracking meets. Where that could matter the ends
are tried from the farther one (PostgreSQL, "Regular Expression Matching Rules").
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final

from laminar.errors import PgError, not_supported

_SPACE: Final = "\\t-\\r \\u1680\\u2000-\\u2006\\u2008-\\u200a\\u2028\\u2029\\u205f\\u3000"
_ESCAPES: Final = {"a": 7, "b": 8, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "B": 92}
_CONSTRAINTS: Final = {
    "m": "(?<!\\w)(?=\\w)",
    "M": "(?<=\\w)(?!\\w)",
    "y": "\\b",
    "Y": "\\B",
    "A": "\\A",
    "Z": "\\Z",
}
_MAX_REPEAT: Final = 255


def invalid(what: str) -> PgError:
    return PgError("2201B", f"invalid regular expression: {what}")


@cache
def _class(name: str) -> str:
    """A POSIX class as the inside of a Python set, for the C.UTF-8 locale's idea of letters."""
    simple = {
        "digit": "0-9",
        "space": _SPACE,
        "xdigit": "0-9A-Fa-f",
        "blank": " \\t",
        "cntrl": "\\x00-\\x1f\\x7f",
    }
    if name in simple:
        return simple[name]
    tests: dict[str, Callable[[str], bool]] = {
        "alpha": str.isalpha,
        "upper": str.isupper,
        "lower": str.islower,
        "alnum": lambda c: c.isalpha() or c in "0123456789",
        "punct": lambda c: c.isprintable() and not c.isalnum() and not c.isspace(),
        "graph": lambda c: c.isprintable() and not c.isspace(),
        "print": lambda c: c.isprintable(),
    }
    test = tests.get(name)
    if test is None:
        raise invalid("invalid character class")
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000 and test(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{a:08x}" if a == b else f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges)


class Regex:
    """A compiled ARE.

    Args:
        newline: the ``n`` flag: ``.`` and ``[^`` stop at newlines, ``^`` and ``$`` match around them.
    """

    def __init__(self, pattern: str, ignore_case: bool = False, newline: bool = False) -> None:
        pattern, ignore_case, newline = _options(pattern, ignore_case, newline)
        translation = _Translation(pattern, newline)
        self.groups = translation.groups
        self._greedy = not translation.lazy
        self._mixed = translation.lazy and translation.greedy
        #: matches of different lengths may begin at one place, in another order than PostgreSQL's
        self._ambiguous = translation.alternatives or translation.variable > 1 or translation.lazy
        self._constrained = translation.constraints
        self._captures_alternatives = translation.alternatives and translation.groups > 0
        self._source = translation.result
        self._flags = re.IGNORECASE if ignore_case else 0
        try:
            self._compiled = re.compile(self._source, self._flags)
        except (re.error, OverflowError) as error:
            raise invalid(str(error)) from None

    def matches(self, text: str) -> bool:
        return self._compiled.search(text) is not None

    def search(self, text: str, start: int = 0, captures: bool = False) -> re.Match[str] | None:
        """The match PostgreSQL finds from ``start`` on.

        Raises:
            PgError: 0A000 when which match that is, or (with captures) what its groups hold, is not known.
        """
        found = self._compiled.search(text, start)
        if found is None or not self._ambiguous:
            return found
        self.check(captures)
        at = found.start()
        ends = range(len(text), at - 1, -1) if self._greedy else range(at, len(text) + 1)
        for end in ends:
            exact = self._ending_at(text, at, end)
            if exact is not None:
                return exact
        return found

    def check(self, captures: bool) -> None:
        """Raise 0A000 when searching (with captures) may not find what PostgreSQL does."""
        if self._mixed:
            raise not_supported("mixing greedy and non-greedy quantifiers is not supported")
        if captures and self._captures_alternatives and not self._disjoint():
            raise not_supported("capturing from a regular expression with alternatives is not supported")

    def _disjoint(self) -> bool:
        """Whether alternatives are single characters or begin with different literal ones."""
        inner = re.findall(r"\((?:\?:)?([^()]*\|[^()]*)\)", self._source)
        if not inner:
            return False
        for alternatives in inner:
            firsts = [part[:1] for part in alternatives.split("|")]
            if len(set(firsts)) < len(firsts) or not all(f.isalnum() for f in firsts):
                return False
        return "|" not in re.sub(r"\((?:\?:)?[^()]*\)", "", self._source)

    def _ending_at(self, text: str, start: int, end: int) -> re.Match[str] | None:
        if not self._constrained:
            return self._compiled.fullmatch(text, start, end)
        return _with_rest(self._source, self._flags, len(text) - end).match(text, start)


@lru_cache(maxsize=512)
def _with_rest(source: str, flags: int, rest: int) -> re.Pattern[str]:
    return re.compile(f"(?:{source})(?=[\\s\\S]{{{rest}}}\\Z)", flags)


@lru_cache(maxsize=1024)
def compile_are(pattern: str, ignore_case: bool = False, newline: bool = False) -> Regex:
    """A cached :class:`Regex`; raises 2201B for a bad pattern, 0A000 for one that is not supported."""
    return Regex(pattern, ignore_case, newline)


def _options(pattern: str, ignore_case: bool, newline: bool) -> tuple[str, bool, bool]:
    """The ``***`` directors and ``(?xyz)`` options at the start."""
    if pattern.startswith("***="):
        return re.sub(r"([^\w\s])", r"\\\1", pattern[4:]), ignore_case, newline
    if pattern.startswith("***:"):
        pattern = pattern[4:]
    elif pattern.startswith("***"):
        raise invalid("quantifier operand invalid")
    found = re.match(r"\(\?([a-z]+)\)", pattern)
    if found:
        pattern = pattern[found.end() :]
        for letter in found[1]:
            if letter not in "icnmst":
                raise not_supported(f'embedded regular expression option "{letter}" is not supported')
            ignore_case = letter == "i" or (ignore_case and letter != "c")
            newline = letter in "nm" or (newline and letter != "s")
    return pattern, ignore_case, newline


class _Translation:
    """ARE syntax as Python's, with what has to be known about it."""

    def __init__(self, pattern: str, newline: bool) -> None:
        self.text, self.at, self.newline = pattern, 0, newline
        self.groups = self.variable = 0
        self.alternatives = self.lazy = self.greedy = self.constraints = False
        self.result = self._alternation(0)
        if self.at < len(pattern):
            raise invalid("parentheses () not balanced")

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _alternation(self, depth: int) -> str:
        branches = [self._branch(depth)]
        while self._peek() == "|":
            self.at += 1
            self.alternatives = True
            branches.append(self._branch(depth))
        return "|".join(branches)

    def _branch(self, depth: int) -> str:
        parts = []
        while self.at < len(self.text) and self._peek() != "|" and not (self._peek() == ")" and depth):
            atom, quantifiable = self._atom(depth)
            parts.append(self._quantified(atom, quantifiable))
        return "".join(parts)

    def _quantified(self, atom: str, quantifiable: bool) -> str:
        quantifier = self._quantifier()
        if not quantifier:
            return atom
        if not quantifiable:
            raise invalid("quantifier operand invalid")
        if self._quantifier():
            raise invalid("quantifier operand invalid")
        return f"{atom}{quantifier}" if len(atom) == 1 else f"(?:{atom}){quantifier}"

    def _quantifier(self) -> str:
        letter = self._peek()
        if letter and letter in "*+?":
            self.at += 1
            fixed = False
        elif letter == "{" and self.text[self.at + 1 : self.at + 2].isdigit():
            found = re.compile(r"\{(\d+)(,(\d*))?\}").match(self.text, self.at)
            if found is None:
                raise invalid(
                    "braces {} not balanced"
                    if "}" not in self.text[self.at :]
                    else "invalid repetition count(s)"
                )
            low, high = int(found[1]), int(found[3]) if found[3] else None
            if low > _MAX_REPEAT or (high is not None and (high > _MAX_REPEAT or high < low)):
                raise invalid("invalid repetition count(s)")
            self.at = found.end()
            letter, fixed = found[0], found[2] is None or high == low
        else:
            return ""
        lazy = self._peek() == "?"
        if lazy:
            self.at += 1
        if not fixed:
            self.variable += 1
            self.lazy |= lazy
            self.greedy |= not lazy
        return letter + ("?" if lazy else "")

    def _atom(self, depth: int) -> tuple[str, bool]:
        letter = self._peek()
        self.at += 1
        if letter == "(":
            return self._group(depth)
        if letter == "[":
            return self._bracket()
        if letter == ".":
            return ("[^\\n]" if self.newline else "[\\s\\S]"), True
        if letter in "^$":
            self.constraints = True
            plain = {"^": "\\A", "$": "\\Z"}[letter]
            lines = {"^": "(?m:^)", "$": "(?=\\n|\\Z)"}[letter]
            return (lines if self.newline else plain), False
        if letter == "\\":
            return self._escape()
        if letter in "*+?" or (letter == "{" and self._peek().isdigit()):
            raise invalid("quantifier operand invalid")
        if letter == ")":
            raise invalid("parentheses () not balanced")
        return re.escape(letter), True

    def _group(self, depth: int) -> tuple[str, bool]:
        opening, quantifiable = "(", True
        if self._peek() == "?":
            found = re.compile(r"\?(:|=|!|<=|<!)").match(self.text, self.at)
            if found is None:
                raise invalid("quantifier operand invalid")
            self.at = found.end()
            opening += found[0]
            quantifiable = found[1] == ":"
            self.constraints |= not quantifiable
        else:
            self.groups += 1
        inner = self._alternation(depth + 1)
        if self._peek() != ")":
            raise invalid("parentheses () not balanced")
        self.at += 1
        return f"{opening}{inner})", quantifiable

    def _escape(self) -> tuple[str, bool]:
        letter = self._peek()
        if not letter:
            raise invalid("invalid escape \\ sequence")
        self.at += 1
        shorthand = {
            "d": "[0-9]",
            "D": "[^0-9]",
            "w": "\\w",
            "W": "\\W",
            "s": f"[{_SPACE}]",
            "S": f"[^{_SPACE}]",
        }
        if letter in shorthand:
            return shorthand[letter], True
        if letter in _CONSTRAINTS:
            self.constraints = True
            return _CONSTRAINTS[letter], False
        if letter.isdigit() and letter != "0":
            if int(letter) > self.groups:
                raise invalid("invalid backreference number")
            self.alternatives = True
            return f"(?:\\{letter})", True
        return re.escape(self._character(letter)), True

    def _character(self, letter: str) -> str:
        """The character a (bracketed or plain) escape stands for; ``letter`` follows the backslash."""
        if letter in _ESCAPES:
            return chr(_ESCAPES[letter])
        numeric = {"x": r"[0-9a-fA-F]+", "u": r"[0-9a-fA-F]{4}", "U": r"[0-9a-fA-F]{8}", "0": r"[0-7]{0,2}"}
        if letter in numeric:
            found = re.compile(numeric[letter]).match(self.text, self.at)
            if found is None:
                raise invalid("invalid escape \\ sequence")
            self.at = found.end()
            code = int("0" + found[0], 8 if letter == "0" else 16)
            if code > sys.maxunicode:
                raise invalid("invalid escape \\ sequence")
            return chr(code)
        if letter == "c" and self._peek():
            self.at += 1
            return chr(ord(self.text[self.at - 1]) & 31)
        if letter.isalnum():
            raise invalid("invalid escape \\ sequence")
        return letter

    def _bracket(self) -> tuple[str, bool]:
        if self.text.startswith("[:<:]]", self.at) or self.text.startswith("[:>:]]", self.at):
            start = self.text[self.at + 2] == "<"
            self.at += 6
            self.constraints = True
            return _CONSTRAINTS["m" if start else "M"], False
        negated = self._peek() == "^"
        self.at += negated
        parts: list[str] = []
        first = True
        while first or self._peek() != "]":
            if not self._peek():
                raise invalid("brackets [] not balanced")
            first = False
            item, single = self._bracket_item()
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                if not single:
                    raise invalid("invalid character range")
                self.at += 1
                last, single = self._bracket_item()
                if not single or last < item:
                    raise invalid("invalid character range")
                parts.append(f"{_set_char(item)}-{_set_char(last)}")
            else:
                parts.append(_set_char(item) if single else item)
        self.at += 1
        if negated and self.newline:
            parts.append("\\n")
        return f"[{'^' if negated else ''}{''.join(parts)}]", True

    def _bracket_item(self) -> tuple[str, bool]:
        """(character, True) or (the inside of a Python set, False)."""
        letter = self._peek()
        self.at += 1
        if letter == "[" and self._peek() in (":", ".", "="):
            kind = self._peek()
            end = self.text.find(kind + "]", self.at + 1)
            if end < 0:
                raise invalid("brackets [] not balanced")
            name = self.text[self.at + 1 : end]
            self.at = end + 2
            if kind == ":":
                return _class(name), False
            if len(name) != 1:
                raise not_supported("named collating elements in regular expressions are not supported")
            return name, True
        if letter != "\\":
            return letter, True
        letter = self._peek()
        self.at += 1
        inside = {"d": "0-9", "w": "\\w", "s": _SPACE}
        if letter in inside and letter:
            return inside[letter], False
        if not letter or letter in "DWSmMyYAZ" or (letter.isdigit() and letter != "0"):
            raise invalid("invalid escape \\ sequence")
        return self._character(letter), True


def _set_char(char: str) -> str:
    return char if char.isalnum() else f"\\U{ord(char):08x}"
