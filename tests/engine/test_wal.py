"""The write-ahead log: what is acknowledged comes back, whatever happens to the file's end."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from laminar._native.crc32c import crc32c
from laminar.engine.wal import Wal
from laminar.engine.walformat import LogEnd, scan, segments
from laminar.errors import PgError

SEGMENT = 1 << 14


def read(path: Path, start: int = 0) -> tuple[list[bytes], LogEnd]:
    end = LogEnd()
    return [bytes(record.payload) for record in scan(path, start, end)], end


def with_log(path: Path, work: Callable[[Wal], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        _, end = read(path)
        wal = Wal(path, SEGMENT, lambda error: None)
        await wal.open(end.lsn)
        try:
            await work(wal)
        finally:
            await wal.close()

    asyncio.run(run())


async def put(wal: Wal, payload: bytes) -> int:
    await wal.reserve(len(payload))
    return wal.append(1, [payload[:3], payload[3:]])


def write(path: Path, payloads: list[bytes]) -> list[int]:
    """Append one by one, each durable before the next; LSNs behind them."""
    ends: list[int] = []

    async def work(wal: Wal) -> None:
        for payload in payloads:
            end = await put(wal, payload)
            await wal.sync(end)
            ends.append(end)

    with_log(path, work)
    return ends


@pytest.mark.parametrize("data", [b"", b"a", b"123456789", bytes(1000), os.urandom(5001)])
def test_crc32c(data: bytes) -> None:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    assert crc32c(data) == crc ^ 0xFFFFFFFF
    assert crc32c(data[7:], crc32c(data[:7])) == crc32c(data)


def test_known_crc() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720 B.4's polynomial, Rocksoft check value


def test_everything_comes_back(tmp_path: Path) -> None:
    """Over several segments, several runs, with records longer than a segment."""
    random = Random(3)
    written: list[bytes] = []
    for _ in range(4):
        some = [random.randbytes(random.choice([0, 1, 8, 100, 3000, 40000])) for _ in range(20)]
        write(tmp_path, some)
        written += some
        assert read(tmp_path)[0] == written
        assert read(tmp_path)[1].torn is None
    assert len(segments(tmp_path)) > 5


def test_from_a_position(tmp_path: Path) -> None:
    payloads = [bytes([i]) * 700 for i in range(60)]
    ends = write(tmp_path, payloads)
    for i in (0, 7, 21, 22, 23, 40, 59):
        assert read(tmp_path, ends[i])[0] == payloads[i + 1 :]


def test_reuse_of_segments(tmp_path: Path) -> None:
    """Old records in a reused file are never taken for new ones."""
    written: list[bytes] = []

    async def work(wal: Wal) -> None:
        for i in range(300):
            payload = bytes([i % 251]) * 500
            end = await put(wal, payload)
            await wal.sync(end)
            written.append(payload)
            if i % 50 == 49:
                await wal.recycle(end)
                written.clear()
                start.append(end)

    start: list[int] = []
    with_log(tmp_path, work)
    assert len(list(tmp_path.iterdir())) <= 5
    assert read(tmp_path, start[-1])[0] == written
    with pytest.raises(PgError, match="is missing before it"):
        read(tmp_path, 0)


def test_group_commit(tmp_path: Path) -> None:
    async def work(wal: Wal) -> None:
        async def one(i: int) -> None:
            await wal.sync(await put(wal, bytes([i])))

        await asyncio.gather(*(one(i) for i in range(50)))
        assert wal.syncs < 10

    with_log(tmp_path, work)
    assert read(tmp_path)[0] == [bytes([i]) for i in range(50)]


def test_any_damaged_byte(tmp_path: Path) -> None:
    """A flipped bit: in the last record a torn tail, elsewhere an error; never a wrong record."""
    payloads = [bytes([65 + i]) * (20 + i) for i in range(6)]
    ends = write(tmp_path, payloads)
    (_, file), *_ = segments(tmp_path)
    good = file.read_bytes()
    for at in range(ends[-1]):
        data = bytearray(good)
        data[at] ^= 0x10
        file.write_bytes(data)
        if at >= ends[-2]:
            padding = at >= ends[-1] - (-len(payloads[-1]) % 8)
            assert read(tmp_path)[0] == payloads[: 6 if padding else 5]
            continue
        try:
            assert read(tmp_path)[0] == payloads, at  # padding and what no checksum covers
        except PgError as error:
            assert error.sqlstate == "XX001"
            assert file.name in error.message


def test_cut_at_any_byte(tmp_path: Path) -> None:
    """Zeroes from any byte on: the records before it come back, and the log goes on from there."""
    payloads = [bytes([65 + i]) * (20 + i) for i in range(6)]
    ends = write(tmp_path, payloads)
    (_, file), *_ = segments(tmp_path)
    good = file.read_bytes()
    for at in range(ends[-2], ends[-1], 5):
        file.write_bytes(good[:at] + bytes(len(good) - at))
        assert read(tmp_path)[0][:5] == payloads[:5]
    file.write_bytes(good[: ends[-2] + 10] + bytes(len(good) - ends[-2] - 10))
    write(tmp_path, [b"after"])
    assert read(tmp_path)[0] == [*payloads[:5], b"after"]


def test_a_torn_group_is_no_damage(tmp_path: Path) -> None:
    """Records written together and never acknowledged may be torn in any order."""

    async def work(wal: Wal) -> None:
        await wal.sync(await put(wal, b"acknowledged"))
        ends.append(wal.end)
        last = 0
        for i in range(5):
            last = await put(wal, bytes([i]) * 100)
        await wal.sync(last)

    ends: list[int] = []
    with_log(tmp_path, work)
    (_, file), *_ = segments(tmp_path)
    data = bytearray(file.read_bytes())
    data[ends[0] + 40] ^= 1  # in the first of the group; the others are whole
    file.write_bytes(data)
    got, end = read(tmp_path)
    assert got == [b"acknowledged"]
    assert end.torn == ends[0]


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """53100 for whoever wants room; what is there goes on being written; later there is room."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def work(wal: Wal) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", full)
            for i in range(1000):
                try:
                    await put(wal, bytes([i % 251]) * 1000)
                except PgError as error:
                    assert error.sqlstate == "53100"
                    break
                written.append(bytes([i % 251]) * 1000)
            else:
                pytest.fail("no error")
            await wal.sync(await put(wal, b"small"))
        await wal.sync(await put(wal, b"x" * 1000))

    written: list[bytes] = []
    with_log(tmp_path, work)
    assert read(tmp_path)[0] == [*written, b"small", b"x" * 1000]


def test_failed_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fdatasync nothing is ever acknowledged again."""

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def run() -> None:
        failures: list[PgError] = []
        wal = Wal(tmp_path, SEGMENT, failures.append)
        await wal.open(0)
        await wal.sync(await put(wal, b"good"))
        monkeypatch.setattr(os, "fdatasync", broken)
        with pytest.raises(PgError, match="Input/output error"):
            await wal.sync(await put(wal, b"lost"))
        with pytest.raises(PgError):
            wal.append(1, [b"later"])
        assert [e.severity for e in failures] == ["PANIC"]
        await wal.close()

    asyncio.run(run())
