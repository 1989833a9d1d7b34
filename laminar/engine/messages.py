"""Messages between the server and the reactors, and between reactors.

A message is a 40-byte head, an optional extra part (a pickle or an Arrow schema), padding to
64 bytes, and for changes the Arrow IPC message of the batch followed by the weights as raw
int64. The schema of a stream of changes is sent with the first batch and whenever it changes.
Both ends are processes of one server talking through memory that only they can map, so the
pickles are trusted.
"""

from __future__ import annotations

import pickle
import struct
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from laminar._native.ring import RingReader, RingWriter
from laminar.engine.change import Change


class Kind(IntEnum):
    """What a message is. ``a``, ``b``, ``c`` are the head's three numbers."""

    # server to reactor
    RELATION = 1  #: extra: RelationSpec
    DROP_RELATION = 2  #: a: oid
    INSTALL = 3  #: extra: Installation; attached by a later barrier
    START = 4  #: extra: StartState; sources may be read from now on
    ROWS = 5  #: a: relation, b: dataflow that is being backfilled or 0, c: epoch; a change
    BARRIER = 6  #: extra: BarrierMessage
    STOP = 7
    TYPE = 9  #: extra: a user's PgType, to be known from now on as the message has it
    LIVE = 8  #: connector sources are read as they come from now on
    # reactor to server
    READY = 20  #: a: dataflow (0: started), b: 1 on success, extra: None or PgError
    DIRTY = 21  #: c: epoch that has source rows now
    CHANGES = 22  #: a: relation, c: epoch; a change
    DONE = 23  #: c: epoch, extra: EpochReport
    CHECKPOINTED = 24  #: c: epoch, extra: CheckpointReport or PgError
    ASKED = 26  #: a: lookup table, c: epoch; keys whose rows are wanted, as a change
    FAILED = 25  #: extra: PgError; the reactor ends
    # reactor to reactor
    EXCHANGED = 40  #: a: dataflow, b: node, c: epoch; a change
    MARK = 41  #: a: dataflow, b: node, c: epoch, extra: Watermarks; no more EXCHANGED of this node
    CUT = 42  #: c: epoch, extra: {relation: Cut} of the sender's source partitions
    END = 43  #: c: epoch; nothing more of this epoch


_HEAD = struct.Struct("<BBHIQqqq")
_WEIGHTS, _SCHEMA, _BATCH = 1, 2, 4
_PADDING = bytes(64)


@dataclass(slots=True)
class Message:
    """A received message; ``change`` only for those that carry one."""

    kind: Kind
    a: int
    b: int
    c: int
    extra: bytes
    change: Change | None

    def object(self) -> Any:
        """The pickled extra part."""
        return pickle.loads(self.extra)


class Outbox:
    """Messages on their way into one ring; never blocks, keeps what does not fit."""

    def __init__(self, writer: RingWriter) -> None:
        self.writer = writer
        self.backlog: deque[list[Any]] = deque()
        self.backlog_bytes = 0
        self._schemas: dict[tuple[int, int, int], pa.Schema] = {}

    def post(self, kind: Kind, a: int = 0, b: int = 0, c: int = 0, extra: object = None) -> bool:
        """Send a message with a pickled part; False when it (or an earlier one) still waits."""
        payload = b"" if extra is None else pickle.dumps(extra, pickle.HIGHEST_PROTOCOL)
        head = _HEAD.pack(kind, 0, 0, len(payload), 0, a, b, c)
        return self._send([head, payload])

    def post_change(self, kind: Kind, a: int, b: int, c: int, change: Change) -> bool:
        """Send a change."""
        batch = change.batch
        flags = _BATCH
        extra = b""
        stream = (kind, a, b)
        known = self._schemas.get(stream)
        if known is None or not known.equals(batch.schema):
            self._schemas[stream] = batch.schema
            extra = batch.schema.serialize().to_pybytes()
            flags |= _SCHEMA
        body = batch.serialize()
        if change.weights is not None:
            flags |= _WEIGHTS
        head = _HEAD.pack(kind, flags, 0, len(extra), body.size, a, b, c)
        parts: list[Any] = [head, extra, _PADDING[: -(len(head) + len(extra)) % 64], body]
        if change.weights is not None:
            parts.append(np.ascontiguousarray(change.weights, np.int64))
        return self._send(parts)

    def _send(self, parts: list[Any]) -> bool:
        if not self.backlog and self.writer.idle:
            return self.writer.write(parts)
        self.backlog.append(parts)
        self.backlog_bytes += sum(memoryview(p).nbytes for p in parts)
        return self.flush()

    def flush(self) -> bool:
        """Write what the ring takes; True when nothing waits."""
        if not self.writer.flush():
            return False
        while self.backlog:
            parts = self.backlog.popleft()
            self.backlog_bytes -= sum(memoryview(p).nbytes for p in parts)
            if not self.writer.write(parts):
                return False
        return True


class Inbox:
    """Messages out of one ring."""

    def __init__(self, reader: RingReader) -> None:
        self.reader = reader
        self._schemas: dict[tuple[int, int, int], pa.Schema] = {}

    def receive(self) -> Message | None:
        """The next message, None when there is none."""
        data = self.reader.read()
        if data is None:
            return None
        kind, flags, _, extra_size, body_size, a, b, c = _HEAD.unpack_from(data)
        extra = data[_HEAD.size : _HEAD.size + extra_size]
        if not flags & _BATCH:
            return Message(Kind(kind), a, b, c, extra, None)
        stream = (kind, a, b)
        if flags & _SCHEMA:
            self._schemas[stream] = pa.ipc.read_schema(pa.py_buffer(extra))
        start = _HEAD.size + extra_size
        start += -start % 64
        body = pa.py_buffer(data).slice(start, body_size)
        batch = pa.ipc.read_record_batch(body, self._schemas[stream])
        weights = None
        if flags & _WEIGHTS:
            weights = np.frombuffer(data, np.int64, batch.num_rows, start + body_size)
        return Message(Kind(kind), a, b, c, b"", Change(batch, weights))
