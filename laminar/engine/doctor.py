"""Verifying a data directory that no server uses: every checksum, every file that a checkpoint names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from laminar.engine.deliveries import Delivery
from laminar.engine.manifest import Manifest, ManifestStore
from laminar.engine.recovery import LogTail
from laminar.engine.serving.segments import Segment, verify
from laminar.engine.statefile import read_states
from laminar.engine.walformat import segments
from laminar.errors import PgError


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and what is to be said of it."""

    level: Literal["ok", "warning", "error"]
    text: str


def examine(engine: Path) -> Iterator[Finding]:
    """Look at an engine's folder (``data/engine``), part by part."""
    if not (engine / "manifest").is_dir():
        yield Finding("warning", f"{engine} holds no engine's data")
        return
    store = ManifestStore(engine / "manifest")
    try:
        manifest = store.load()
    except PgError as error:
        yield _error(error)
        return
    finally:
        store.close()
    if manifest is None:
        yield Finding("ok", "no checkpoint has been written yet")
        manifest = Manifest()
    else:
        yield Finding(
            "ok",
            f"checkpoint of epoch {manifest.epoch}: {len(manifest.dataflows)} views and sinks on"
            f" {manifest.reactors} reactors, log from {manifest.lsn:#x} on",
        )
    yield from _states(engine / "state", manifest)
    yield from _stored(engine / "store", manifest)
    yield from _spools(engine / "spools", manifest.deliveries)
    yield from _log(engine / "wal", manifest)
    yield from _orphans(engine, manifest)


def _error(error: PgError) -> Finding:
    return Finding("error", f"{error.message} ({error.sqlstate})")


def _each(what: str, checks: list[Callable[[], int]]) -> Iterator[Finding]:
    """Run checks that return bytes; one line when all is well, one more for each that fails."""
    size = failed = 0
    for check in checks:
        try:
            size += check()
        except PgError as error:
            failed += 1
            yield _error(error)
    if not failed:
        yield Finding("ok", f"{what}: {len(checks)} files, {size} bytes")


def _states(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    files = [folder / file.name for states in manifest.states for file in states]
    yield from _each("operators' state", [partial(_read, path) for path in files])


def _stored(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    found = [segment for files in manifest.stored.values() for segment in files]
    yield from _each("stored rows", [partial(_verify, folder, segment) for segment in found])


def _spools(folder: Path, deliveries: list[Delivery]) -> Iterator[Finding]:
    files = [folder / spool.name for delivery in deliveries for spool in delivery.spools]
    yield from _each("changes for sinks", [partial(_read, path) for path in files])


def _read(path: Path) -> int:
    for _ in read_states(path):
        pass
    return path.stat().st_size


def _verify(folder: Path, segment: Segment) -> int:
    verify(folder, segment)
    return segment.size


def _log(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    tail = LogTail(folder, manifest)
    epochs = 0
    try:
        for _ in tail.epochs():
            epochs += 1
    except PgError as error:
        yield _error(error)
        return
    waiting = sum(len(commits) for commits in tail.unpublished.values())
    count = len(segments(folder))
    yield Finding(
        "ok",
        f"write-ahead log: {count} files, {epochs} epochs behind the checkpoint,"
        f" {waiting} changes in none yet",
    )
    if tail.end.torn is not None:
        yield Finding(
            "warning", f"the log's end at {tail.end.torn:#x} is torn, as a crash leaves it; a start cuts it"
        )


def _orphans(engine: Path, manifest: Manifest) -> Iterator[Finding]:
    named = {
        "state": {file.name for states in manifest.states for file in states},
        "store": {segment.file for files in manifest.stored.values() for segment in files},
        "spools": {spool.name for delivery in manifest.deliveries for spool in delivery.spools},
    }
    for folder, names in named.items():
        found = {path.name for path in (engine / folder).glob("*")} - names
        if found:
            yield Finding(
                "ok", f"{folder}: {len(found)} files that no checkpoint names; the next one removes them"
            )
