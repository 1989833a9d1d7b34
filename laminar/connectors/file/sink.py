"""The sink ``file``: immutable files in a folder, whole deliveries or nothing.

A delivery is written under ``_laminar-ID`` in the folder, then a plan of what becomes what is made
durable, then the files are renamed to where readers look, and last the delivery's number is noted. After a
crash the plan says what is left to rename, so that files which readers have taken away do not come again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laminar import failpoints
from laminar import types as pg
from laminar._native.textio import FormatSettings
from laminar.connectors.base import SinkBatch, SinkSpec, SinkTarget, SourceColumn, bad_option
from laminar.connectors.file.csv import Dialect
from laminar.connectors.file.output import CsvRows, JsonRows, ParquetRows, RowWriter
from laminar.connectors.options import SINK_OPTIONS, Option, parse_options
from laminar.errors import IO_ERROR, PgError, not_supported
from laminar.sql.evaluator.rowtext import format_values
from laminar.types import PgType

_FORMATS: Final = ("parquet", "csv", "json")
_OPTIONS: Final[Mapping[str, Option]] = {
    **SINK_OPTIONS,
    "path": Option(required=True),
    "format": Option("choice", choices=_FORMATS),
    "partition_by": Option(),
    "envelope": Option("choice", "plain", choices=("plain", "diff")),
    "commit_interval": Option("duration", 10_000_000, minimum=10_000),
    "csv.delimiter": Option(default=","),
    "csv.header": Option("bool", False),
}
#: what Hive and its heirs call the directory of rows whose value is null
_NULL_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"
#: files open at a time; a partition that comes again later gets another file
_OPEN_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class FileSinkConfig:
    """The options, read.

    Args:
        columns: of the files: laminar_epoch and laminar_diff first when deletions are told.
        partition: positions in ``columns`` that become folders and are left out of the files.
    """

    path: Path
    format: str
    diff: bool
    columns: tuple[SourceColumn, ...]
    partition: tuple[int, ...]
    interval: float
    dialect: Dialect

    @classmethod
    def of(cls, spec: SinkSpec) -> FileSinkConfig:
        """Raises 22023, 0A000."""
        values = parse_options(spec.options, _OPTIONS, "connector file")
        diff = values["envelope"] == "diff"
        if not diff and not spec.append_only:
            raise not_supported(
                "connector file cannot take back rows, and the sink's query updates or deletes some",
                hint="Use envelope = 'diff' to write changes, or EMIT ON WINDOW CLOSE.",
            )
        extra = (
            SourceColumn("laminar_epoch", PgType(pg.INT8)),
            SourceColumn("laminar_diff", PgType(pg.INT8)),
        )
        columns = (*extra, *spec.columns) if diff else spec.columns
        names = [column.name for column in columns]
        if len(set(names)) != len(names):
            raise bad_option("two columns of the sink have the same name")
        wanted = [name.strip() for name in (values["partition_by"] or "").split(",") if name.strip()]
        for name in wanted:
            if name not in names:
                raise bad_option(
                    f'column "{name}" of option "partition_by" does not exist',
                    hint=f"Columns: {', '.join(names)}.",
                )
        partition = tuple(names.index(name) for name in wanted)
        if len(partition) == len(columns):
            raise bad_option("partition_by leaves no column for the files")
        form = _format(values["format"], spec.format)
        if form == "json" and any(c.type.is_array for c in columns):
            raise not_supported("arrays cannot be written as JSON yet", hint="Use format = 'parquet'.")
        dialect = Dialect.of(values["csv.delimiter"], values["csv.header"], "")
        interval = values["commit_interval"] / 1_000_000
        return cls(Path(values["path"]), form, diff, columns, partition, interval, dialect)


def _format(option: str | None, clause: tuple[str, str] | None) -> str:
    encoded = None
    if clause is not None:
        encoded = clause[1]
        if clause[0] != "plain" or encoded not in _FORMATS:
            raise bad_option(
                f"connector file does not write FORMAT {clause[0].upper()} ENCODE {clause[1].upper()}",
                hint="Known: FORMAT PLAIN ENCODE PARQUET, CSV or JSON.",
            )
    if option and encoded and option != encoded:
        raise bad_option(f'option "format" is {option}, but the FORMAT clause says {encoded}')
    return option or encoded or "parquet"


class FileTarget:
    """The folder of one sink."""

    def __init__(self, spec: SinkSpec) -> None:
        self.config = FileSinkConfig.of(spec)
        self.folder = self.config.path
        self.stage = self.folder / f"_laminar-{spec.id}"
        try:
            self.stage.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PgError(IO_ERROR, f'could not create folder "{self.stage}": {error.strerror}') from error

    def deliver(self, number: int, changes: Callable[[], Iterator[SinkBatch]]) -> None:
        if number <= self._delivered():
            return
        plan = self.stage / f"{number}.plan"
        if not plan.exists():
            self._clean()
            files = _Files(self, number)
            for change in changes():
                files.write(change)
            files.close()
            failpoints.reach("file sink: written")
            _replace(plan, json.dumps(files.finals).encode())
            failpoints.reach("file sink: planned")
        finals: dict[str, str] = json.loads(plan.read_bytes())
        self._rename(finals)
        failpoints.reach("file sink: renamed")
        _replace(self.stage / "delivered", str(number).encode())
        plan.unlink()

    def delivered(self) -> int:
        # A plan is a delivery whose files are being renamed.
        return max([self._delivered(), *(int(plan.stem) for plan in self.stage.glob("*.plan"))])

    def _delivered(self) -> int:
        try:
            return int((self.stage / "delivered").read_text())
        except FileNotFoundError:
            return 0

    def _clean(self) -> None:
        """Remove what an interrupted delivery has left."""
        for path in self.stage.iterdir():
            if path.name != "delivered":
                path.unlink()

    def _rename(self, finals: dict[str, str]) -> None:
        folders = set()
        for temporary, final in finals.items():
            source, target = self.stage / temporary, self.folder / final
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
                failpoints.reach("file sink: one renamed")
            folders |= {target.parent, *(p for p in target.parent.parents if self.folder in p.parents)}
        for folder in {*folders, self.folder}:
            _sync(folder)
        _sync(self.stage)

    def close(self) -> None:
        pass


class _Files:
    """The files of one delivery while they are written."""

    def __init__(self, target: FileTarget, number: int) -> None:
        self._config = target.config
        self._stage = target.stage
        self._number = number
        #: name in the stage -> path below the folder
        self.finals: dict[str, str] = {}
        self._open: dict[str, tuple[RowWriter, Path]] = {}
        inside = set(self._config.partition)
        self._kept = [i for i in range(len(self._config.columns)) if i not in inside]

    def write(self, change: SinkBatch) -> None:
        batch = self._rows(change)
        if not self._config.partition:
            self._write("", batch)
            return
        columns = self._config.columns
        parts = [_folder_names(batch.column(i), columns[i]) for i in self._config.partition]
        folders = pc.binary_join_element_wise(*parts, "/").dictionary_encode()
        codes = folders.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(folders.dictionary) + 1))
        for i, folder in enumerate(folders.dictionary.to_pylist()):
            self._write(folder, batch.take(pa.array(order[bounds[i] : bounds[i + 1]])))

    def _rows(self, change: SinkBatch) -> pa.RecordBatch:
        batch, weights = change.batch, change.weights
        if weights is None:
            weights = np.ones(batch.num_rows, np.int64)
        columns = list(batch.columns)
        if self._config.diff:
            epochs = pa.array(np.full(batch.num_rows, change.epoch, np.int64))
            columns = [epochs, pa.array(weights), *columns]
        found = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
        if not self._config.diff and (weights != 1).any():
            found = found.take(pa.array(np.repeat(np.arange(len(weights)), weights)))
        return found

    def _write(self, folder: str, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        opened = self._open.get(folder)
        if opened is None:
            if len(self._open) >= _OPEN_FILES:
                self._end(next(iter(self._open)))
            opened = self._open[folder] = self._create(folder)
        opened[0].write(batch.select(self._kept))

    def _create(self, folder: str) -> tuple[RowWriter, Path]:
        config = self._config
        name = f"{self._number:012d}-{len(self.finals):05d}.{config.format}"
        self.finals[name] = f"{folder}/{name}" if folder else name
        path = self._stage / name
        columns = [config.columns[i] for i in self._kept]
        if config.format == "csv":
            return CsvRows(path, columns, config.dialect.delimiter, config.dialect.header), path
        return (JsonRows if config.format == "json" else ParquetRows)(path, columns), path

    def _end(self, folder: str) -> None:
        writer, path = self._open.pop(folder)
        writer.close()
        with path.open("rb") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        """End all files; they are durable then."""
        for folder in list(self._open):
            self._end(folder)
        _sync(self._stage)


def _folder_names(values: pa.Array, column: SourceColumn) -> pa.Array:
    """``column=value`` for each value."""
    texts = format_values(values, column.type, FormatSettings()).dictionary_encode()
    names = [quote(text, safe=" :+,@()") for text in texts.dictionary.to_pylist()]
    indices = texts.indices.fill_null(len(names))
    found = pa.array([*names, _NULL_PARTITION]).take(indices)
    return pc.binary_join_element_wise(quote(column.name, safe=" "), found, "=")


def _replace(path: Path, content: bytes) -> None:
    """Write a file, all of it or nothing, durably."""
    fresh = path.with_name(path.name + ".tmp")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class FileSink:
    options: Mapping[str, Option] = _OPTIONS

    def check(self, spec: SinkSpec) -> None:
        FileSinkConfig.of(spec)

    def interval(self, spec: SinkSpec) -> float:
        return FileSinkConfig.of(spec).interval

    def target(self, spec: SinkSpec) -> SinkTarget:
        return FileTarget(spec)


SINK = FileSink()
