"""Rings against a queue: any sizes, any interleaving, messages longer than the ring, two processes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar._native.ring import RingReader, RingWriter, create_ring

ROOT = Path(__file__).parents[2]


class Pipe:
    """Both ends of a ring in one process."""

    def __init__(self, capacity: int) -> None:
        fd = create_ring(capacity)
        self.reader_bell, self.writer_bell = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
        self.writer, self.reader = RingWriter(fd, self.reader_bell), RingReader(fd, self.writer_bell)
        os.close(fd)

    def close(self) -> None:
        os.close(self.reader_bell)
        os.close(self.writer_bell)


def rung(bell: int) -> bool:
    try:
        return os.eventfd_read(bell) > 0
    except BlockingIOError:
        return False


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 200), st.integers(3000, 20000), st.none()), max_size=60))
def test_same_as_a_queue(script: list[int | None]) -> None:
    """A number writes a message of that size, None reads; what comes out is what went in, in order."""
    pipe = Pipe(4096)
    expected: deque[bytes] = deque()
    try:
        for n, step in enumerate(script):
            if step is not None and pipe.writer.idle:
                message = bytes((n + i) % 251 for i in range(step))
                half = len(message) // 3
                pipe.writer.write([message[:half], message[half:]])
                expected.append(message)
            elif step is None:
                got = pipe.reader.read()
                if got is not None:
                    assert got == expected.popleft()
                pipe.writer.flush()
        while expected:
            got = pipe.reader.read()
            pipe.writer.flush()
            if got is not None:
                assert got == expected.popleft()
        assert pipe.reader.read() is None
    finally:
        pipe.close()


def test_the_next_message_waits_for_the_first() -> None:
    pipe = Pipe(4096)
    assert not pipe.writer.write([bytes(10000)])
    with pytest.raises(BufferError):
        pipe.writer.write([b"x"])
    pipe.close()


def test_only_sleepers_are_rung() -> None:
    pipe = Pipe(4096)
    pipe.writer.write([b"a"])
    assert not rung(pipe.reader_bell)
    assert not pipe.reader.sleep()  # there is something to read
    assert pipe.reader.read() == b"a"
    assert pipe.reader.sleep()
    pipe.writer.write([b"b"])
    assert rung(pipe.reader_bell)
    pipe.writer.write([b"c"])
    assert not rung(pipe.reader_bell)  # once is enough
    pipe.close()


def test_a_full_ring_rings_when_half_is_free() -> None:
    pipe = Pipe(4096)
    assert not pipe.writer.write([bytes(6000)])
    assert pipe.writer.sleep()
    assert pipe.reader.read() is None
    assert rung(pipe.writer_bell)
    assert pipe.writer.flush()
    assert pipe.reader.read() == bytes(6000)
    pipe.close()


@pytest.mark.parametrize("capacity", [0, 100, 4095, 6000])
def test_capacity_is_a_power_of_two(capacity: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        create_ring(capacity)


ECHO = """
import os, select, sys
from laminar._native.ring import RingReader, RingWriter
to, back, mine, theirs = map(int, sys.argv[1:])
reader, writer = RingReader(to, theirs), RingWriter(back, theirs)
poll = select.poll(); poll.register(mine, select.POLLIN)
def wait(end):
    if end.sleep():
        poll.poll(); os.eventfd_read(mine)
while True:
    message = reader.read()
    if message is None:
        wait(reader)
        continue
    done = writer.write([message])
    while not done:
        wait(writer)
        done = writer.flush()
    if message == b"end":
        break
"""


def test_between_processes() -> None:
    """Everything sent to another process comes back unharmed, through rings far too small for it."""
    to, back = create_ring(4096), create_ring(4096)
    mine, theirs = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
    fds = (to, back, theirs, mine)
    child = subprocess.Popen([sys.executable, "-c", ECHO, *map(str, fds)], pass_fds=fds, cwd=ROOT)
    writer, reader = RingWriter(to, theirs), RingReader(back, theirs)
    sent = [os.urandom(size) for size in (0, 1, 7, 8, 100, 4088, 5000, 100_000, 3)] * 20 + [b"end"]
    received = []
    waiting = deque(sent)
    poll = select.poll()
    poll.register(mine, select.POLLIN)
    while len(received) < len(sent):
        if waiting and writer.flush():
            writer.write([waiting.popleft()])
        message = reader.read()
        if message is not None:
            received.append(message)
        elif ((writer.flush() and not waiting) or writer.sleep()) and reader.sleep():
            poll.poll()
            rung(mine)
    assert received == sent
    assert child.wait() == 0
    for fd in fds:
        os.close(fd)
