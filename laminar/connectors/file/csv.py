"""CSV files: values are read by PostgreSQL's input functions; an unquoted empty field is null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pa_csv

from laminar.connectors.base import ScanRequest, SourceColumn, bad_option
from laminar.connectors.file.columns import find_field
from laminar.connectors.file.convert import text_converter
from laminar.connectors.file.textrows import Parsed, TextRows
from laminar.connectors.rejected import Rejections
from laminar.errors import BAD_COPY_FILE_FORMAT, PgError

_QUOTE = ord('"')


@dataclass(frozen=True, slots=True)
class Dialect:
    delimiter: str
    header: bool
    null: str

    @classmethod
    def of(cls, delimiter: str, header: bool, null: str) -> Dialect:
        """Raises 22023 for a delimiter that is not one ASCII character that CSV leaves free."""
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
            raise bad_option('option "csv.delimiter" must be one ASCII character, not a quote or a newline')
        return cls(delimiter, header, null)


class CsvRows(TextRows):
    """The rows of one file; they start behind the header."""

    blanks = b"\r\n"

    def __init__(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        request: ScanRequest,
        rejections: Rejections,
        dialect: Dialect,
    ) -> None:
        super().__init__(path, columns, request, rejections, _QUOTE)
        self._dialect = dialect
        #: of the block at hand: rows with too few or many fields
        self._malformed: dict[int, str] = {}
        self._fields = [c.name for c in columns]
        if dialect.header:
            self._fields = self._header(path)
        self._start = self._blocks.offset
        # fields are numbered: their names may repeat, and only positions count
        schema = pa.schema([pa.field(name, pa.string()) for name in self._fields])
        self._picked = [str(find_field(schema, column.name, f'file "{path}"')) for column in columns]
        self._converters = [text_converter(column) for column in columns]

    def _header(self, path: str) -> list[str]:
        first = self._blocks.next(1)
        if first is None:
            raise PgError(BAD_COPY_FILE_FORMAT, f'file "{path}" has no header')
        names = self._table(first, ncolumns=None)
        return [name.as_py() or "" for name in (column[0] for column in names.columns)]

    def _parse(self, data: bytes) -> Parsed:
        self._malformed = {}
        try:
            table = self._table(data, ncolumns=len(self._fields))
        except pa.ArrowInvalid as error:
            raise PgError(BAD_COPY_FILE_FORMAT, f"malformed CSV: {error}") from error
        texts = [table.column(name).combine_chunks() for name in self._picked]
        return Parsed(texts, self._converters, table.num_rows, self._malformed)

    def _table(self, data: bytes, ncolumns: int | None) -> pa.Table:
        """All columns as text, named by number. Rows with too few or many fields go."""
        names = [str(i) for i in range(ncolumns)] if ncolumns else None
        picked = self._picked or names[:1] if names else []
        if not data.strip(b"\r\n"):
            return pa.table({name: pa.array([], pa.string()) for name in picked})
        return pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                block_size=len(data) + 1,
                column_names=names,
                autogenerate_column_names=names is None,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._dialect.delimiter,
                newlines_in_values=True,
                invalid_row_handler=self._invalid if ncolumns else None,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in picked},
                include_columns=picked,
                check_utf8=False,  # row by row, when converting
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[self._dialect.null],
            ),
        )

    def _invalid(self, row: pa_csv.InvalidRow) -> str:
        message = f"expected {row.expected_columns} fields, found {row.actual_columns}"
        self._malformed[row.number - 1] = message
        return "skip"
