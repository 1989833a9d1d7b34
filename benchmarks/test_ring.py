"""Rings: nanoseconds per hop, messages and bytes per second; and changes through an Outbox and an Inbox."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from laminar._native.ring import RingReader, RingWriter, create_ring
from laminar.engine.change import Change
from laminar.engine.messages import Inbox, Kind, Outbox


def pair(capacity: int) -> tuple[RingWriter, RingReader]:
    fd = create_ring(capacity)
    bells = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
    return RingWriter(fd, bells[0]), RingReader(fd, bells[1])


@pytest.mark.parametrize("size", [8, 1024, 1 << 20])
def test_hop(benchmark: Any, size: int) -> None:
    """One message written and read, both ends in one process: the cost without any waiting."""
    writer, reader = pair(1 << 22)
    parts = (bytes(size),)

    def hop() -> None:
        writer.write(parts)
        reader.read()

    benchmark(hop)
    benchmark.extra_info["bytes"] = size


@pytest.mark.parametrize("rows", [1, 1 << 16])
def test_change(benchmark: Any, rows: int) -> None:
    """A batch of three columns with weights: serialised, sent, received, ready for an operator."""
    writer, reader = pair(1 << 22)
    outbox, inbox = Outbox(writer), Inbox(reader)
    columns = [pa.array(np.arange(rows)), pa.array(np.ones(rows)), pa.array(["abc"] * rows)]
    change = Change(pa.record_batch(columns, names=["0", "1", "2"]), np.ones(rows, np.int64))

    def hop() -> None:
        outbox.post_change(Kind.EXCHANGED, 1, 2, 3, change)
        message = inbox.receive()
        assert message is not None

    benchmark(hop)
    benchmark.extra_info["rows"] = rows
