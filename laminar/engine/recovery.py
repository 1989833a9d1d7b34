"""Reading the log behind a checkpoint: epochs to compute again, transactions not yet in any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from laminar.engine.epochs import Commits
from laminar.engine.manifest import Manifest
from laminar.engine.records import EPOCH, TRANSACTION, EpochRecord, decode_epoch, decode_transaction
from laminar.engine.walformat import LogEnd, scan


@dataclass(slots=True)
class ReplayedEpoch:
    """An epoch of the log with the rows that were committed into it."""

    record: EpochRecord
    commits: Commits


class LogTail:
    """The log from a manifest's position on.

    Args:
        directory: of the log.
        manifest: the checkpoint to go on from.
        limit: LSN to stop at, None for the end of the log.
    """

    def __init__(self, directory: Path, manifest: Manifest, limit: int | None = None) -> None:
        self.directory = directory
        self.manifest = manifest
        self.limit = limit
        self.end = LogEnd()
        #: after ``epochs`` is exhausted: rows of epochs without a record, by epoch
        self.unpublished: dict[int, Commits] = {}

    def epochs(self) -> Iterator[ReplayedEpoch]:
        """Published epochs after the manifest's, in order; XX001 when the log is damaged."""
        pending = self.unpublished
        for record in scan(self.directory, self.manifest.lsn, self.end, self.limit):
            if record.kind == TRANSACTION:
                # Copied: the file behind the map will be reused, the rows stay.
                epoch, commits = decode_transaction(memoryview(bytes(record.payload)))
                if epoch > self.manifest.epoch:
                    pending.setdefault(epoch, []).extend(commits)
            elif record.kind == EPOCH:
                found = decode_epoch(record.payload)
                if found.epoch > self.manifest.epoch:
                    yield ReplayedEpoch(found, pending.pop(found.epoch, []))
