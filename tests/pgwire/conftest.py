"""A server over the fake database, in a thread of its own so that blocking clients can talk to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvloop

from laminar.pgwire.constants import Limits
from laminar.pgwire.server import PgServer

from .fake import FakeDatabase


@dataclass
class Running:
    db: FakeDatabase
    server: PgServer
    port: int
    loop: asyncio.AbstractEventLoop

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=test dbname=test gssencmode=disable"

    def call(self, coroutine: object) -> object:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)  # type: ignore[arg-type]


def run_server(limits: Limits | None = None, **arguments: object) -> Iterator[Running]:
    """Start a server, yield it, stop it."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    db = FakeDatabase()

    async def start() -> tuple[PgServer, int]:
        server = PgServer(db, limits, **arguments)  # type: ignore[arg-type]
        return server, await server.listen("127.0.0.1", 0)

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    running = Running(db, server, port, loop)
    try:
        yield running
    finally:
        running.call(server.close(1.0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def running() -> Iterator[Running]:
    yield from run_server()
