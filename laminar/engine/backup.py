"""Backups: a checkpoint's files and the catalog of the same moment, in a folder of their own.

The server goes on while files are copied: they are linked first, and a linked file cannot vanish. What
has not been in the checkpoint is not in the backup; the log stays behind.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from laminar import __version__
from laminar.connectors.base import SinkSpec
from laminar.engine.deliveries import as_pg_error, interval, open_target
from laminar.engine.manifest import Manifest, ManifestStore
from laminar.engine.nodes import Sink
from laminar.errors import (
    DATA_CORRUPTED,
    DISK_FULL,
    DUPLICATE_FILE,
    INVALID_PARAMETER_VALUE,
    IO_ERROR,
    UNDEFINED_FILE,
    PgError,
)

_LABEL = "backup.json"
_FOLDERS = ("state", "store", "spools")


@dataclass(frozen=True, slots=True)
class Label:
    """What a backup says of itself; ``files``: path -> (bytes, CRC-32)."""

    version: str
    epoch: int
    now: int
    files: dict[str, tuple[int, int]]


def folder_of(uri: str) -> Path:
    """The folder of a ``file:///…`` URI; 22023 for anything else."""
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise PgError(
            INVALID_PARAMETER_VALUE, f'invalid backup location "{uri}"', hint="Write file:///absolute/path."
        )
    return path


def check_new(folder: Path) -> None:
    """58P02 when something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PgError(DUPLICATE_FILE, f'"{folder}" exists and is not an empty folder')


def link_files(engine: Path, manifest: Manifest, target: Path) -> None:
    """Give a checkpoint's files second names in ``target``, on the same file system."""
    names = {
        "state": [file.name for states in manifest.states for file in states],
        "store": [segment.file for files in manifest.stored.values() for segment in files],
        "spools": [spool.name for delivery in manifest.deliveries for spool in delivery.spools],
    }
    for folder, files in names.items():
        (target / folder).mkdir(parents=True)
        for name in files:
            os.link(engine / folder / name, target / folder / name)


def copy_out(links: Path, target: Path, manifest: Manifest) -> None:
    """Copy a linked checkpoint (with its catalog) to where the backup goes; durable when it returns."""
    files: dict[str, tuple[int, int]] = {}
    try:
        for path in sorted(links.rglob("*")):
            name = str(path.relative_to(links))
            if path.is_dir():
                (target / name).mkdir(parents=True, exist_ok=True)
            else:
                files[name] = _copy(path, target / name)
        label = Label(__version__, manifest.epoch, manifest.now, files)
        with (target / _LABEL).open("w") as file:
            json.dump(asdict(label), file)
            file.flush()
            os.fsync(file.fileno())
        for folder in [target, *(p for p in target.rglob("*") if p.is_dir())]:
            _sync(folder)
    except OSError as error:
        code = DISK_FULL if error.errno == 28 else IO_ERROR
        raise PgError(code, f'could not write the backup "{target}": {error.strerror}') from error


def _copy(source: Path, target: Path) -> tuple[int, int]:
    """Copy and fsync a file; returns its size and CRC-32."""
    crc = size = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as read, target.open("wb") as write:
        while block := read.read(1 << 20):
            write.write(block)
            crc, size = zlib.crc32(block, crc), size + len(block)
        write.flush()
        os.fsync(write.fileno())
    return size, crc


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def restore(backup: Path, data_dir: Path) -> tuple[Label, dict[int, str]]:
    """Make a data directory from a backup; returns what the backup says of itself, and the sinks left behind.

    A sink outside goes on if its target, which is asked now, has nothing that came after the backup, and
    everything that had been delivered before it. Others (by oid, with the reason) are in a failed state until
    they are dropped and created again.

    Raises:
        PgError: 58P01 when there is no backup, 58P02 when the directory is not empty, XX001 when a
            file of the backup is damaged or missing.
    """
    try:
        raw = json.loads((backup / _LABEL).read_text())
    except FileNotFoundError:
        raise PgError(UNDEFINED_FILE, f'"{backup}" holds no backup') from None
    label = Label(
        raw["version"], raw["epoch"], raw["now"], {k: (v[0], v[1]) for k, v in raw["files"].items()}
    )
    check_new(data_dir)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        for name, (size, crc) in label.files.items():
            try:
                found = _copy(backup / name, data_dir / _place(name))
            except FileNotFoundError:
                raise PgError(DATA_CORRUPTED, f'file "{name}" of the backup is missing') from None
            if found != (size, crc):
                raise PgError(DATA_CORRUPTED, f'file "{name}" of the backup is damaged: wrong checksum')
        left = _settle_sinks(data_dir / "engine")
    except BaseException:
        shutil.rmtree(data_dir, ignore_errors=True)
        raise
    return label, left


def _place(name: str) -> str:
    """Where a backup's file belongs in the data directory; XX001 when that would be outside."""
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts:
        raise PgError(DATA_CORRUPTED, f'the backup names a file "{name}"')
    return name if parts[0] == "catalog" else str(Path("engine", *parts))


def _settle_sinks(engine: Path) -> dict[int, str]:
    """Leave out the sinks that cannot go on; returns why."""
    store = ManifestStore(engine / "manifest")
    try:
        manifest = store.load()
        if manifest is None:
            return {}
        for flow in manifest.dataflows:
            if isinstance(flow.root, Sink) and interval(flow) is not None:
                reason = _why_not(flow.root.spec, manifest.epoch, manifest.delivered.get(flow.id, 0))
                if reason is not None:
                    manifest.left[flow.id] = reason
        manifest.dataflows = [flow for flow in manifest.dataflows if flow.id not in manifest.left]
        manifest.deliveries = [d for d in manifest.deliveries if d.sink not in manifest.left]
        store.save(manifest)
        return manifest.left
    finally:
        store.close()


def _why_not(spec: SinkSpec, epoch: int, known: int) -> str | None:
    """Why a sink cannot go on from a checkpoint, which knows of delivery ``known``; None when it can."""
    try:
        target = open_target(spec)
        try:
            has = target.delivered()
        finally:
            target.close()
    except Exception as error:
        return f"its target could not be asked what it has: {as_pg_error(error).message}"
    if has > epoch:
        return f"its target has changes up to epoch {has}, the backup those up to {epoch}"
    if has < known:
        return (
            f"its target has changes up to epoch {has} only, and the backup no longer has those up to {known}"
        )
    return None
