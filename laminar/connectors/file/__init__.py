"""Files as a source and as a sink: Parquet, memory-mapped Arrow IPC (source only), CSV and newline JSON.

Source: one file is one partition, read from its start to its end. ``mode = 'bounded'`` (the default)
reads the files that match when the source first starts; ``mode = 'watch'`` also takes up files that
appear later. Files must not change once they are visible: write elsewhere, then rename.

Sink: every delivery adds files to a folder, by rename.
"""

from laminar.connectors.file.sink import SINK
from laminar.connectors.file.source import SOURCE

__all__ = ["SINK", "SOURCE"]
