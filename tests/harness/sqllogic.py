"""SQL test files: the sqllogictest format, read, run over a real connection, written back.

Records, separated by blank lines; sql_tests/README.md describes them to those who write files::

    statement ok                        statement error 22012 division by zero
    INSERT INTO t VALUES (1)            SELECT 1 / 0

    query int4 text rowsort             copy ok
    SELECT a, b FROM t                  COPY t FROM STDIN (FORMAT csv)
    ----                                ----
    1	x                               1,x
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from psycopg import pq

Protocol = Literal["simple", "extended"]

SORT_MODES = ("nosort", "rowsort", "valuesort")
#: a query that is asked again until it gives what is expected: the end of a source, for example
EVENTUALLY = "eventually"
#: seconds after which it has failed
PATIENCE = 30
#: classic one-letter types -> names they stand for
LETTERS = {
    "I": {"int2", "int4", "int8", "oid"},
    "R": {"float4", "float8", "numeric"},
    "B": {"bool"},
    "D": {"date", "time", "timestamp", "timestamptz", "interval"},
    "T": {"text", "varchar", "bpchar", "name", "char", "unknown"},
}
TYPE_NAMES = {
    16: "bool", 17: "bytea", 18: "char", 19: "name", 20: "int8", 21: "int2", 23: "int4", 24: "regproc",
    25: "text", 26: "oid", 114: "json", 700: "float4", 701: "float8", 705: "unknown", 1042: "bpchar",
    1043: "varchar", 1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1186: "interval",
    1700: "numeric", 2205: "regclass", 2206: "regtype", 2249: "record", 2278: "void", 2950: "uuid",
    3802: "jsonb", 1000: "_bool", 1001: "_bytea", 1005: "_int2", 1007: "_int4", 1016: "_int8", 1009: "_text",
    1014: "_bpchar", 1015: "_varchar", 1021: "_float4", 1022: "_float8", 1115: "_timestamp", 1182: "_date",
    1183: "_time", 1185: "_timestamptz", 1187: "_interval", 1231: "_numeric", 2951: "_uuid", 199: "_json",
    3807: "_jsonb", 1003: "_name", 1028: "_oid",
}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One statement and what it should do.

    Args:
        line: of the header, from 1.
        kind: statement, query or copy.
        args: the header's words behind the kind.
        body: the expected rows (query) or the data (copy).
        only, skip: labels of ``onlyif`` and ``skipif`` before it.
        connection: which of the file's connections runs it.
    """

    line: int
    kind: Literal["statement", "query", "copy"]
    args: tuple[str, ...]
    sql: str
    body: tuple[str, ...] | None = None
    only: frozenset[str] = frozenset()
    skip: frozenset[str] = frozenset()
    connection: str = ""

    @property
    def sort_mode(self) -> str:
        return next((a for a in self.args if a in SORT_MODES), "nosort")

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(a for a in self.args if a not in SORT_MODES and a != EVENTUALLY)

    def runs_for(self, labels: set[str]) -> bool:
        return self.only <= labels and not self.skip & labels

    def header(self) -> str:
        return " ".join((self.kind, *self.args))


class Failed(AssertionError):
    """A record that did not do what its file says."""


@dataclass
class TestFile:
    """A parsed file: records, and the lines between them as they were."""

    path: Path
    #: text to keep as it is, or a record
    parts: list[str | Record] = field(default_factory=list)

    __test__ = False

    @property
    def records(self) -> list[Record]:
        return [p for p in self.parts if isinstance(p, Record)]

    def render(self) -> str:
        """The file's text, records as they are now."""
        return "".join(_render(p) if isinstance(p, Record) else p + "\n" for p in self.parts)


def _render(record: Record) -> str:
    lines = [record.header(), record.sql]
    if record.body is not None:
        lines += ["----", *record.body]
    return "".join(line + "\n" for line in lines)


# --- reading ----------------------------------------------------------------------


def parse(path: Path) -> TestFile:
    """Read a file; ValueError with path and line for what is not understood."""
    file = TestFile(path)
    lines = path.read_text().split("\n")
    if lines and not lines[-1]:
        lines.pop()
    file.parts.extend(_Reader(path, lines).parts())
    return file


class _Reader:
    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path = path
        self.lines = lines
        self.at = 0

    def parts(self) -> Iterator[str | Record]:
        only: set[str] = set()
        skip: set[str] = set()
        connection = ""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            words = line.split()
            kind = words[0] if words else ""
            match kind:
                case "statement" | "query" | "copy":
                    yield self._record(kind, tuple(words[1:]), only, skip, connection)  # type: ignore[arg-type]
                    only, skip = set(), set()
                    continue
                case "onlyif":
                    only.add(words[1])
                case "skipif":
                    skip.add(words[1])
                case "connection":
                    connection = words[1] if len(words) > 1 else ""
                case "halt":
                    return
                case "":
                    pass
                case _ if kind.startswith("#"):
                    pass
                case _:
                    raise ValueError(f"{self.path}:{self.at + 1}: {line!r} is no record")
            self.at += 1
            yield line

    def _record(
        self,
        kind: Literal["statement", "query", "copy"],
        args: tuple[str, ...],
        only: set[str],
        skip: set[str],
        connection: str,
    ) -> Record:
        line = self.at + 1
        self.at += 1
        sql = self._block(until_rule=kind != "statement")
        body = None
        if self.at < len(self.lines) and self.lines[self.at] == "----":
            self.at += 1
            body = tuple(self._block(until_rule=False).split("\n")) if self._more() else ()
        if not sql or (kind in ("statement", "copy") and args[:1] not in (("ok",), ("error",))):
            raise ValueError(f"{self.path}:{line}: incomplete {kind}")
        return Record(line, kind, args, sql, body, frozenset(only), frozenset(skip), connection)

    def _more(self) -> bool:
        return self.at < len(self.lines) and self.lines[self.at] != ""

    def _block(self, until_rule: bool) -> str:
        start = self.at
        while self._more() and not (until_rule and self.lines[self.at] == "----"):
            self.at += 1
        return "\n".join(self.lines[start : self.at])


# --- running ----------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What the server answered: an error, or a table of texts (empty for a command)."""

    sqlstate: str = ""
    message: str = ""
    position: str = ""
    types: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def failed(self) -> bool:
        return bool(self.sqlstate)


class Runner:
    """Runs records over connections of one database.

    Args:
        conninfo: libpq connection string.
        protocol: simple query strings, or Parse/Bind/Describe/Execute.
        labels: what onlyif and skipif know: the engine's name and the protocol's.
    """

    SCHEMA = "sqltest"

    def __init__(self, conninfo: str, protocol: Protocol, engine: str) -> None:
        self._conninfo = conninfo
        self._protocol = protocol
        self.labels = {engine, protocol}
        self._connections: dict[str, pq.PGconn] = {}

    def run_file(self, file: TestFile) -> None:
        """All records in a schema of their own, which goes afterwards."""
        with self:
            for record in file.records:
                if record.runs_for(self.labels):
                    self.check(record, file.path)

    def check(self, record: Record, path: Path) -> None:
        """Run a record and judge it, again and again if it may take a while."""
        deadline = time.monotonic() + PATIENCE
        outcome = self.run(record)
        while EVENTUALLY in record.args and _problem(record, outcome) and time.monotonic() < deadline:
            time.sleep(0.05)
            outcome = self.run(record)
        check(record, outcome, path)

    def __enter__(self) -> Runner:
        self._command(f"DROP SCHEMA IF EXISTS {self.SCHEMA} CASCADE")
        self._command(f"CREATE SCHEMA {self.SCHEMA}")
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._connections):
            self._connections.pop(name).finish()
        self._command(f"DROP SCHEMA IF EXISTS {self.SCHEMA} CASCADE")
        self._connections.pop("").finish()

    def _command(self, sql: str) -> None:
        outcome = simple(self._connection(""), sql)
        if outcome.failed:
            raise Failed(f"{sql}: {outcome.sqlstate} {outcome.message}")

    def _connection(self, name: str) -> pq.PGconn:
        if name not in self._connections:
            connection = pq.PGconn.connect(self._conninfo.encode())
            if connection.status != pq.ConnStatus.OK:
                raise Failed(connection.error_message.decode())
            self._connections[name] = connection
            # DateStyle and TimeZone may be the client's, through PGTZ and the like
            simple(connection, f"SET search_path = {self.SCHEMA}")
            simple(connection, "SET TimeZone = 'UTC'")
        return self._connections[name]

    def run(self, record: Record) -> Outcome:
        connection = self._connection(record.connection)
        if record.kind == "copy":
            return copy_in(connection, record.sql, "".join(line + "\n" for line in record.body or ()))
        send = simple if self._protocol == "simple" else extended
        return send(connection, record.sql)


def simple(connection: pq.PGconn, sql: str) -> Outcome:
    return _outcome(connection.exec_(sql.encode()))


def extended(connection: pq.PGconn, sql: str) -> Outcome:
    prepared = connection.prepare(b"", sql.encode())
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        return _outcome(prepared)
    described = connection.describe_prepared(b"")
    result = connection.exec_prepared(b"", [])
    outcome = _outcome(result)
    if result.status == pq.ExecStatus.TUPLES_OK:
        told = tuple(described.ftype(i) for i in range(described.nfields))
        sent = tuple(result.ftype(i) for i in range(result.nfields))
        if told != sent:
            raise Failed(f"Describe told types {told}, the result has {sent}")
    return outcome


def copy_in(connection: pq.PGconn, sql: str, data: str) -> Outcome:
    result = connection.exec_(sql.encode())
    if result.status != pq.ExecStatus.COPY_IN:
        return _outcome(result)
    connection.put_copy_data(data.encode())
    connection.put_copy_end()
    outcome = _outcome(connection.get_result() or result)
    while connection.get_result() is not None:
        pass
    return outcome


def _outcome(result: pq.PGresult) -> Outcome:
    if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
        fields = (pq.DiagnosticField.SQLSTATE, pq.DiagnosticField.MESSAGE_PRIMARY)
        state, message = ((result.error_field(f) or b"").decode() for f in fields)
        where = (result.error_field(pq.DiagnosticField.STATEMENT_POSITION) or b"").decode()
        return Outcome(state or "?????", message or result.error_message.decode(), where)
    if result.status != pq.ExecStatus.TUPLES_OK:
        return Outcome()
    types = tuple(TYPE_NAMES.get(result.ftype(i), str(result.ftype(i))) for i in range(result.nfields))
    rows = tuple(
        tuple(_show(result.get_value(r, c)) for c in range(result.nfields)) for r in range(result.ntuples)
    )
    return Outcome(types=types, rows=rows)


_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def _show(value: bytes | None) -> str:
    """A value as files have it: on one line, null and the empty string visible."""
    if value is None:
        return "NULL"
    return value.decode("utf-8", "backslashreplace").translate(_ESCAPES) or "(empty)"


# --- judging ----------------------------------------------------------------------


def check(record: Record, outcome: Outcome, path: Path) -> None:
    """Raises Failed when the outcome is not what the record says."""
    problem = _problem(record, outcome)
    if problem:
        raise Failed(f"{path}:{record.line}: {problem}\n{record.sql}")


def _problem(record: Record, outcome: Outcome) -> str | None:
    if record.kind != "query" and record.args[0] == "error":
        return _wrong_error(record.args[1:], outcome)
    if outcome.failed:
        return f"failed with {outcome.sqlstate}: {outcome.message}"
    if record.kind != "query":
        return None
    if not types_match(record.types, outcome.types):
        return f"types are {' '.join(outcome.types)}, not {' '.join(record.types)}"
    expected, actual = list(record.body or ()), lines_of(outcome, record.sort_mode)
    if expected == actual:
        return None
    # the classic form: a value a line
    if record.sort_mode != "rowsort" and expected == [v for line in actual for v in line.split("\t")]:
        return None
    return "expected\n" + "\n".join(expected) + "\ngot\n" + "\n".join(actual)


def _wrong_error(args: tuple[str, ...], outcome: Outcome) -> str | None:
    if not outcome.failed:
        return "succeeded, but an error is expected"
    if args and outcome.sqlstate not in args[0].split("|"):
        return f"SQLSTATE is {outcome.sqlstate} ({outcome.message}), not {args[0]}"
    rest = args[1:]
    if rest and re.fullmatch(r"@\d+", rest[0]):
        if rest[0] != f"@{outcome.position}":
            return f"position is {outcome.position or 'none'}, not {rest[0][1:]}"
        rest = rest[1:]
    pattern = " ".join(rest)
    if pattern and " ".join(outcome.message.split()) != pattern and not re.search(pattern, outcome.message):
        return f"message is {outcome.message!r}, not {pattern!r}"
    return None


def types_match(expected: tuple[str, ...], actual: tuple[str, ...]) -> bool:
    """Names one by one, or one word of classic letters ("ITR", "?" being anything)."""
    if len(expected) == 1 and expected != actual and re.fullmatch("[A-Z?]+", expected[0]):
        pairs = zip(expected[0], actual, strict=False)
        fits = all(letter == "?" or name in LETTERS.get(letter, ()) for letter, name in pairs)
        return fits and len(expected[0]) == len(actual)
    return expected == actual


def lines_of(outcome: Outcome, sort_mode: str) -> list[str]:
    """The rows as a file has them: values apart by tabs, sorted as asked."""
    if sort_mode == "valuesort":
        return sorted(value for row in outcome.rows for value in row)
    lines = ["\t".join(row) for row in outcome.rows]
    return sorted(lines) if sort_mode == "rowsort" else lines
