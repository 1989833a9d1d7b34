"""``laminar doctor``: the catalog and the engine's files of a stopped server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from laminar.catalog.cluster import Cluster
from laminar.engine import doctor
from laminar.engine.doctor import Finding
from laminar.errors import UNDEFINED_FILE, PgError
from laminar.lockfile import DirectoryLock


def examine(data_dir: Path) -> Iterator[Finding]:
    """Findings part by part; nothing is repaired.

    Raises:
        PgError: 55006 when a server runs on it, 58P01 when it is no data directory.
    """
    if not (data_dir / "catalog").is_dir():
        raise PgError(UNDEFINED_FILE, f'"{data_dir}" is not a data directory')
    lock = DirectoryLock(data_dir)
    try:
        yield _catalog(data_dir / "catalog")
        yield from doctor.examine(data_dir / "engine")
    finally:
        lock.release()


def _catalog(folder: Path) -> Finding:
    try:
        cluster = Cluster(folder)
    except (PgError, ValueError, KeyError) as error:
        return Finding("error", f"the catalog cannot be read: {error}")
    kinds = [r.kind for catalog in cluster.catalogs.values() for r in catalog.relations.values()]
    cluster.close()
    counts = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in sorted(set(kinds)))
    return Finding("ok", f"catalog: {counts or 'no relations'}")
