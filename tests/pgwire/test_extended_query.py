"""The extended protocol, message by message."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest

from laminar import types as t
from laminar.types import PgType

from .conftest import Running
from .raw import (
    FLUSH,
    SYNC,
    RawClient,
    bind,
    close,
    describe,
    error_fields,
    execute,
    message,
    parse,
    query,
    row_values,
)


def errors_of(answer: list[tuple[str, bytes]]) -> list[dict[str, str]]:
    return [error_fields(body) for code, body in answer if code == "E"]


def test_parse_bind_describe_execute(running: Running) -> None:
    with RawClient(running.port) as client:
        sql = "SELECT $1::int4, $2::text"
        answer = client.ask(parse(sql), describe(b"S"), bind((b"7", None)), describe(b"P"), execute(), SYNC)
        assert "".join(code for code, _ in answer) == "1tT2TDCZ"
        assert answer[1][1] == struct.pack("!hII", 2, 23, 25)
        assert row_values(answer[5][1]) == [b"7", None]
        assert answer[6] == ("C", b"SELECT 1\0")
        assert running.db.log == [sql, "<commit>"]


def test_formats(running: Running) -> None:
    with RawClient(running.port) as client:
        sql = "SELECT $1::int4, $2::int4"
        seven = struct.pack("!i", 7)
        answer = client.ask(
            parse(sql),
            bind((seven, b"8"), formats=(1, 0), result_formats=(0, 1)),
            describe(b"P"),
            execute(),
            SYNC,
        )
        assert row_values(answer[3][1]) == [b"7", struct.pack("!i", 8)]
        codes = [answer[2][1][i : i + 2] for i in (2 + 5 + 16, 2 + (5 + 18) + 5 + 16)]
        assert codes == [b"\0\0", b"\0\1"]
        answer = client.ask(bind((seven, seven), formats=(1,), result_formats=(1,)), execute(), SYNC)
        assert row_values(answer[1][1]) == [seven, seven]


def test_empty_query(running: Running) -> None:
    with RawClient(running.port) as client:
        assert client.codes(query("")) == "IZ"
        assert client.codes(query(" ; ")) == "IZ"
        assert client.codes(parse(""), bind(), describe(b"P"), describe(b"S"), execute(), SYNC) == "12ntnIZ"


def test_portal_suspended_and_resumed(running: Running) -> None:
    with RawClient(running.port) as client:
        assert client.codes(query("BEGIN")) == "CZ"
        client.ask(parse("COUNT 5"), bind(portal="p"), SYNC)
        assert client.codes(execute("p", 2), SYNC) == "DDsZ"
        answer = client.ask(execute("p", 2), execute("p", 2), SYNC)
        assert "".join(code for code, _ in answer) == "DDsDCZ"
        assert row_values(answer[3][1]) == [b"4"]
        assert answer[4] == ("C", b"SELECT 1\0")
        assert client.ask(execute("p"), SYNC)[0] == ("C", b"SELECT 0\0")
        assert client.codes(close(b"P", "p"), close(b"P", "p"), SYNC) == "33Z"
        assert errors_of(client.ask(execute("p"), SYNC))[0]["C"] == "34000"


def test_portals_end_with_their_transaction(running: Running) -> None:
    with RawClient(running.port) as client:
        assert client.codes(parse("COUNT 5"), bind(portal="p"), execute("p", 1), SYNC) == "12DsZ"
        assert errors_of(client.ask(execute("p", 1), SYNC))[0]["C"] == "34000"
        client.ask(query("BEGIN"))
        assert client.codes(parse("COUNT 5", "c"), bind(portal="p", statement="c"), SYNC) == "12Z"
        answer = client.ask(parse("COMMIT"), bind(), execute(), execute("p"), SYNC)
        assert "".join(code for code, _ in answer) == "12CEZ"
        assert errors_of(answer)[0]["C"] == "34000"


def test_a_command_portal_runs_once(running: Running) -> None:
    with RawClient(running.port) as client:
        answer = client.ask(parse("SET a = 'b'"), bind(), execute(), execute(), SYNC)
        assert "".join(code for code, _ in answer) == "12CEZ"
        assert errors_of(answer)[0]["C"] == "55000"


def test_error_skips_to_sync(running: Running) -> None:
    with RawClient(running.port) as client:
        answer = client.ask(
            parse("ERROR 22012 division by zero"), bind(), execute(),
            parse("SELECT 1"), bind(), execute(), query("SELECT 2"), FLUSH, SYNC,
        )  # fmt: skip
        assert "".join(code for code, _ in answer) == "12EZ"
        assert running.db.log == ["ERROR 22012 division by zero", "<rollback>"]
        assert client.codes(query("SELECT 1")) == "TDCZ"


def test_all_error_fields_arrive(running: Running) -> None:
    with RawClient(running.port) as client:
        (fields,) = errors_of(client.ask(query("SELECT 1;  ERROR 22012 division by zero")))
        assert fields == {
            "S": "ERROR", "V": "ERROR", "C": "22012", "M": "division by zero", "D": "the detail",
            "H": "the hint", "P": "14", "s": "sch", "t": "tab", "c": "col", "n": "con", "d": "typ",
            "W": "the where",
        }  # fmt: skip


def test_a_defect_is_an_internal_error_not_the_end(running: Running) -> None:
    with RawClient(running.port) as client:
        assert errors_of(client.ask(query("CRASH")))[0]["C"] == "XX000"
        assert client.codes(query("SELECT 1")) == "TDCZ"


def test_flush_sends_what_is_there(running: Running) -> None:
    with RawClient(running.port) as client:
        client.send(parse("SELECT 1"), FLUSH)
        assert client.receive() == ("1", b"")
        client.send(bind(), describe(b"P"), FLUSH)
        assert [client.receive()[0] for _ in range(2)] == ["2", "T"]  # type: ignore[index]
        assert client.codes(SYNC) == "Z"


def test_transaction_status(running: Running) -> None:
    with RawClient(running.port) as client:
        assert client.ask(query("BEGIN"))[-1] == ("Z", b"T")
        assert client.ask(query("ERROR 22012 no"))[-1] == ("Z", b"E")
        assert errors_of(client.ask(query("SELECT 1")))[0]["C"] == "25P02"
        assert client.ask(query("ROLLBACK"))[-1] == ("Z", b"I")


def test_named_statements(running: Running) -> None:
    with RawClient(running.port) as client:
        assert client.codes(parse("SELECT 1", "s"), SYNC) == "1Z"
        assert errors_of(client.ask(parse("SELECT 2", "s"), SYNC))[0]["C"] == "42P05"
        assert client.codes(bind(statement="s"), execute(), SYNC) == "2DCZ"
        assert client.codes(close(b"S", "s"), parse("SELECT 2", "s"), SYNC) == "31Z"
        assert client.codes(query("SELECT 1")) == "TDCZ"
        assert client.codes(bind(statement="s"), SYNC) == "2Z"


@pytest.mark.parametrize(
    ("messages", "sqlstate", "text"),
    [
        ((bind(statement="no"),), "26000", 'prepared statement "no" does not exist'),
        ((bind(),), "26000", "unnamed prepared statement does not exist"),
        ((execute("no"),), "34000", 'portal "no" does not exist'),
        ((describe(b"P", "no"),), "34000", 'portal "no" does not exist'),
        ((describe(b"X"),), "08P01", "invalid DESCRIBE message subtype 88"),
        ((close(b"X"),), "08P01", "invalid CLOSE message subtype 88"),
        ((parse("SELECT 1; SELECT 2"),), "42601",
        "cannot insert multiple commands into a prepared statement"),
        ((parse("SELECT $1::int4"), bind()), "08P01",
        'bind message supplies 0 parameters, but prepared statement "" requires 1'),
        ((parse("SELECT $1::int4"), bind((b"1",), formats=(0, 0))), "08P01",
        "bind message has 2 parameter formats but 1 parameters"),
        ((parse("SELECT 1"), bind(result_formats=(0, 0))), "08P01",
        "bind message has 2 result formats but query has 1 columns"),
        ((parse("SELECT 1"), bind(result_formats=(7,))), "22023", "unsupported format code: 7"),
        ((parse("SELECT $1::int4"), bind((b"vwxyz",), formats=(1,))), "22P03",
        "incorrect binary data format in bind parameter 1"),
        ((parse("SELECT $1::int4"), bind((b"xyz",))), "22P02", "invalid input syntax"),
        ((parse("SELECT 1"), bind(portal="p"), bind(portal="p")), "42P03", 'cursor "p" already exists'),
        ((message(b"P", b"abc"),), "08P01", "invalid string in message"),
        ((message(b"B", b"\0\0\0\1"),), "08P01", "insufficient data left in message"),
        ((message(b"B", b"\0\0\0\0\0\1\0\0\0\x10ab"),), "08P01", "insufficient data left in message"),
        ((message(b"E", b"\0\0\0\0\0extra"),), "08P01", "invalid message format"),
        ((message(b"P", b"\0\xff\xff\0\0\0"),), "22021", 'invalid byte sequence for encoding "UTF8": 0xff'),
    ],
)  # fmt: skip
def test_errors(running: Running, messages: tuple[bytes, ...], sqlstate: str, text: str) -> None:
    with RawClient(running.port) as client:
        answer = client.ask(*messages, SYNC)
        (fields,) = errors_of(answer)
        assert (fields["S"], fields["C"]) == ("ERROR", sqlstate)
        assert text in fields["M"]
        assert client.codes(query("SELECT 1")) == "TDCZ"


def test_function_call_is_refused(running: Running) -> None:
    with RawClient(running.port) as client:
        assert errors_of(client.ask(message(b"F", b"\0\0\0\1\0\0\0\0\0\0")))[0]["C"] == "0A000"


def test_settings_are_reported_when_they_change(running: Running) -> None:
    with RawClient(running.port) as client:
        assert client.ask(query("SET timezone = 'Asia/Tokyo'")) == [
            ("C", b"SET\0"), ("S", b"TimeZone\0Asia/Tokyo\0"), ("Z", b"I"),
        ]  # fmt: skip
        assert client.codes(query("SET timezone = 'Asia/Tokyo'")) == "CZ"
        assert client.codes(parse("SET DateStyle = 'German'"), bind(), execute(), SYNC) == "12CSZ"


def test_notice(running: Running) -> None:
    with RawClient(running.port) as client:
        answer = client.ask(query("NOTICE look here"))
        assert answer[0][0] == "N"
        assert error_fields(answer[0][1]) == {
            "S": "NOTICE",
            "V": "NOTICE",
            "C": "00000",
            "M": "look here",
            "H": "see",
        }


def test_names_of_catalog_objects(running: Running) -> None:
    """regclass and the like are names as text and oids in binary."""
    oids = pa.record_batch({"r": pa.array([7, None], pa.uint32())})
    running.db.add("t", {"r": PgType(t.REGCLASS)}, oids)
    with RawClient(running.port) as client:
        for code, shown in ((0, b"name7"), (1, struct.pack("!I", 7))):
            answer = client.ask(
                parse("TABLE t"), bind(result_formats=(code,)), describe(b"P"), execute(), SYNC
            )
            assert struct.pack("!I", t.REGCLASS) in answer[2][1]
            assert [row_values(body) for kind, body in answer if kind == "D"] == [[shown], [None]]
        data = [body for kind, body in client.ask(query("COPY t TO STDOUT")) if kind == "d"]
        assert data == [b"name7\n", b"\\N\n"]


def test_rows_of_wrong_types_are_an_internal_error(running: Running) -> None:
    running.db.add("t", {"a": PgType(t.INT4)}, pa.record_batch({"a": pa.array([1], pa.int64())}))
    with RawClient(running.port) as client:
        assert errors_of(client.ask(query("TABLE t")))[0]["C"] == "XX000"
        assert client.codes(query("SELECT 1")) == "TDCZ"
