"""The reactor processes as the server sees them: started, fed, listened to, ended together."""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from laminar._native.ring import RingReader, RingWriter, create_ring
from laminar.engine.change import Change
from laminar.engine.config import EngineConfig, handover_bytes
from laminar.engine.messages import Inbox, Kind, Message, Outbox
from laminar.engine.protocol import PAGE_BYTES, ReactorSettings

#: messages handled before the event loop gets its turn
_BURST = 256
#: seconds a reactor may take to stop before it is killed
_STOP_GRACE = 10.0


class ReactorsLost(Exception):
    """A reactor has died; all of them are being replaced."""


class Reactor:
    """One process and the rings to and from it."""

    def __init__(
        self,
        index: int,
        process: subprocess.Popen[bytes],
        bell: int,
        inbox: Inbox,
        outbox: Outbox,
        page: mmap.mmap,
    ) -> None:
        self.index = index
        self.process = process
        self.bell = bell
        self.inbox = inbox
        self.outbox = outbox
        self.page = page
        self.pidfd = os.pidfd_open(process.pid)


class Fleet:
    """All reactors of one generation: when one dies, all are killed and a new fleet is made.

    Args:
        config: number, pinning, ring size.
        data_dir: has folders for the reactors' state maps and spools.
        on_message: called on the event loop with (reactor, message).
        on_death: called on the event loop, once, with the number of a reactor that died.
    """

    def __init__(
        self,
        config: EngineConfig,
        data_dir: Path,
        on_message: Callable[[int, Message], None],
        on_death: Callable[[int, int], None],
    ) -> None:
        self.config = config
        self.data_dir = data_dir
        self.on_message = on_message
        self.on_death = on_death
        self.reactors: list[Reactor] = []
        self._loop = asyncio.get_running_loop()
        self._bell = -1
        self._room: list[asyncio.Future[None]] = []
        self.ended = False

    def start(self) -> None:
        """Start the processes. Must run on the main thread: they die with the thread that started them."""
        count = self.config.reactors
        flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
        self._bell = os.eventfd(0, flags)
        bells = [os.eventfd(0, flags) for _ in range(count)]
        rings = {pair: create_ring(self.config.ring_bytes) for pair in _pairs(count)}
        try:
            for index in range(count):
                self.reactors.append(self._spawn(index, bells, rings))
        finally:
            for fd in [*rings.values(), *bells]:
                os.close(fd)
        for reactor in self.reactors:
            self._loop.add_reader(reactor.pidfd, self._died, reactor)
        self._loop.add_reader(self._bell, self._rung)
        self._rung()

    def _spawn(self, index: int, bells: list[int], rings: dict[tuple[int, int], int]) -> Reactor:
        count = self.config.reactors
        cores = sorted(os.sched_getaffinity(0))
        # The server keeps the first cores; with more reactors than cores they share.
        cpu = cores[(len(cores) - 1 - index) % len(cores)] if self.config.pin else None
        peers = {
            other: (rings[other, index], rings[index, other], bells[other])
            for other in range(count)
            if other != index
        }
        page = os.memfd_create(f"laminar-reactor-{index}", os.MFD_CLOEXEC)
        os.ftruncate(page, PAGE_BYTES)
        settings = ReactorSettings(
            index=index,
            count=count,
            parent=os.getpid(),
            cpu=cpu,
            bell=bells[index],
            server=(rings[-1, index], rings[index, -1], self._bell),
            peers=peers,
            scratch=str(self.data_dir / "scratch" / str(index)),
            spools=str(self.data_dir / "spools"),
            page=page,
            state_memory=self.config.state_memory,
            early_entries=self.config.early_entries,
            handover_bytes=handover_bytes(self.config.state_memory),
        )
        inherited = {
            self._bell,
            bells[index],
            page,
            *settings.server,
            *(fd for ends in peers.values() for fd in ends),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "laminar.engine.reactor", json.dumps(asdict(settings))],
            pass_fds=tuple(inherited),
            stdin=subprocess.DEVNULL,
            # two threads allocate, and each of the C library's arenas keeps what it once had
            env={"MALLOC_ARENA_MAX": "1", **os.environ},
        )
        bell = os.dup(bells[index])
        inbox = Inbox(RingReader(rings[index, -1], bell))
        outbox = Outbox(RingWriter(rings[-1, index], bell))
        shared = mmap.mmap(page, PAGE_BYTES)
        os.close(page)
        return Reactor(index, process, bell, inbox, outbox, shared)

    # --- sending --------------------------------------------------------------------

    def post(self, index: int, kind: Kind, a: int = 0, b: int = 0, c: int = 0, extra: object = None) -> None:
        """Send to one reactor; what does not fit waits here. ReactorsLost when they are gone."""
        self._check()
        outbox = self.reactors[index].outbox
        if not outbox.post(kind, a, b, c, extra):
            self._await_room(outbox)

    def broadcast(self, kind: Kind, a: int = 0, b: int = 0, c: int = 0, extra: object = None) -> None:
        """Send to all."""
        self._check()
        for index in range(len(self.reactors)):
            self.post(index, kind, a, b, c, extra)

    def post_rows(self, index: int, relation: int, dataflow: int, epoch: int, change: Change) -> None:
        """Send rows of a stored relation to one reactor."""
        self._check()
        outbox = self.reactors[index].outbox
        if not outbox.post_change(Kind.ROWS, relation, dataflow, epoch, change):
            self._await_room(outbox)

    def _check(self) -> None:
        if self.ended:
            raise ReactorsLost

    def _await_room(self, outbox: Outbox) -> None:
        """Have the reactor ring when there is room, unless there is some already."""
        while not outbox.flush():
            if outbox.writer.sleep():
                return

    @property
    def backlog_bytes(self) -> int:
        """Bytes waiting for room in the fullest ring."""
        return max((r.outbox.backlog_bytes for r in self.reactors), default=0)

    async def room(self, limit: int) -> None:
        """Return when no more than ``limit`` bytes wait for any reactor."""
        while self.backlog_bytes > limit and not self.ended:
            future: asyncio.Future[None] = self._loop.create_future()
            self._room.append(future)
            await future

    # --- receiving --------------------------------------------------------------------

    def _rung(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        self._work()

    def _work(self) -> None:
        """Take messages, give room, then ask to be woken."""
        if self.ended:
            return
        for reactor in self.reactors:
            for _ in range(_BURST):
                message = reactor.inbox.receive()
                if message is None:
                    break
                self.on_message(reactor.index, message)
                if self.ended:
                    return
            self._await_room(reactor.outbox)
        if self._room and self.backlog_bytes == 0:
            waiting, self._room = self._room, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        ready = False
        for reactor in self.reactors:
            ready |= not reactor.inbox.reader.sleep()
        if ready:
            self._loop.call_soon(self._work)

    def working_on(self, index: int) -> int:
        """The dataflow that a reactor, dead or alive, works on; 0 for none."""
        return int.from_bytes(self.reactors[index].page[:8], "little", signed=True)

    @property
    def restored(self) -> tuple[int, int]:
        """Bytes and number of the state files that all reactors have read so far."""
        pages = [reactor.page for reactor in self.reactors]
        size, files = (sum(int.from_bytes(p[at : at + 8], "little") for p in pages) for at in (8, 16))
        return size, files

    # --- the end ------------------------------------------------------------------------

    def _died(self, reactor: Reactor) -> None:
        if self.ended:
            return
        # What it said before it died (an error's text) is still in its ring.
        while not self.ended and (message := reactor.inbox.receive()) is not None:
            self.on_message(reactor.index, message)
        if not self.ended:
            self.on_death(reactor.index, reactor.process.wait())

    def kill(self) -> None:
        """End all processes at once."""
        self._end()
        for reactor in self.reactors:
            reactor.process.kill()
        self._reap()

    async def stop(self) -> None:
        """Let all processes finish what they are writing and end; nothing when they are gone."""
        if self.ended:
            return
        for reactor in self.reactors:
            self._loop.remove_reader(reactor.pidfd)
        self.broadcast(Kind.STOP)
        deadline = time.monotonic() + _STOP_GRACE
        while any(r.process.poll() is None for r in self.reactors) and time.monotonic() < deadline:
            for reactor in self.reactors:
                reactor.outbox.flush()
            await asyncio.sleep(0.005)
        self.kill()

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self._loop.remove_reader(self._bell)
        for reactor in self.reactors:
            self._loop.remove_reader(reactor.pidfd)
        for future in self._room:
            if not future.done():
                future.set_result(None)

    def _reap(self) -> None:
        for reactor in self.reactors:
            reactor.process.wait()
            os.close(reactor.pidfd)
            os.close(reactor.bell)
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1
        self.reactors = []


def _pairs(count: int) -> list[tuple[int, int]]:
    """(from, to) of all rings; -1 is the server."""
    ends = [-1, *range(count)]
    return [(a, b) for a in ends for b in ends if a != b]
