"""Files as a source: Parquet, memory-mapped Arrow IPC, CSV and newline JSON.

One file is one partition, read from its start to its end. ``mode = 'bounded'`` (the default)
reads the files that match when the source first starts; ``mode = 'watch'`` also takes up files that
appear later. Files must not change once they are visible: write elsewhere, then rename.
"""

from laminar.connectors.file.source import SOURCE

__all__ = ["SOURCE"]
