"""Regular expression operators and functions: ~, regexp_replace(), regexp_match(), SIMILAR TO, …"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from laminar.errors import PgError, not_supported
from laminar.sql.kernels.are import Regex, compile_are
from laminar.sql.kernels.registry import Kernel, Run, Signature, add
from laminar.sql.kernels.rowwise import apply, python


def _operator(symbol: str, ignore_case: bool, negated: bool) -> None:
    def match(text: str, pattern: str) -> bool:
        return compile_are(pattern, ignore_case).matches(text) is not negated

    python(symbol)(match)


for _prefix in ("text", "name"):
    _operator(f"{_prefix}regexeq", False, False)
    _operator(f"{_prefix}regexne", False, True)
    _operator(f"{_prefix}icregexeq", True, False)
    _operator(f"{_prefix}icregexne", True, True)


def flags_of(flags: str, function: str, allow_global: bool) -> tuple[bool, bool, bool, bool]:
    """(global, ignore case, newline sensitive, literal) of a flags argument."""
    everywhere = ignore_case = newline = literal = False
    refused = ""
    for letter in flags:
        if letter == "g":
            if not allow_global:
                hint = "Use the regexp_matches function instead." if function == "regexp_match" else None
                message = f'{function}() does not support the "global" option'
                raise PgError("22023", message, hint=hint)
            everywhere = True
        elif letter in "ic":
            ignore_case = letter == "i"
        elif letter in "nms":
            newline = letter != "s"
        elif letter == "q":
            literal = True
        elif letter in "bepwx":
            refused = letter
        elif letter != "t":
            raise PgError("22023", f'invalid regular expression option: "{letter}"')
    if refused:
        raise not_supported(f'regular expression option "{refused}" is not supported')
    return everywhere, ignore_case, newline, literal


def _compiled(pattern: str, flags: str, function: str, allow_global: bool = True) -> tuple[Regex, bool]:
    everywhere, ignore_case, newline, literal = flags_of(flags, function, allow_global)
    if literal:
        pattern = f"***={pattern}"
    return compile_are(pattern, ignore_case, newline), everywhere


def _matches(
    regex: Regex, text: str, start: int, captures: bool, split: bool = False
) -> Iterator[re.Match[str]]:
    """Successive matches; for splitting, without empty ones at the ends or right after another."""
    previous = start
    while start <= len(text):
        found = regex.search(text, start, captures)
        if found is None:
            return
        if not split or (found.start() < len(text) and found.end() > previous):
            yield found
        previous = found.end()
        start = found.end() + (found.start() == found.end())


# --- constant patterns --------------------------------------------------------------------

#: by the beginning of the symbol: which argument has the flags, and which says whether groups are read
_ARGUMENTS: Final[dict[str, tuple[int, int | bool]]] = {
    "regexp_matches": (2, True),
    "regexp_match": (2, True),
    "regexp_like": (2, False),
    "regexp_count": (3, False),
    "regexp_split": (2, False),
    "regexp_instr": (5, 6),
    "regexp_substr": (4, 5),
    "textregexsubstr": (2, True),
    "textregexreplace_extended": (5, 2),
    "textregexreplace": (3, 2),
}


def check_constant(symbol: str, arguments: Sequence[object]) -> None:
    """Refuse a constant pattern that would fail for every row.

    Args:
        symbol: the function's.
        arguments: the values of those that are constants, None for others.

    Raises:
        PgError: 2201B for what is no pattern, 22023 for its flags, 0A000 for what Laminar cannot run.
    """
    name = next((name for name in _ARGUMENTS if symbol.startswith(name)), None)
    pattern = arguments[1] if len(arguments) > 1 else None
    if not isinstance(pattern, str) or (name is None and "regex" not in symbol):
        return
    if name is None:
        compile_are(pattern, "icregex" in symbol)
        return
    at, groups = _ARGUMENTS[name]
    flags = arguments[at] if at < len(arguments) else None
    # whether there is a match does not depend on which one it is
    everywhere = name == "regexp_matches" or name.startswith("textregexreplace")
    regex, _ = _compiled(pattern, flags if isinstance(flags, str) else "", name, allow_global=everywhere)
    if name == "regexp_like":
        return
    captures = groups
    if not isinstance(groups, bool):
        value = arguments[groups] if groups < len(arguments) else None
        captures = "\\" in value if isinstance(value, str) else bool(value)
    regex.check(bool(captures))


# --- replacing ----------------------------------------------------------------------------

_REFERENCE: Final = re.compile(r"\\([1-9&\\])")


def replace(
    text: str,
    pattern: str,
    replacement: str,
    start: int = 1,
    nth: int = 1,
    flags: str = "",
    everywhere: bool = False,
) -> str:
    """regexp_replace from character ``start``: the nth match, or with nth 0 or the g flag all of them."""
    regex, flagged = _compiled(pattern, flags, "regexp_replace")
    everywhere = everywhere or flagged
    captures = "\\" in replacement
    parts: list[str] = []
    done = 0
    for number, found in enumerate(_matches(regex, text, start - 1, captures), 1):
        if nth == 0 or everywhere or number == nth:
            parts += [text[done : found.start()], _expanded(replacement, found)]
            done = found.end()
            if nth and not everywhere:
                break
    return "".join([*parts, text[done:]])


def _expanded(replacement: str, found: re.Match[str]) -> str:
    """The replacement with what its references stand for."""
    return _REFERENCE.sub(lambda reference: _referenced(reference[1], found), replacement)


def _referenced(which: str, found: re.Match[str]) -> str:
    if which == "\\":
        return "\\"
    number = 0 if which == "&" else int(which)
    if number > (found.re.groups or 0):
        return ""
    return found[number] or ""


@python("textregexreplace_noopt")
def _replace(text: str, pattern: str, replacement: str) -> str:
    return replace(text, pattern, replacement)


@python("textregexreplace")
def _replace_flags(text: str, pattern: str, replacement: str, flags: str) -> str:
    if flags[:1].isdigit():
        hint = "If you meant to use regexp_replace() with a start parameter, "
        hint += "cast the fourth argument to integer explicitly."
        raise PgError("22023", f'invalid regular expression option: "{flags[0]}"', hint=hint)
    return replace(text, pattern, replacement, flags=flags)


def _positive(name: str, value: int, least: int = 1) -> int:
    if value < least:
        raise PgError("22023", f'invalid value for parameter "{name}": {value}')
    return value


@python("textregexreplace_extended_no_n")
def _replace_from(text: str, pattern: str, replacement: str, start: int) -> str:
    return replace(text, pattern, replacement, _positive("start", start))


@python("textregexreplace_extended_no_flags")
def _replace_nth(text: str, pattern: str, replacement: str, start: int, nth: int) -> str:
    return replace(text, pattern, replacement, _positive("start", start), _positive("n", nth, 0))


@python("textregexreplace_extended")
def _replace_extended(text: str, pattern: str, replacement: str, start: int, nth: int, flags: str) -> str:
    start, nth = _positive("start", start), _positive("n", nth, 0)
    # here the g flag has no effect beside n
    regexp_flags = flags.replace("g", "")
    flags_of(flags, "regexp_replace", True)
    return replace(text, pattern, replacement, start, nth, regexp_flags)


# --- finding ------------------------------------------------------------------------------


def _found(found: re.Match[str]) -> list[str | None]:
    return list(found.groups()) if found.re.groups else [found[0]]


@python("regexp_match", "regexp_match_no_flags")
def _match(text: str, pattern: str, flags: str = "") -> list[str | None] | None:
    regex, _ = _compiled(pattern, flags, "regexp_match", allow_global=False)
    found = regex.search(text, 0, captures=True)
    return None if found is None else _found(found)


@python("textregexsubstr")
def _substring(text: str, pattern: str) -> str | None:
    found = compile_are(pattern).search(text, 0, captures=True)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]


@python("regexp_like", "regexp_like_no_flags")
def _like(text: str, pattern: str, flags: str = "") -> bool:
    regex, _ = _compiled(pattern, flags, "regexp_like", allow_global=False)
    return regex.matches(text)


@python("regexp_count", "regexp_count_no_start", "regexp_count_no_flags")
def _count(text: str, pattern: str, start: int = 1, flags: str = "") -> int:
    _positive("start", start)
    regex, _ = _compiled(pattern, flags, "regexp_count", allow_global=False)
    return sum(1 for _ in _matches(regex, text, start - 1, captures=False))


@python(
    "regexp_instr",
    "regexp_instr_no_start",
    "regexp_instr_no_n",
    "regexp_instr_no_endoption",
    "regexp_instr_no_flags",
    "regexp_instr_no_subexpr",
)
def _position(
    text: str, pattern: str, start: int = 1, nth: int = 1, end: int = 0, flags: str = "", group: int = 0
) -> int:
    """Where the nth match (or its group) starts, or with ``end`` 1 the place behind it; 0 for none."""
    _positive("start", start)
    _positive("n", nth)
    if end not in (0, 1):
        raise PgError("22023", f'invalid value for parameter "endoption": {end}')
    _positive("subexpr", group, 0)
    span = _nth(text, pattern, start, nth, flags, group, "regexp_instr")
    return 0 if span is None else span[end] + 1


@python(
    "regexp_substr",
    "regexp_substr_no_start",
    "regexp_substr_no_n",
    "regexp_substr_no_flags",
    "regexp_substr_no_subexpr",
)
def _part(
    text: str, pattern: str, start: int = 1, nth: int = 1, flags: str = "", group: int = 0
) -> str | None:
    """The nth match, or a group of it."""
    _positive("start", start)
    _positive("n", nth)
    _positive("subexpr", group, 0)
    span = _nth(text, pattern, start, nth, flags, group, "regexp_substr")
    return None if span is None else text[slice(*span)]


def _nth(
    text: str, pattern: str, start: int, nth: int, flags: str, group: int, function: str
) -> tuple[int, int] | None:
    """Where the nth match from ``start`` on lies; of a group, where the group does."""
    regex, _ = _compiled(pattern, flags, function, allow_global=False)
    for number, found in enumerate(_matches(regex, text, start - 1, captures=group > 0), 1):
        if number == nth:
            if group > (found.re.groups or 0) or found.start(group) < 0:
                return None
            return found.span(group)
    return None


@python("regexp_split_to_array", "regexp_split_to_array_no_flags")
def _split(text: str, pattern: str, flags: str = "", function: str = "regexp_split_to_array") -> list[str]:
    regex, _ = _compiled(pattern, flags, function, allow_global=False)
    parts: list[str] = []
    done = 0
    for found in _matches(regex, text, 0, captures=False, split=True):
        parts.append(text[done : found.start()])
        done = found.end()
    return [*parts, text[done:]]


def _set(symbol: str, function: Callable[..., Any]) -> None:
    def build(signature: Signature) -> Run:
        storage = pa.list_(signature.result.storage)
        return lambda _env, *columns: apply(function, columns, storage)

    add(symbol, Kernel(build, sets=True))


def _all_matches(text: str, pattern: str, flags: str = "") -> list[list[str | None]]:
    regex, everywhere = _compiled(pattern, flags, "regexp_matches")
    found = (_found(m) for m in _matches(regex, text, 0, captures=True))
    return list(found) if everywhere else [m for m, _ in zip(found, range(1), strict=False)]


def _split_rows(text: str, pattern: str, flags: str = "") -> list[str]:
    return _split(text, pattern, flags, "regexp_split_to_table")


for _suffix in ("", "_no_flags"):
    _set(f"regexp_matches{_suffix}", _all_matches)
    _set(f"regexp_split_to_table{_suffix}", _split_rows)

# --- SIMILAR TO ---------------------------------------------------------------------------


def similar_pattern(pattern: str, escape: str | None) -> str:
    """similar_to_escape: an SQL regular expression as an ARE."""
    parts = similar_parts(pattern, escape)
    if len(parts) > 1:
        raise not_supported("SQL regular expression parts are supported in SUBSTRING only")
    return f"^(?:{parts[0]})$"


def similar_parts(pattern: str, escape: str | None) -> list[str]:
    """The AREs between ``escape"`` separators: one, or three in SUBSTRING(x SIMILAR a ESCAPE b)."""
    if escape is not None and len(escape) > 1:
        raise PgError("22025", "invalid escape string", hint="Escape string must be empty or one character.")
    parts: list[str] = [""]
    escaped = in_class = False
    for char in pattern:
        if escaped:
            if char == '"' and not in_class:
                if len(parts) == 3:
                    message = (
                        "SQL regular expression may not contain more than two escape-double-quote separators"
                    )
                    raise PgError("2200C", message)
                parts.append("")
            else:
                # an escaped character is literal
                parts[-1] += f"\\{char}"
            escaped = False
        elif char == escape:
            escaped = True
        elif in_class:
            parts[-1] += "\\\\" if char == "\\" else char
            in_class = char != "]"
        elif char == "[":
            parts[-1] += char
            in_class = True
        else:
            literal = f"\\{char}" if char in "\\.^$" else char
            parts[-1] += {"%": ".*", "_": ".", "(": "(?:"}.get(char, literal)
    return parts


@python("substring(text,text,text)")
def _similar_substring(text: str, pattern: str, escape: str) -> str | None:
    """The middle part: after the shortest text that fits the first, the longest that lets the last fit."""
    parts = similar_parts(pattern, escape)
    if len(parts) == 1:
        return _substring(text, f"^(?:{parts[0]})$")
    first, middle, last = (compile_are(f"^(?:{part})$") for part in (*parts, "")[:3])
    for start in range(len(text) + 1):
        if not first.matches(text[:start]):
            continue
        for end in range(len(text), start - 1, -1):
            if middle.matches(text[start:end]) and last.matches(text[end:]):
                return text[start:end]
    return None


@python("similar_escape", strict=False)
def _similar_legacy(pattern: str | None, escape: str | None) -> str | None:
    if pattern is None:
        return None
    return similar_pattern(pattern, "\\" if escape is None else escape)


@python("similar_to_escape_1")
def _similar(pattern: str) -> str:
    return similar_pattern(pattern, "\\")


@python("similar_to_escape_2")
def _similar_escape(pattern: str, escape: str) -> str:
    return similar_pattern(pattern, escape)
