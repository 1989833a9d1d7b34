"""Starting, running and stopping the server process."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace

import uvloop

from laminar import __version__, logging
from laminar.catalog.catalog import SUPERUSER
from laminar.catalog.cluster import Cluster
from laminar.config import Settings
from laminar.engine.config import EngineConfig, index_memory, state_memory, store_memory
from laminar.engine.coordinator import Coordinator
from laminar.errors import INVALID_PARAMETER_VALUE, PgError
from laminar.lockfile import DirectoryLock
from laminar.pgwire.server import PgServer
from laminar.security.scram import make_verifier
from laminar.server.authentication import Admission, check_listen
from laminar.server.instance import Instance
from laminar.server.tls import load_tls

#: seconds that sessions have to tell their clients of a failure
_LAST_WORDS = 0.3
#: seconds that a thread runs while others wait
_SWITCH = 0.0005


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises PgError when the start fails."""
    logging.configure(settings.log_level, settings.log_format)
    check_listen(settings)
    # Python's threads wait less for each other: the one that writes the log must not wait for the event loop.
    sys.setswitchinterval(_SWITCH)
    lock = DirectoryLock(settings.data_dir)
    try:
        uvloop.run(_serve(settings))
    finally:
        lock.release()


async def _serve(settings: Settings) -> None:
    log = logging.get("server")
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    cluster = Cluster(settings.data_dir / "catalog")
    _set_superuser_password(cluster, settings)
    engine = EngineConfig(
        reactors=settings.reactors,
        epoch_interval=settings.epoch_interval,
        checkpoint_interval=settings.checkpoint_interval,
        max_state_files=settings.max_state_files,
        state_memory=state_memory(settings.memory_limit, settings.reactors),
        store_memory=store_memory(settings.memory_limit, settings.reactors),
        index_memory=index_memory(settings.memory_limit, settings.reactors),
    )
    coordinator = Coordinator(settings.data_dir / "engine", engine)
    instance = Instance(cluster, coordinator, settings)
    tls, certificate = load_tls(settings)
    server = PgServer(Admission(instance, settings), tls=tls, certificate_hash=certificate)
    # Clients that come while recovery runs are told so (57P03) rather than refused a connection.
    host, port = settings.address
    try:
        port = await server.listen(host, port)
        if settings.unix_socket_dir is not None:
            await server.listen_unix(str(settings.unix_socket_dir / f".s.PGSQL.{port}"))
    except OSError as error:
        raise PgError(
            INVALID_PARAMETER_VALUE,
            f'cannot listen on "{settings.listen}": {error.strerror or error}',
            hint="Choose another port with --listen.",
        ) from None
    log.info("listening", version=__version__, host=host, port=port, data_dir=str(settings.data_dir))
    try:
        await instance.start()
        count = sum(len(catalog.relations) for catalog in cluster.catalogs.values())
        log.info("ready", relations=count, reactors=settings.reactors)
        await _until(stop, instance)
    finally:
        log.info("stopping")
        await server.close()
        await instance.stop()
        log.info("stopped")


async def _until(stop: asyncio.Event, instance: Instance) -> None:
    """Wait for a signal, or for the engine to give up (a failed fsync)."""
    waiting = asyncio.ensure_future(stop.wait())
    failure = instance.coordinator.failure
    await asyncio.wait((waiting, failure), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if failure.done():
        # Whoever waits for a COMMIT is told that its outcome is not known, before connections end.
        await asyncio.sleep(_LAST_WORDS)
        raise failure.result()


def _set_superuser_password(cluster: Cluster, settings: Settings) -> None:
    """Give the superuser the configured password; without any, SCRAM would lock everybody out."""
    role = cluster.roles[SUPERUSER]
    if settings.superuser_password_file is not None:
        password = settings.superuser_password_file.read_text().rstrip("\n")
        cluster.first.put_role(replace(role, verifier=make_verifier(password)), replace=True)
    elif settings.auth == "scram-sha-256" and not any(r.verifier for r in cluster.roles.values()):
        raise PgError(
            INVALID_PARAMETER_VALUE,
            "nobody could log in: authentication is scram-sha-256 and no role has a password",
            hint="Set superuser_password_file to a file with the password of the user laminar.",
        )
