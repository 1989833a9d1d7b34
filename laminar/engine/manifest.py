"""The manifest: what the newest checkpoint consists of, one LMDB transaction."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import lmdb

from laminar._native.crc32c import crc32c
from laminar.engine.deliveries import Delivery, delivery_from_json
from laminar.engine.planformat import from_data, to_data
from laminar.engine.protocol import Positions
from laminar.engine.records import decode_positions
from laminar.engine.relations import DataflowSpec, RelationSpec
from laminar.engine.serving import Segment
from laminar.errors import DATA_CORRUPTED, PgError

_KEY = b"manifest"
#: raised when what is written could be misread by versions that know the one before
_FORMAT = 2


@dataclass(slots=True)
class StateFile:
    """A reactor's state file; ``name`` within the state folder."""

    name: str
    size: int


@dataclass(slots=True)
class Manifest:
    """A checkpoint.

    Args:
        epoch, now: the epoch that it holds, and its time.
        lsn: where the log goes on with later epochs.
        reactors: their number; state is divided among that many.
        positions, watermarks, row_ids: of sources and relations at that epoch.
        dataflows: those with state in it, in order of installation.
        relations: what these read and write.
        states: per reactor, oldest first.
        stored: the serving store's files per relation.
        state_bytes: live state per reactor, for deciding on compaction.
        filling: relations with rows of dataflows that were being installed.
        deliveries: promised to sinks and not known to be delivered.
        delivered: the newest delivery that each sink is known to have had.
        left: sinks that cannot go on from this checkpoint, and why.
    """

    epoch: int = 0
    now: int = 0
    lsn: int = 0
    reactors: int = 0
    positions: Positions = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)
    row_ids: dict[int, int] = field(default_factory=dict)
    dataflows: list[DataflowSpec] = field(default_factory=list)
    relations: list[RelationSpec] = field(default_factory=list)
    states: list[list[StateFile]] = field(default_factory=list)
    stored: dict[int, list[Segment]] = field(default_factory=dict)
    state_bytes: list[int] = field(default_factory=list)
    filling: list[int] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    delivered: dict[int, int] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)


class ManifestStore:
    """The LMDB environment that holds the newest manifest."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._env = lmdb.open(str(directory), map_size=1 << 30, subdir=True, max_dbs=1)
        #: what was written of the plans and relations last time, which are seldom others
        self._written: dict[int, tuple[object, dict[str, Any]]] = {}

    def load(self) -> Manifest | None:
        """The newest manifest, None before the first checkpoint; XX001 when it is damaged."""
        with self._env.begin() as txn:
            raw = txn.get(_KEY)
        if raw is None:
            return None
        if len(raw) < 4 or crc32c(raw[4:]) != int.from_bytes(raw[:4], "little"):
            raise PgError(DATA_CORRUPTED, f"the manifest in {self._env.path()} is damaged: wrong checksum")
        values = json.loads(raw[4:])
        found = values.pop("format")
        if found != _FORMAT:
            raise PgError(
                DATA_CORRUPTED,
                f"the manifest in {self._env.path()} has format {found}; this version reads format {_FORMAT}",
                hint="Start the version that wrote it.",
            )
        return _decode(values)

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest; durable when it returns."""
        plain = replace(manifest, dataflows=[], relations=[], deliveries=[])
        values = asdict(plain) | {"format": _FORMAT}
        values["deliveries"] = [delivery.to_json() for delivery in manifest.deliveries]
        written = {}
        for name, specs in (("dataflows", manifest.dataflows), ("relations", manifest.relations)):
            for spec in specs:
                written[id(spec)] = self._written.get(id(spec)) or (spec, to_data(spec))
            values[name] = [written[id(spec)][1] for spec in specs]
        self._written = written
        raw = json.dumps(values, separators=(",", ":")).encode()
        with self._env.begin(write=True) as txn:
            txn.put(_KEY, crc32c(raw).to_bytes(4, "little") + raw)

    def copy(self, directory: Path) -> None:
        """Copy what is stored into an empty folder; it is made."""
        directory.mkdir(parents=True)
        self._env.copy(str(directory), compact=True)

    def close(self) -> None:
        self._env.close()


def _decode(values: dict[str, Any]) -> Manifest:
    manifest = Manifest(**values)
    manifest.positions = decode_positions(values["positions"])
    manifest.watermarks = {int(k): v for k, v in values["watermarks"].items()}
    manifest.row_ids = {int(k): v for k, v in values["row_ids"].items()}
    manifest.delivered = {int(k): v for k, v in values.get("delivered", {}).items()}
    manifest.left = {int(k): v for k, v in values.get("left", {}).items()}
    manifest.dataflows = [from_data(spec) for spec in values["dataflows"]]
    manifest.relations = [from_data(spec) for spec in values["relations"]]
    manifest.states = [[StateFile(**f) for f in files] for files in values["states"]]
    manifest.stored = {int(oid): [Segment(**s) for s in files] for oid, files in values["stored"].items()}
    manifest.deliveries = [delivery_from_json(delivery) for delivery in values.get("deliveries", [])]
    return manifest
