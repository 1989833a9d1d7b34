# distutils: language = c++
"""Arrow batches to the wire's rows, and parameters back; the work is in wire_rows.hpp, without the GIL."""

from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from laminar._native.textio cimport (
    ArrowArray, ArrowSchema, ColumnBuilder, FormatSettings, Settings, Type, raise_pg_error, to_type,
)

import pyarrow as pa

from laminar import errors
from laminar.errors import PgError


cdef extern from "wire_rows.hpp" namespace "laminar::wire" nogil:
    cdef cppclass Columns:
        void add(const Type&, cbool)
        size_t size()
        cbool matches(const ArrowSchema&)
        void bind(const ArrowArray&) except +

    cdef enum class CopyFormat "laminar::wire::CopyOut::Format"(uint8_t):
        Text, Csv, Binary

    cdef cppclass CopyOut:
        CopyFormat format
        char delimiter, quote, escape
        string null
        vector[uint8_t] force_quote
        void value(string_view, size_t, size_t, string&)

    int64_t data_rows(
        string& out, const Columns&, const Settings&, int64_t start, int64_t end, size_t enough
    ) except +raise_pg_error
    int64_t copy_rows(
        string& out, const Columns&, const CopyOut&, const Settings&, string& prefix,
        int64_t start, int64_t end, size_t enough
    ) except +raise_pg_error
    void patch_length(string& out, size_t at, size_t length) except +raise_pg_error


cdef class Encoder:
    """Rows of batches, a chunk at a time: load a batch, encode until nothing remains."""

    cdef Columns columns
    cdef Settings settings
    cdef ArrowArray array
    cdef ArrowSchema schema
    cdef int64_t position
    cdef list storage

    def __cinit__(self):
        self.array.release = NULL
        self.schema.release = NULL

    def __init__(self, types, formats, FormatSettings settings):
        for pg_type, code in zip(types, formats, strict=True):
            self.columns.add(to_type(pg_type), <cbool>(code == 1))
        self.settings = settings.c
        self.storage = [pg_type.storage for pg_type in types]

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        if self.array.release != NULL:
            self.array.release(&self.array)
        if self.schema.release != NULL:
            self.schema.release(&self.schema)

    @property
    def remaining(self):
        """Rows of the batch not yet encoded."""
        return 0 if self.array.release == NULL else self.array.length - self.position

    def load(self, batch):
        """Take the next batch; the one before must be used up.

        Raises:
            PgError: XX000 when its columns don't have the storage types.
        """
        self.release()
        batch._export_to_c(<uintptr_t>&self.array, <uintptr_t>&self.schema)
        if not self.columns.matches(self.schema):
            self.release()
            raise PgError(errors.INTERNAL_ERROR, f"rows have types {batch.schema.types} instead of {self.storage}")
        self.position = 0
        self.columns.bind(self.array)

    cdef int64_t end(self, int64_t limit) noexcept nogil:
        cdef int64_t left = self.array.length - self.position
        return self.position + (limit if 0 < limit < left else left)

    cdef object chunk(self, string& out, int64_t position):
        rows = position - self.position
        self.position = position
        return <bytes>out.data()[:out.size()], rows


cdef size_t _estimate(int64_t rows, size_t columns, size_t enough) noexcept nogil:
    """Bytes to reserve: small results must not pay for a whole chunk."""
    cdef size_t guess = <size_t>rows * (16 + columns * 16)
    return guess if guess < enough else enough + 1024


cdef class RowEncoder(Encoder):
    """DataRow messages.

    Args:
        formats: 0 text or 1 binary, one per column.
    """

    def encode(self, int64_t limit, size_t enough):
        """At most ``limit`` rows (0: all), at least one, stopping after ``enough`` bytes.

        Returns:
            The messages and the number of rows in them.
        """
        cdef string out
        cdef int64_t position
        with nogil:
            out.reserve(_estimate(self.end(limit) - self.position, self.columns.size(), enough))
            position = data_rows(out, self.columns, self.settings, self.position, self.end(limit), enough)
        return self.chunk(out, position)

    def encode_row(self, int64_t row):
        """The message of one row of the batch; it stays loaded."""
        cdef string out
        if self.array.release == NULL or not 0 <= row < self.array.length:
            raise IndexError(row)
        data_rows(out, self.columns, self.settings, row, row + 1, 1)
        return <bytes>out.data()[:out.size()]


cdef class CopyEncoder(Encoder):
    """CopyData messages of COPY TO STDOUT, one per row."""

    cdef CopyOut copy
    cdef string prefix
    cdef list names
    cdef cbool header

    def __init__(self, types, names, options, FormatSettings settings):
        cdef size_t i
        cdef uint8_t forced
        binary = options.format == "binary"
        super().__init__(types, [int(binary)] * len(types), settings)
        self.names = list(names)
        self.header = not binary and options.header != "false"
        self.copy.format = (
            CopyFormat.Binary if binary else CopyFormat.Csv if options.format == "csv" else CopyFormat.Text
        )
        self.copy.delimiter = _byte(options.delimiter)
        self.copy.quote = _byte(options.quote)
        self.copy.escape = _byte(options.escape)
        self.copy.null = options.null.encode()
        for i in range(len(types)):
            forced = 1 if options.force_quote == "*" or i in options.force_quote else 0
            self.copy.force_quote.push_back(forced)

    def begin(self):
        """What goes before the rows: the header line as a message of its own. The signature of the binary
        format goes with the first row, as clients that know PostgreSQL expect."""
        if self.copy.format == CopyFormat.Binary:
            self.prefix = <bytes>b"PGCOPY\n\xff\r\n\0" + bytes(8)
        if not self.header:
            return b""
        cdef string out = <bytes>b"d\0\0\0\0"
        cdef CopyOut plain = self.copy
        cdef size_t i
        cdef bytes name
        for i in range(self.columns.size()):
            plain.force_quote[i] = False
            name = self.names[i].encode()
            if i:
                out.push_back(self.copy.delimiter)
            plain.value(string_view(name, len(name)), i, self.columns.size(), out)
        out.push_back(b"\n")
        patch_length(out, 1, out.size() - 1)
        return <bytes>out

    def encode(self, int64_t limit, size_t enough):
        """As RowEncoder.encode."""
        cdef string out
        cdef int64_t position
        with nogil:
            out.reserve(_estimate(self.end(limit) - self.position, self.columns.size(), enough))
            position = copy_rows(
                out, self.columns, self.copy, self.settings, self.prefix, self.position, self.end(limit), enough
            )
        return self.chunk(out, position)

    def end_of_data(self):
        """What goes after the rows: the trailer of the binary format."""
        if self.copy.format != CopyFormat.Binary:
            return b""
        body = <bytes>self.prefix + b"\xff\xff"
        return b"d" + (len(body) + 4).to_bytes(4, "big") + body


cdef char _byte(str text) except? -1:
    raw = text.encode()
    if len(raw) != 1:
        raise PgError(errors.FEATURE_NOT_SUPPORTED, "COPY delimiter, quote and escape must be a single one-byte character")
    return <char><unsigned char>raw[0]


def decode_value(bytes value, pg_type, int code, FormatSettings settings):
    """A parameter of Bind.

    Args:
        code: 0 text (the type's input function), 1 binary (its receive function).

    Returns:
        A scalar of the type's storage.

    Raises:
        PgError: as those functions: 22P02, 22003, 22007, 22P03, 22021, ...
    """
    cdef unique_ptr[ColumnBuilder] builder
    cdef string_view view = string_view(value, len(value))
    cdef ArrowArray array
    cdef ArrowSchema schema
    builder.reset(new ColumnBuilder(to_type(pg_type)))
    if code == 1:
        builder.get().append_binary(view)
    else:
        check_utf8(view)
        builder.get().append_text(view, settings.c)
    builder.get().finish(&array, &schema)
    return pa.Array._import_from_c(<uintptr_t>&array, <uintptr_t>&schema)[0]


cdef extern from "scalar_io.hpp" namespace "laminar" nogil:
    void check_utf8(string_view) except +raise_pg_error
