"""The connector ``file``: options, the list of files, and the choice of a reader per format."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import pyarrow as pa

from laminar.connectors.base import (
    ScanRequest,
    SourceColumn,
    SourceReader,
    SourceSpec,
    bad_option,
)
from laminar.connectors.file import arrow, csv, json, parquet
from laminar.connectors.options import SOURCE_OPTIONS, Option, parse_options
from laminar.connectors.rejected import OnError, Rejected, Rejections
from laminar.errors import IO_ERROR, PgError
from laminar.types import INT8, TEXT, PgType

T = TypeVar("T")
FORMATS: Final = ("parquet", "arrow", "csv", "json")
_EXTENSIONS: Final = {
    ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
OPTIONS: Final[Mapping[str, Option]] = {
    **SOURCE_OPTIONS,
    "path": Option(required=True),
    "format": Option("choice", choices=FORMATS),
    "mode": Option("choice", "bounded", choices=("bounded", "watch")),
    "csv.delimiter": Option(default=","),
    "csv.header": Option("bool", False),
    "csv.null": Option(default=""),
}
#: the row's number in its file, of text files its byte offset; the file's path
INCLUDES: Final[Mapping[str, PgType]] = {"offset": PgType(INT8), "partition": PgType(TEXT)}


class FileRows(Protocol):
    """The rows of one file; ``SourceReader`` for one partition.

    Of what is included it has only ``offset``, as the last column.
    """

    bytes_read: int

    def read(self, max_rows: int, until: int | None = None) -> pa.RecordBatch | None: ...
    def skipped(self) -> int | None: ...
    @property
    def position(self) -> Any: ...
    def seek(self, position: Any) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FileConfig:
    """The options, read."""

    path: str
    format: str
    watch: bool
    on_error: OnError
    dialect: csv.Dialect

    @classmethod
    def of(cls, spec: SourceSpec) -> FileConfig:
        values = parse_options(spec.options, OPTIONS, "connector file")
        return cls(
            path=values["path"],
            format=_format(values["format"], values["path"], spec.format),
            watch=values["mode"] == "watch",
            on_error=values["on_error"],
            dialect=csv.Dialect.of(values["csv.delimiter"], values["csv.header"], values["csv.null"]),
        )

    def files(self) -> list[str]:
        """Paths that match now, sorted."""
        if glob.has_magic(self.path):
            return sorted(p for p in glob.glob(self.path, recursive=True) if os.path.isfile(p))
        return [self.path] if os.path.isfile(self.path) else []


def _format(option: str | None, path: str, clause: tuple[str, str] | None) -> str:
    encoded = None
    if clause is not None:
        shape, encoded = clause[0].lower(), clause[1].lower()
        if shape not in ("plain", "upsert") or encoded not in (*FORMATS, ""):
            raise bad_option(
                f"connector file does not read FORMAT {clause[0].upper()} ENCODE {clause[1].upper()}",
                hint="Known: FORMAT PLAIN or UPSERT, ENCODE PARQUET, ARROW, CSV or JSON.",
            )
    if option and encoded and option != encoded:
        raise bad_option(f'option "format" is {option}, but the FORMAT clause says {encoded}')
    found = option or encoded or _EXTENSIONS.get(os.path.splitext(path)[1].lower())
    if found is None:
        raise bad_option(
            f'cannot tell the format of "{path}" from its name',
            hint=f"Add the option format = one of {', '.join(FORMATS)}.",
        )
    return found


class FileReader:
    """Reads the files given to one reactor; each is opened when first read."""

    def __init__(
        self, open_: Callable[[str], FileRows], includes: tuple[str, ...], rejections: Rejections
    ) -> None:
        self._open = open_
        self._includes = includes
        self._rejections = rejections
        self._files: dict[str, FileRows] = {}
        self._finished: dict[str, Any] = {}
        #: where to go on in files that are not open yet: a finished one may be gone by now
        self._sought: dict[str, Any] = {}
        self._skipped: dict[str, int | None] = {}
        self._done_bytes = 0
        self.rows_read = 0

    @property
    def dropped(self) -> dict[str, int]:
        return self._rejections.counts

    def rejected(self) -> list[Rejected]:
        return self._rejections.take()

    @property
    def bytes_read(self) -> int:
        return self._done_bytes + sum(f.bytes_read for f in self._files.values())

    def read(self, partition: str, max_rows: int, until: int | None = None) -> pa.RecordBatch | None:
        if partition in self._finished:
            return None
        rows = self._rows(partition)
        if until is not None and rows.position >= until:
            return None
        batch = _io(partition, lambda: rows.read(max_rows, until))
        self._skipped[partition] = rows.skipped()
        if batch is None:
            self._finished[partition] = rows.position
            self._done_bytes += rows.bytes_read
            self._files.pop(partition).close()
            return None
        self.rows_read += batch.num_rows
        return self._included(partition, batch)

    def _included(self, partition: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with what is included in the order that was asked for."""
        if not self._includes:
            return batch
        columns, names = list(batch.columns), list(batch.schema.names)
        offsets = columns.pop() if names[-1:] == ["offset"] and "offset" in self._includes else None
        del names[len(columns) :]
        for what in self._includes:
            columns.append(offsets if what == "offset" else pa.repeat(partition, batch.num_rows))
            names.append(what)
        return pa.RecordBatch.from_arrays(columns, names)

    def skipped(self, partition: str) -> int | None:
        return self._skipped.get(partition)

    def position(self, partition: str) -> Any:
        if partition in self._finished:
            return self._finished[partition]
        if partition in self._sought:
            return self._sought[partition]
        return self._rows(partition).position

    def seek(self, partition: str, position: Any) -> None:
        self._finished.pop(partition, None)
        self._sought[partition] = position

    def finished(self, partition: str) -> bool:
        return partition in self._finished

    def close(self) -> None:
        for rows in self._files.values():
            rows.close()
        self._files.clear()

    def _rows(self, partition: str) -> FileRows:
        rows = self._files.get(partition)
        if rows is None:
            rows = self._files[partition] = _io(partition, lambda: self._open(partition))
        if partition in self._sought:
            position = self._sought.pop(partition)
            _io(partition, lambda: rows.seek(position))
        return rows


def _io(path: str, action: Callable[[], T]) -> T:
    """``action``, with what Arrow and the system raise turned into 58030."""
    try:
        return action()
    except PgError as error:
        if error.detail is None:
            error.detail = f'While reading "{path}".'
        raise
    except (OSError, pa.ArrowException) as error:
        raise PgError(IO_ERROR, f'could not read file "{path}": {error}') from error


class FileSource:
    options: Mapping[str, Option] = OPTIONS
    includes = INCLUDES

    def columns(self, spec: SourceSpec) -> tuple[SourceColumn, ...]:
        config = FileConfig.of(spec)
        files = config.files()
        if not files and not config.watch:
            hint = "Paths are the server's, not the client's."
            raise bad_option(f'no file matches "{config.path}"', hint=hint)
        columns = spec.columns
        if not columns:
            if config.format not in ("parquet", "arrow") or not files:
                raise bad_option(
                    f"a source of {config.format} files needs its columns declared",
                    hint="Only Parquet and Arrow files say what their columns are.",
                )
            columns = _io(files[0], lambda: _inferred(config, files[0]))
        every = ScanRequest(tuple(range(len(columns))))
        for path in files:
            open_ = _opener(config, columns, spec.watermark, every, Rejections())
            _io(path, lambda path=path, open_=open_: open_(path).close())  # type: ignore[misc]
        return columns

    def partitions(self, spec: SourceSpec) -> list[str]:
        return FileConfig.of(spec).files()

    def bounded(self, spec: SourceSpec) -> bool:
        return not FileConfig.of(spec).watch

    def tells_times(self, spec: SourceSpec) -> bool:
        return FileConfig.of(spec).format == "parquet"

    def open(self, spec: SourceSpec, request: ScanRequest) -> SourceReader:
        config = FileConfig.of(spec)
        rejections = Rejections(config.on_error, request.rejects)
        open_ = _opener(config, spec.columns, spec.watermark, request, rejections)
        return FileReader(open_, request.includes, rejections)


def _inferred(config: FileConfig, path: str) -> tuple[SourceColumn, ...]:
    return parquet.columns(path) if config.format == "parquet" else arrow.columns(path)


def _opener(
    config: FileConfig,
    columns: tuple[SourceColumn, ...],
    watermark: int | None,
    request: ScanRequest,
    rejections: Rejections,
) -> Callable[[str], FileRows]:
    match config.format:
        case "parquet":
            return lambda path: parquet.ParquetRows(path, columns, watermark, request, rejections)
        case "arrow":
            return lambda path: arrow.ArrowRows(path, columns, request, rejections)
        case "csv":
            return lambda path: csv.CsvRows(path, columns, request, rejections, config.dialect)
        case _:
            return lambda path: json.JsonRows(path, columns, request, rejections)


SOURCE = FileSource()
