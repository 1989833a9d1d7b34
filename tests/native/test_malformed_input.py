"""Whatever bytes arrive, the answer is a value that prints and reads back, or a PgError."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from laminar import types as t
from laminar._native.textio import FormatSettings, decode_binary, encode_binary, format_text, parse_text
from laminar.errors import PgError
from laminar.types import PgType, numeric
from tests.native.oracle import texts_of

SEEDS = [
    text
    for name in ("numbers", "dates", "intervals", "jsons", "arrays", "text_arrays", "uuids", "byteas")
    for text in texts_of(name)
]
TYPES = [PgType(oid) for oid in (*t.ARRAY_OF, *t.ELEMENT_OF)] + [
    numeric(9, 3),
    PgType(t.VARCHAR, 7),
    PgType(t.BPCHAR, 7),
]
SETTINGS = FormatSettings("Postgres, YMD", "sql_standard", "America/St_Johns", now=1_700_000_000_000_000)


def mutated(rng: random.Random, text: str) -> str:
    letters = list(text)
    for _ in range(rng.randrange(0, 4)):
        at = rng.randrange(len(letters) + 1)
        action = rng.randrange(3)
        if action == 0:
            letters.insert(at, rng.choice("0123456789-+:./ eEtTzZ{}[]\",\\'PYMD\x01\té"))
        elif letters and action == 1:
            del letters[rng.randrange(len(letters))]
        elif letters:
            letters[at:at] = letters[: rng.randrange(len(letters))]
    return "".join(letters)


@pytest.mark.parametrize("type", TYPES, ids=lambda type: f"{type.oid}.{type.typmod}")
def test_text(type: PgType) -> None:
    rng = random.Random(type.oid)
    for _ in range(400):
        text = mutated(rng, rng.choice(SEEDS))
        try:
            value = parse_text(pa.array([text]), type, SETTINGS)
        except PgError as e:
            assert len(e.sqlstate) == 5
            continue
        binary = encode_binary(value, type)
        assert encode_binary(decode_binary(binary, type), type).equals(binary)
        assert format_text(value, type, SETTINGS).null_count == 0


@pytest.mark.parametrize("type", TYPES, ids=lambda type: f"{type.oid}.{type.typmod}")
def test_binary(type: PgType) -> None:
    rng = random.Random(type.oid)
    good = []
    for text in SEEDS:
        try:
            good.append(encode_binary(parse_text(pa.array([text]), type), type)[0].as_py())
        except PgError:
            continue
    for _ in range(400):
        raw = bytearray(rng.choice(good) if good and rng.random() < 0.8 else rng.randbytes(rng.randrange(40)))
        for _ in range(rng.randrange(4)):
            if raw:
                raw[rng.randrange(len(raw))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        del raw[rng.randrange(len(raw) + 1) + rng.choice([0, len(raw)]) :]
        try:
            value = decode_binary(pa.array([bytes(raw)], pa.binary()), type)
        except PgError as e:
            assert len(e.sqlstate) == 5
            continue
        text = format_text(value, type)
        assert text.null_count == 0
        assert encode_binary(decode_binary(encode_binary(value, type), type), type).equals(
            encode_binary(value, type)
        )
