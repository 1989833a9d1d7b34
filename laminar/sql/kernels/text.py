"""Functions and operators on text: native ones (texts.hpp), LIKE, hashes, quoting."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from laminar._native.texts import TextKernel
from laminar.errors import PgError
from laminar.sql.kernels.registry import Kernel, Run, Signature, add, builder, kernel
from laminar.sql.kernels.rowwise import python
from laminar.sql.keywords import KEYWORDS, UNRESERVED
from laminar.types import BOOL, TEXT, PgType

#: symbol -> (function in texts.hpp, result, cannot fail)
_NATIVE: Final = {
    "upper": ("upper", "t", True),
    "lower": ("lower", "t", True),
    "initcap": ("initcap", "t", True),
    "text_substr": ("substr", "t", False),
    "text_substr_no_len": ("substr_rest", "t", True),
    "text_left": ("left", "t", True),
    "text_right": ("right", "t", True),
    "text_reverse": ("reverse", "t", True),
    "repeat": ("repeat", "t", False),
    "lpad": ("lpad", "t", False),
    "rpad": ("rpad", "t", False),
    "lpad(text,int4)": ("lpad_blank", "t", False),
    "rpad(text,int4)": ("rpad_blank", "t", False),
    "btrim": ("btrim", "t", True),
    "ltrim": ("ltrim", "t", True),
    "rtrim": ("rtrim", "t", True),
    "btrim1": ("btrim_blank", "t", True),
    "ltrim1": ("ltrim_blank", "t", True),
    "replace_text": ("replace", "t", False),
    "translate": ("translate", "t", True),
    "split_part": ("split_part", "t", False),
    "chr": ("chr", "t", False),
    "to_hex32": ("to_hex32", "t", True),
    "to_hex64": ("to_hex", "t", True),
    "textoverlay": ("overlay", "t", False),
    "textoverlay_no_len": ("overlay_rest", "t", False),
    "textpos": ("strpos", "i", True),
    "ascii": ("ascii", "i", True),
    "textlen": ("length", "i", True),
    "bpcharlen": ("bpchar_length", "i", True),
    "textoctetlen": ("octet_length", "i", True),
    "bpcharoctetlen": ("octet_length", "i", True),
    "byteaoctetlen": ("octet_length", "i", True),
    "bit_length(text)": ("bit_length", "i", True),
    "bit_length(bytea)": ("bit_length", "i", True),
    "text_starts_with": ("starts_with", "b", True),
    "like_escape": ("like_escape", "t", False),
}
for _symbol, (_name, _result, _total) in _NATIVE.items():
    _errors = {7: ("22025", "invalid escape string")} if _symbol == "like_escape" else None
    _run = TextKernel(_name, _result, _errors)
    add(_symbol, Kernel(lambda _signature, run=_run: run, _total, native=True))  # type: ignore[misc]

for _prefix in ("text", "name"):
    for _word, _name in {
        "like": "like",
        "nlike": "not_like",
        "iclike": "ilike",
        "icnlike": "not_ilike",
    }.items():
        _run = TextKernel(_name, "b")
        add(f"{_prefix}{_word}", Kernel(lambda _signature, run=_run: run, native=True))  # type: ignore[misc]


@kernel("textcat", "byteacat", total=True)
def _concatenate(_env: object, a: Any, b: Any) -> Any:
    separator = pa.scalar("" if pa.types.is_string(a.type) else b"", a.type)
    return pc.binary_join_element_wise(a, b, separator, null_handling="emit_null")


def _sized(symbol: str, word: str) -> None:
    """varchar(n), character(n): the length is in the target's typmod."""

    def build(signature: Signature) -> Run:
        limit = signature.result.typmod - 4
        error = ("22001", f"value too long for type {word}({limit})")
        run = TextKernel(symbol, "t", {4: error})
        size = pa.scalar(limit, pa.int32())
        return lambda env, x: run(env, x, size)

    add(symbol, Kernel(build))


for _suffix in ("", "!"):
    _sized(f"varchar{_suffix}", "character varying")
    _sized(f"bpchar{_suffix}", "character")


# --- any type as text ------------------------------------------------------------------


def to_text(type_: PgType) -> Run:
    """``run(env, column)``: a type's output function."""
    from laminar.sql.evaluator.conversions import through_text

    return through_text(type_, PgType(TEXT))


def as_text(type_: PgType) -> Run:
    """``run(env, column)``: the cast to text, which writes booleans in full as their output does not."""
    if type_.oid == BOOL:
        return lambda _env, x: pc.if_else(x, "true", "false")
    return to_text(type_)


def _texts(signature: Signature) -> list[Run]:
    return [to_text(t) for t in signature.args]


@builder("text_concat")
def _concat(signature: Signature) -> Run:
    convert = _texts(signature)

    def run(env: Any, *columns: Any) -> Any:
        texts = [pc.fill_null(c(env, x), "") for c, x in zip(convert, _arrays(columns), strict=True)]
        return pc.binary_join_element_wise(*texts, "")

    return run


@builder("text_concat_ws")
def _concat_ws(signature: Signature) -> Run:
    convert = _texts(signature)

    def run(env: Any, *columns: Any) -> Any:
        texts = [c(env, x) for c, x in zip(convert, _arrays(columns), strict=True)]
        separator, parts = texts[0], texts[1:]
        if not parts:
            return pc.if_else(pc.is_valid(separator), pa.scalar(""), separator)
        # Arrow's null_handling="skip" loses a row in which every part is null
        joined = parts[0]
        for part in parts[1:]:
            both = pc.binary_join_element_wise(joined, part, separator)
            joined = pc.coalesce(both, joined, part)
        joined = pc.fill_null(joined, "")
        return pc.if_else(pc.is_valid(separator), joined, separator)

    return run


def _arrays(columns: tuple[Any, ...]) -> list[pa.Array]:
    """All columns as arrays of the same length."""
    n = next((len(c) for c in columns if not isinstance(c, pa.Scalar)), 1)
    from laminar.sql.evaluator.program import as_array

    return [as_array(c, n) for c in columns]


def _with_text(symbol: str, first: bool) -> None:
    """text || any and any || text."""

    def build(signature: Signature) -> Run:
        convert = as_text(signature.args[0 if first else 1])

        def run(env: Any, a: Any, b: Any) -> Any:
            a, b = _arrays((a, b))
            return _concatenate(env, convert(env, a), b) if first else _concatenate(env, a, convert(env, b))

        return run

    builder(symbol)(build)


_with_text("anytextcat(anynonarray,text)", True)
_with_text("textanycat(text,anynonarray)", False)


# --- quoting, formatting, hashes --------------------------------------------------------


_KEYWORDS: Final = KEYWORDS - UNRESERVED


@python("quote_literal", total=True)
def quote_literal(value: str) -> str:
    doubled = value.replace("'", "''")
    if "\\" not in value:
        return f"'{doubled}'"
    return "E'" + doubled.replace("\\", "\\\\") + "'"


@python("quote_ident", total=True)
def quote_ident(name: str) -> str:
    """Quoted unless it is a lower-case word that is no reserved key word."""
    plain = name and name.isascii() and (name[0].isalpha() or name[0] == "_")
    plain = plain and all(c.islower() or c.isdigit() or c == "_" for c in name)
    return name if plain and name not in _KEYWORDS else '"' + name.replace('"', '""') + '"'


@python("quote_nullable", strict=False, total=True)
def quote_nullable(value: str | None) -> str:
    return "NULL" if value is None else quote_literal(value)


def _quote_any(symbol: str, function: Any) -> None:
    def build(signature: Signature) -> Run:
        convert = as_text(signature.args[0])

        def run(env: Any, x: Any) -> Any:
            return pa.array([function(v) for v in convert(env, x).to_pylist()], pa.string())

        return run

    builder(symbol)(build)


_quote_any("quote_literal(anyelement)", lambda v: None if v is None else quote_literal(v))
_quote_any("quote_nullable(anyelement)", quote_nullable)


@builder("text_format", "text_format_nv")
def _format(signature: Signature) -> Run:
    convert = _texts(signature)

    def run(env: Any, *columns: Any) -> Any:
        texts = [c(env, x).to_pylist() for c, x in zip(convert, _arrays(columns), strict=True)]
        rows = zip(*texts, strict=True)
        return pa.array(
            [None if row[0] is None else format_text(row[0], row[1:]) for row in rows], pa.string()
        )

    return run


def format_text(template: str, args: tuple[str | None, ...]) -> str:
    """format(): %s, %I, %L with [n$], [-] and width, as PostgreSQL's "format" page says."""
    out: list[str] = []
    at, used = 0, 0
    while at < len(template):
        if template[at] != "%":
            end = template.find("%", at)
            end = len(template) if end < 0 else end
            out.append(template[at:end])
            at = end
            continue
        at += 1
        if at >= len(template):
            raise _unterminated()
        if template[at] == "%":
            out.append("%")
            at += 1
            continue
        number, width, left, at, used = _format_options(template, at, args, used)
        kind = template[at]
        at += 1
        if kind not in "sIL":
            raise PgError("22023", f'unrecognized format() type specifier "{kind}"', hint=_PERCENT)
        if number is None:
            used += 1
            number = used
        if number > len(args):
            raise PgError("22023", "too few arguments for format()")
        text = _converted(kind, args[number - 1])
        used = number
        if width > 0x3FFFFFFF:
            raise PgError("54000", "requested length too large")
        out.append(text.ljust(width) if left else text.rjust(width))
    return "".join(out)


_PERCENT: Final = 'For a single "%" use "%%".'


def _unterminated() -> PgError:
    return PgError("22023", "unterminated format() type specifier", hint=_PERCENT)


def _digits(template: str, at: int) -> tuple[int | None, int]:
    start = at
    while at < len(template) and template[at].isdigit() and template[at].isascii():
        at += 1
    if at == start:
        return None, at
    if at >= len(template):
        raise _unterminated()
    return int(template[start:at]), at


def _format_options(
    template: str, at: int, args: tuple[str | None, ...], used: int
) -> tuple[int | None, int, bool, int, int]:
    """Position, width, left-justify, index of the type letter, arguments used so far."""
    number, at = _digits(template, at)
    width = 0
    left = False
    if number is not None and template[at] != "$":
        return None, number, left, at, used
    if number is not None:
        if number == 0:
            raise PgError("22023", "format specifies argument 0, but arguments are numbered from 1")
        at += 1
    while at < len(template) and template[at] == "-":
        left = True
        at += 1
    if at >= len(template):
        raise _unterminated()
    if template[at] == "*":
        which, at = _digits(template, at + 1)
        if which is not None:
            if template[at] != "$":
                raise PgError("22023", 'width argument position must be ended by "$"')
            if which == 0:
                raise PgError("22023", "format specifies argument 0, but arguments are numbered from 1")
            at += 1
        else:
            used += 1
            which = used
        if which > len(args):
            raise PgError("22023", "too few arguments for format()")
        used = which
        value = args[which - 1]
        try:
            width = 0 if value is None else int(value)
        except ValueError:
            raise PgError("22P02", f'invalid input syntax for type integer: "{value}"') from None
        left, width = left or width < 0, abs(width)
    else:
        found, at = _digits(template, at)
        width = found or 0
    if at >= len(template):
        raise _unterminated()
    return number, width, left, at, used


def _converted(kind: str, value: str | None) -> str:
    if kind == "L":
        return quote_nullable(value)
    if value is None:
        if kind == "I":
            raise PgError("22004", "null values cannot be formatted as an SQL identifier")
        return ""
    text: str = quote_ident(value) if kind == "I" else value
    return text


@python("md5_text", total=True)
def _md5_text(value: str) -> str:
    return hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()


@python("md5_bytea", total=True)
def _md5_bytea(value: bytes) -> str:
    return hashlib.md5(value, usedforsecurity=False).hexdigest()


def _sha(bits: int) -> None:
    def digest(value: bytes) -> bytes:
        return hashlib.new(f"sha{bits}", value).digest()

    python(f"sha{bits}_bytea", total=True)(digest)


for _bits in (224, 256, 384, 512):
    _sha(_bits)
