"""Tokens of PostgreSQL's SQL (PostgreSQL, section 4.1), with positions.

A token's ``kind`` is the keyword itself, a punctuation mark, or one of IDENT, INT,
FLOAT, STRING, BIT, HEX, PARAM, OP (an operator of several or unusual characters), EOF,
JUNK (a number with letters behind it, which only TEMPORAL PROBE JOIN's spans may be).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from laminar.errors import PgError
from laminar.sql.keywords import KEYWORDS


class Token(NamedTuple):
    """``start`` and ``end`` are 0-based offsets; ``value`` is folded or unescaped."""

    kind: str
    value: str
    start: int
    end: int


_SPACE: Final = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\n\r]*)+")
_TOKEN: Final = re.compile(
    r"""
    (?P<special>[eEbBxXnN]'|[uU]&['"])
  | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<number>(?:\d+\.(?!\.)\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?)
  | (?P<string>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<param>\$\d+)
  | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
  | (?P<comment>/\*)
  | (?P<punct>::|:=|\.\.|[,()\[\];.:])
  | (?P<op>[~!@\#^&|`?+\-*/%<>=]+)
    """,
    re.VERBOSE,
)
_JUNK: Final = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_SELF: Final = frozenset("+-*/%^<>=")
_COMPARISONS: Final = frozenset(("<=", ">=", "<>", "!=", "=>"))
_UNUSUAL: Final = re.compile(r"[~!@#^&|`?%]")
# possessive: what follows a literal must not be tried in all the ways that spaces can be cut
_CONTINUES: Final = re.compile(r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+'")
_ESCAPE: Final = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_ESCAPED: Final = re.compile(r"(?:[^'\\]|\\.|'')*'", re.DOTALL)
_SIMPLE_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_MAX_NAME: Final = 63
#: longer scripts are not remembered with their statements
_MAX_KEPT: Final = 8192


def _written(body: str, offset: int) -> int:
    """Where an offset into a literal's text is in what was written, with its quotes doubled."""
    return offset + body.count("'", 0, offset)


def fold(word: str) -> str:
    """An unquoted identifier as PostgreSQL stores it: ASCII lower case, at most 63 bytes."""
    if word.isascii():
        return word[:_MAX_NAME].lower()
    folded = "".join(c.lower() if c.isascii() else c for c in word)
    return truncate(folded)


def truncate(name: str) -> str:
    """Cut a name to 63 bytes of UTF-8 at a character's edge."""
    raw = name.encode()
    return name if len(raw) <= _MAX_NAME else raw[:_MAX_NAME].decode(errors="ignore")


def syntax_error(sql: str, start: int, end: int, what: str = "syntax error") -> PgError:
    """42601 in PostgreSQL's words for the token at ``sql[start:end]``."""
    if start >= len(sql):
        return PgError("42601", f"{what} at end of input", position=len(sql) + 1)
    return PgError("42601", f'{what} at or near "{sql[start:end]}"', position=start + 1)


def skip_space(sql: str, at: int) -> int:
    """The offset behind white space and comments (which nest)."""
    while True:
        space = _SPACE.match(sql, at)
        if space:
            at = space.end()
        if not sql.startswith("/*", at):
            return at
        start, depth = at, 0
        while True:
            edge = _COMMENT_EDGE.search(sql, at)
            if edge is None:
                raise syntax_error(sql, start, len(sql), "unterminated /* comment")
            at = edge.end()
            depth += 1 if edge.group() == "/*" else -1
            if depth == 0:
                break


@dataclass(slots=True)
class Lexer:
    """Cuts ``sql`` into tokens from ``at``."""

    sql: str
    at: int = 0

    def next(self) -> Token:
        """The next token; EOF (of length 0, at the end of the text) for ever after the last."""
        sql = self.sql
        at = self.at = skip_space(sql, self.at)
        match = _TOKEN.match(sql, at)
        if match is None:
            return self._odd(at)
        group, text, end = match.lastgroup, match.group(), match.end()
        self.at = end
        if group == "word":
            word = fold(text)
            return Token(word if word in KEYWORDS else "IDENT", word, at, end)
        if group == "punct":
            return Token(text, text, at, end)
        if group == "string":
            return self._string(at, end, text[1:-1].replace("''", "'"))
        if group == "op":
            return self._operator(at, text)
        if group == "number":
            return self._number(at, text)
        if group == "quoted":
            return self._quoted(at, end, text[1:-1].replace('""', '"'))
        if group == "param":
            junk = _JUNK.match(sql, end)
            if junk is not None:
                raise syntax_error(sql, at, end + 1, "trailing junk after parameter")
            return Token("PARAM", text[1:], at, end)
        if group == "dollar":
            close = sql.find(text, end)
            if close < 0:
                raise syntax_error(sql, at, len(sql), "unterminated dollar-quoted string")
            self.at = close + len(text)
            return Token("STRING", sql[end:close], at, self.at)
        return self._special(at, text)

    def _odd(self, at: int) -> Token:
        sql = self.sql
        if at >= len(sql):
            return Token("EOF", "", at, at)
        if sql[at] == "'":
            raise syntax_error(sql, at, len(sql), "unterminated quoted string")
        if sql[at] == '"':
            raise syntax_error(sql, at, len(sql), "unterminated quoted identifier")
        raise syntax_error(sql, at, at + 1)

    def _string(self, start: int, end: int, value: str) -> Token:
        """Joins literals that only a line break separates."""
        while (more := _CONTINUES.match(self.sql, end)) is not None:
            tail = re.compile(r"(?:[^']|'')*'").match(self.sql, more.end())
            if tail is None:
                raise syntax_error(self.sql, start, len(self.sql), "unterminated quoted string")
            value += tail.group()[:-1].replace("''", "'")
            end = tail.end()
        self.at = end
        return Token("STRING", value, start, end)

    def _quoted(self, start: int, end: int, name: str) -> Token:
        if not name:
            raise syntax_error(self.sql, start, end, "zero-length delimited identifier")
        return Token("IDENT", truncate(name), start, end)

    def _number(self, start: int, text: str) -> Token:
        kind = "INT" if text.isdigit() else "FLOAT"
        junk = _JUNK.match(self.sql, self.at)
        if junk is not None:
            self.at = junk.end()
            return Token("JUNK", text + junk.group(), start, self.at)
        if kind == "INT" and int(text) > 0x7FFFFFFF:
            kind = "FLOAT"
        return Token(kind, text, start, self.at)

    def _operator(self, start: int, text: str) -> Token:
        for comment in ("--", "/*"):
            found = text.find(comment)
            if found >= 0:
                text = text[:found]
        if len(text) > 1 and text[-1] in "+-" and not _UNUSUAL.search(text):
            text = text.rstrip("+-") or text[0]
        self.at = end = start + len(text)
        if len(text) == 1 and text in _SELF:
            return Token(text, text, start, end)
        if text in _COMPARISONS:
            return Token("<>" if text == "!=" else text, "<>" if text == "!=" else text, start, end)
        if len(text) >= 64:
            raise syntax_error(self.sql, start, end, "operator too long")
        return Token("OP", text, start, end)

    def _special(self, start: int, text: str) -> Token:
        """E'', B'', X'', N'', U&'' and U&""."""
        sql, at = self.sql, self.at
        letter = text[0].lower()
        if text == "/*":
            raise syntax_error(sql, start, len(sql), "unterminated /* comment")
        if letter == "u" and text.endswith('"'):
            match = re.compile(r'(?:[^"]|"")*"').match(sql, at)
            if match is None:
                raise syntax_error(sql, start, len(sql), "unterminated quoted identifier")
            self.at = match.end()
            return self._quoted(start, self.at, self._unicode(match.group()[:-1].replace('""', '"'), start))
        match = (_ESCAPED if letter == "e" else re.compile(r"(?:[^']|'')*'")).match(sql, at)
        if match is None:
            what = {"b": "unterminated bit string literal", "x": "unterminated hexadecimal string literal"}
            raise syntax_error(sql, start, len(sql), what.get(letter, "unterminated quoted string"))
        self.at = match.end()
        body = match.group()[:-1]
        if letter == "e":
            return Token("STRING", self._unescape(body.replace("''", "'"), start), start, self.at)
        body = body.replace("''", "'")
        if letter == "u":
            return Token("STRING", self._unicode(body, start), start, self.at)
        return Token({"b": "BIT", "x": "HEX", "n": "STRING"}[letter], body, start, self.at)

    def _unescape(self, body: str, start: int) -> str:
        def one(match: re.Match[str]) -> str:
            octal, hexa, u4, u8, other = match.groups()
            if octal or hexa:
                return chr(int(octal, 8) & 0xFF if octal else int(hexa, 16))
            if u4 or u8:
                return self._code_point(int(u4 or u8, 16), start)
            if other in ("u", "U"):
                raise PgError(
                    "22025",
                    "invalid Unicode escape",
                    hint="Unicode escapes must be \\uXXXX or \\UXXXXXXXX.",
                    position=start + len("e'") + _written(body, match.start()) + 1,
                )
            return _SIMPLE_ESCAPES.get(other, other)

        text = _ESCAPE.sub(one, body)
        if "\0" in text:
            raise PgError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
        return text

    def _unicode(self, body: str, start: int) -> str:
        def one(match: re.Match[str]) -> str:
            short, long = match.groups()
            if match.group() == "\\\\":
                return "\\"
            if not short and not long:
                raise PgError(
                    "42601",
                    "invalid Unicode escape",
                    hint="Unicode escapes must be \\XXXX or \\+XXXXXX.",
                    position=start + len("U&'") + _written(body, match.start()) + 1,
                )
            return self._code_point(int(short or long, 16), start)

        return re.sub(r"\\\\|\\(?:([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6}))?", one, body)

    def _code_point(self, number: int, start: int) -> str:
        if number == 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise PgError("42601", "invalid Unicode escape value", position=start + 1)
        return chr(number)


def tokenize(sql: str, at: int = 0) -> tuple[list[Token], PgError | None]:
    """All tokens from offset ``at``, EOF last; a lexical error ends them with an ERROR token.

    The error is returned rather than raised, for a syntax error before it comes first.
    """
    lexer = Lexer(sql, at)
    tokens: list[Token] = []
    try:
        while True:
            token = lexer.next()
            tokens.append(token)
            if token.kind == "EOF":
                return tokens, None
    except PgError as error:
        tokens.append(Token("ERROR", "", lexer.at, lexer.at))
        return tokens, error


def split(script: str) -> list[str]:
    """Cut a script into statements at top-level semicolons; empty ones vanish.

    Raises 42601 for an unterminated quote, dollar quote or comment; of a text that is plainly one statement,
    parsing it does.
    """
    if len(script) <= _MAX_KEPT:
        return list(_split_short(script))
    return [text for _, text in split_offsets(script)]


@lru_cache(maxsize=500)
def _split_short(script: str) -> tuple[str, ...]:
    """Clients send the same queries of catalogs again and again."""
    return tuple(text for _, text in split_offsets(script))


def split_offsets(script: str) -> list[tuple[int, str]]:
    """As :func:`split`, with the 0-based offset at which each statement's text begins."""
    parts: list[tuple[int, str]] = []
    lexer = Lexer(script)
    begin, first, depth = 0, -1, 0
    while True:
        token = lexer.next()
        at_end = token.kind == "EOF"
        if at_end or (token.kind == ";" and depth <= 0):
            if first >= 0:
                # the first keeps its leading blanks, so that error positions are the script's
                start = first if parts else begin
                parts.append((start, script[start : token.start]))
            if at_end:
                return parts
            begin, first, depth = token.end, -1, 0
            continue
        if first < 0:
            first = token.start
        depth += {"(": 1, ")": -1}.get(token.kind, 0)
