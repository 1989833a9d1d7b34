from collections.abc import Iterator

import pyarrow as pa

ENTRIES: pa.Schema

class Checkpointed:
    """A state that hands over its changed entries as batches of key and value, and takes them back."""

    def checkpoint(self) -> Iterator[pa.RecordBatch]:
        """Entries changed since the last checkpoint, deleted ones with a null value. Nothing may
        change before the iterator is exhausted, which also clears the list of changes."""
    def restore(self, entries: pa.RecordBatch) -> None:
        """Take back what :meth:`checkpoint` gave; does not count as a change."""
