"""Text and binary input and output of every type, against PostgreSQL."""

from __future__ import annotations

import pickle
import random
import struct

import psycopg
import pyarrow as pa
import pytest

from laminar import types as t
from laminar._native.textio import (
    FormatSettings,
    decode_binary,
    encode_binary,
    format_text,
    parse_one,
    parse_text,
)
from laminar.errors import PgError
from laminar.types import PgType, numeric
from tests.native.oracle import ask, check, texts_of, told

NUMBERS = texts_of("numbers")
MISC = texts_of("booleans")
UUIDS = texts_of("uuids")
BYTEAS = texts_of("byteas")
JSONS = texts_of("jsons")
ARRAYS = texts_of("arrays")
TEXT_ARRAYS = texts_of("text_arrays")

CASES = {
    "int2": (PgType(t.INT2), NUMBERS),
    "int4": (PgType(t.INT4), NUMBERS),
    "int8": (PgType(t.INT8), NUMBERS),
    "oid": (PgType(t.OID), [n for n in NUMBERS if "x" not in n]),
    "float4": (PgType(t.FLOAT4), NUMBERS),
    "float8": (PgType(t.FLOAT8), NUMBERS),
    "numeric": (PgType(t.NUMERIC), NUMBERS),
    "numeric(10,2)": (numeric(10, 2), NUMBERS),
    "numeric(38,38)": (numeric(38, 38), NUMBERS),
    "numeric(50,10)": (numeric(50, 10), NUMBERS),
    "numeric(3,-2)": (numeric(3, -2), NUMBERS),
    "numeric(2,5)": (numeric(2, 5), NUMBERS),
    "bool": (PgType(t.BOOL), MISC),
    "uuid": (PgType(t.UUID), UUIDS),
    "bytea": (PgType(t.BYTEA), BYTEAS),
    "json": (PgType(t.JSON), JSONS),
    "jsonb": (PgType(t.JSONB), JSONS),
    "int4[]": (PgType(t.ARRAY_OF[t.INT4]), ARRAYS),
    "text[]": (PgType(t.ARRAY_OF[t.TEXT]), TEXT_ARRAYS),
    "numeric[]": (PgType(t.ARRAY_OF[t.NUMERIC]), ARRAYS),
}


def read_and_print(text: str, type: PgType, settings: FormatSettings | None = None) -> str | None:
    """Our answer to ``text::type::text``."""
    try:
        array = parse_text(pa.array([text]), type, settings)
        again = decode_binary(encode_binary(array, type), type)
        assert again.equals(array) or "nan" in text.lower(), text
        if type.oid not in (t.NUMERIC, t.TIME):  # NaN and 24:00:00 are beyond what Arrow thinks valid
            array.validate(full=True)
        return format_text(array, type, settings)[0].as_py()
    except PgError as e:
        return told(e)


@pytest.mark.parametrize("name", CASES)
def test_text_and_back(pg: psycopg.Connection, name: str) -> None:
    type, texts = CASES[name]
    theirs = ask(pg, f"format('%s', $1::{name})", [[text] for text in texts])
    ours = [read_and_print(text, type) for text in texts]
    check(texts, ours, theirs)


@pytest.mark.parametrize("name", CASES)
def test_binary_is_postgresqls(pg: psycopg.Connection, name: str) -> None:
    type, texts = CASES[name]
    good = [text for text in texts if not str(read_and_print(text, type)).startswith("!")]
    with pg.cursor(binary=True) as cursor:
        cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS sent (n serial, v {name})")
        cursor.execute("TRUNCATE sent")
        cursor.executemany(f"INSERT INTO sent (v) VALUES (%s::text::{name})", [[text] for text in good])
        cursor.execute("SELECT v FROM sent ORDER BY n")
        result = cursor.pgresult
        assert result is not None
        theirs = [result.get_value(i, 0) for i in range(result.ntuples)]
        cursor.execute("DROP TABLE sent")
    ours = encode_binary(parse_text(pa.array(good, pa.string()), type), type).to_pylist()
    if name.startswith("jsonb"):
        return  # key order inside a jsonb is PostgreSQL's own; the text test covers it
    check(good, ours, theirs)


def test_nulls_slices_and_empty() -> None:
    for type, texts in CASES.values():
        good = [text for text in texts if not str(read_and_print(text, type)).startswith("!")][:5]
        column = pa.array([None, *good, None, *good], pa.string())
        array = parse_text(column, type)
        assert array.type == type.storage
        assert array.null_count == 2
        whole = format_text(array, type).to_pylist()
        assert format_text(array.slice(2, 6), type).to_pylist() == whole[2:8]
        assert len(parse_text(column.slice(0, 0), type)) == 0


def test_character_lengths(pg: psycopg.Connection) -> None:
    texts = ["", "a", "abc", "abcd", "abc  ", "ééé", "éééé", "日本 ", "  "]
    for name, type in {
        "varchar(3)": PgType(t.VARCHAR, 7),
        "char(3)": PgType(t.BPCHAR, 7),
        "name": PgType(t.NAME),
    }.items():
        many = [*texts, "x" * 70, "é" * 40]
        array = name != "char(3)"
        ours = [read_and_print(text, type) for text in many]
        with pg.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE lengths (v {name})")
            theirs = []
            for text in many:
                try:
                    cursor.execute("TRUNCATE lengths")
                    cursor.execute("INSERT INTO lengths VALUES (%s)", [text])
                    cursor.execute("SELECT octet_length(v), v FROM lengths")
                    row = cursor.fetchone()
                    assert row is not None
                    theirs.append(row[1])
                    assert array or row[0] == len(row[1].encode())
                except psycopg.Error as e:
                    theirs.append(f"!{e.sqlstate} {e.diag.message_primary}")
            cursor.execute("DROP TABLE lengths")
        check(many, ours, theirs)


@pytest.mark.parametrize(
    "bad",
    [b"\xff", b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"abcdefghi\x00", b"\xe0\x80\x80"],
)
def test_text_must_be_utf8(bad: bytes) -> None:
    with pytest.raises(PgError, match="invalid byte sequence") as e:
        decode_binary(pa.array([bad], pa.binary()), PgType(t.TEXT))
    assert e.value.sqlstate == "22021"


@pytest.mark.parametrize(
    ("type", "bad", "state"),
    [
        (PgType(t.INT4), b"\0\0\0", "08P01"),
        (PgType(t.INT4), b"\0\0\0\0\0", "22P03"),
        (PgType(t.NUMERIC), b"\0\1\0\0\0\0\0\0", "08P01"),
        (PgType(t.NUMERIC), b"\0\1\0\0\0\0\0\0\x27\x10", "22P03"),
        (PgType(t.NUMERIC), b"\0\0\0\0\1\0\0\0", "22P03"),
        (PgType(t.JSONB), b"\2{}", "XX000"),
        (PgType(t.TIME), (86400000001).to_bytes(8, "big"), "22008"),
        (PgType(t.TIMESTAMP), (1 << 62).to_bytes(8, "big", signed=True)[:7], "08P01"),
        (PgType(t.ARRAY_OF[t.INT4]), b"\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\1", "08P01"),
        (PgType(t.ARRAY_OF[t.INT4]), b"\0\0\0\0\0\0\0\0\0\0\0\x14", "42804"),
    ],
)
def test_bad_binary(type: PgType, bad: bytes, state: str) -> None:
    with pytest.raises(PgError) as e:
        decode_binary(pa.array([bad], pa.binary()), type)
    assert e.value.sqlstate == state


def test_float_digits_and_bytea_output(pg: psycopg.Connection) -> None:
    texts = ["0.1", "1e100", "123456789", "-0", "3.14159265358979"]
    for digits in (-3, 0, 1, 3):
        with pg.cursor() as cursor:
            cursor.execute(f"SET extra_float_digits = {digits}")
        theirs = ask(pg, "$1::float8", [[text] for text in texts])
        settings = FormatSettings(extra_float_digits=digits)
        check(texts, [read_and_print(x, PgType(t.FLOAT8), settings) for x in texts], theirs)
    with pg.cursor() as cursor:
        cursor.execute("RESET extra_float_digits")
        cursor.execute("SET bytea_output = escape")
    good = [text for text in BYTEAS if not str(read_and_print(text, PgType(t.BYTEA))).startswith("!")]
    theirs = ask(pg, "$1::bytea", [[text] for text in good])
    with pg.cursor() as cursor:
        cursor.execute("RESET bytea_output")
    settings = FormatSettings(bytea_output="escape")
    check(good, [read_and_print(x, PgType(t.BYTEA), settings) for x in good], theirs)


def test_parse_one_gives_values_that_arrow_takes_back() -> None:
    for text, type in [
        ("1.50", numeric(5, 2)),
        ("infinity", PgType(t.TIMESTAMPTZ)),
        ("{1,NULL}", PgType(1007)),
        ("1 mon", PgType(t.INTERVAL)),
    ]:
        value = parse_one(text, type)
        assert format_text(pa.array([value], type.storage), type)[0].as_py() in (text, "1 mon")


def test_settings() -> None:
    settings = FormatSettings("SQL, DMY", "iso_8601", "europe/berlin", now=5)
    copy = pickle.loads(pickle.dumps(settings))
    assert (copy.date_style, copy.timezone, copy.now) == ("SQL, DMY", "europe/berlin", 5)
    for wrong in (
        {"date_style": "XML"},
        {"timezone": "Mars/Phobos"},
        {"timezone": "../../etc/passwd"},
        {"interval_style": "x"},
    ):
        with pytest.raises(PgError) as e:
            FormatSettings(**wrong)
        assert e.value.sqlstate == "22023"


def test_random_floats(pg: psycopg.Connection) -> None:
    rng = random.Random(5)
    doubles = [struct.unpack("d", rng.randbytes(8))[0] for _ in range(2000)]
    doubles += [float(rng.randrange(2**53, 2**70)) for _ in range(1000)] + [10.0**n for n in range(-30, 40)]
    doubles += [float(5 * 2**n) for n in range(60)] + [float((2**53 + 1 + 10 * k) << 4) for k in range(300)]
    for name, type in (("float8", PgType(t.FLOAT8)), ("float4", PgType(t.FLOAT4))):
        array = pa.array(doubles).cast(type.storage, safe=False)
        texts = format_text(array, type).to_pylist()
        theirs = ask(pg, f"$1::{name}", [[repr(x)] for x in array.cast(pa.float64()).to_pylist()])
        check(doubles, texts, theirs)
