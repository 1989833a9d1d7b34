"""Payloads of the log's records: transactions and epochs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from laminar.engine.change import Change
from laminar.engine.protocol import PartitionState, Positions

#: rows that a commit brought into one epoch
TRANSACTION = 1
#: an epoch that has been computed; published once this is durable
EPOCH = 2

_TRANSACTION = struct.Struct("<QQ")  # epoch, number of changes
_CHANGE = struct.Struct("<qQQQ")  # relation, schema bytes, batch bytes, rows with weights or 0


def encode_transaction(epoch: int, changes: list[tuple[int, Change]]) -> list[Any]:
    """Parts of a TRANSACTION payload. Every Arrow part starts at a multiple of 8."""
    parts: list[Any] = [_TRANSACTION.pack(epoch, len(changes))]
    for relation, change in changes:
        schema = change.batch.schema.serialize().to_pybytes()
        schema += bytes(-len(schema) % 8)
        batch = change.batch.serialize()
        weights = b"" if change.weights is None else np.ascontiguousarray(change.weights, np.int64)
        parts += [_CHANGE.pack(relation, len(schema), batch.size, len(weights)), schema, batch]
        if len(weights):
            parts.append(weights)
    return parts


def decode_transaction(payload: memoryview) -> tuple[int, list[tuple[int, Change]]]:
    """(epoch, changes); batches are views of ``payload``."""
    epoch, count = _TRANSACTION.unpack_from(payload)
    buffer = pa.py_buffer(payload)
    at = _TRANSACTION.size
    changes = []
    for _ in range(count):
        relation, schema_size, batch_size, weighted = _CHANGE.unpack_from(payload, at)
        at += _CHANGE.size
        schema = pa.ipc.read_schema(buffer.slice(at, schema_size))
        at += schema_size
        batch = pa.ipc.read_record_batch(buffer.slice(at, batch_size), schema)
        at += batch_size
        weights = np.frombuffer(payload, np.int64, weighted, at) if weighted else None
        at += weighted * 8
        changes.append((relation, Change(batch, weights)))
    return epoch, changes


@dataclass(slots=True)
class EpochRecord:
    """What it takes to compute an epoch again.

    Args:
        epoch, now: its number and time (microseconds).
        positions: how far connector sources had been read at its end.
        watermarks: of all relations at its end.
    """

    epoch: int
    now: int
    positions: Positions = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)


def encode_epoch(record: EpochRecord) -> list[Any]:
    return [json.dumps(asdict(record), separators=(",", ":")).encode()]


def decode_epoch(payload: memoryview | bytes) -> EpochRecord:
    values = json.loads(bytes(payload))
    return EpochRecord(
        values["epoch"], values["now"], decode_positions(values["positions"]), _int_keys(values["watermarks"])
    )


def decode_positions(values: dict[str, dict[str, dict[str, Any]]]) -> Positions:
    """Positions as JSON has them."""
    return {int(oid): {p: PartitionState(**s) for p, s in found.items()} for oid, found in values.items()}


def _int_keys(values: dict[str, int]) -> dict[int, int]:
    return {int(k): v for k, v in values.items()}


def total_size(parts: Iterable[Any]) -> int:
    """Bytes of all parts."""
    return sum(memoryview(p).nbytes for p in parts)
