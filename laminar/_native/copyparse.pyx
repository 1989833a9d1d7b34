# distutils: language = c++
"""COPY FROM's bytes into Arrow batches; the work is in copy_parse.hpp, without the GIL."""

from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from laminar._native.textio cimport (
    ArrowArray, ArrowSchema, FormatSettings, Settings, Type, raise_pg_error, to_type,
)

import pyarrow as pa

from laminar import errors
from laminar.errors import PgError


cdef extern from "copy_parse.hpp" namespace "laminar::wire" nogil:
    cdef enum class Format "laminar::wire::CopyIn::Format"(uint8_t):
        Text, Csv, Binary

    cdef enum class Header "laminar::wire::CopyIn::Header"(uint8_t):
        No, Skip, Match

    cdef cppclass CopyIn:
        Format format
        Header header
        char delimiter, quote, escape
        string null
        vector[uint8_t] force_not_null, force_null
        size_t max_row

    cdef cppclass Parser "laminar::wire::CopyParser":
        Parser(string relation, vector[string] names, const vector[Type]& types, CopyIn options, const Settings&)
        void feed(string_view) except +raise_pg_error
        cbool parse(int64_t rows, size_t size, cbool last) except +raise_pg_error
        int64_t ready()
        size_t columns()
        void finish_column(size_t, ArrowArray*, ArrowSchema*) except +raise_pg_error
        void taken()
        int64_t line_of(size_t) except +
        string text_of(size_t) except +
        string context()

    size_t gather_copy_data(string_view input, size_t limit, string& out)


cdef class CopyParser:
    """Parses a COPY stream.

    Args:
        relation, names: for the context of errors.
        types: of the columns in the data's order.
        options: as the session validated them.
        settings: for dates and the like.
        max_row: bytes that one row may have.
    """

    cdef unique_ptr[Parser] parser
    cdef object schema
    cdef str relation
    cdef bint binary

    def __init__(self, str relation, names, types, options, FormatSettings settings, size_t max_row=1 << 28):
        cdef CopyIn copy
        cdef vector[string] c_names
        cdef vector[Type] c_types
        cdef int i
        cdef uint8_t flag
        copy.format = {"text": Format.Text, "csv": Format.Csv, "binary": Format.Binary}[options.format]
        copy.header = {"false": Header.No, "true": Header.Skip, "match": Header.Match}[options.header]
        copy.delimiter, copy.quote, copy.escape = (
            _byte(options.delimiter), _byte(options.quote), _byte(options.escape)
        )
        copy.null = options.null.encode()
        copy.max_row = max_row
        for i, (name, pg_type) in enumerate(zip(names, types, strict=True)):
            c_names.push_back(name.encode())
            c_types.push_back(to_type(pg_type))
            flag = 1 if i in options.force_not_null else 0
            copy.force_not_null.push_back(flag)
            flag = 1 if i in options.force_null else 0
            copy.force_null.push_back(flag)
        self.relation = relation
        self.binary = options.format == "binary"
        self.parser.reset(new Parser(relation.encode(), c_names, c_types, copy, settings.c))
        self.schema = pa.schema([(name, pg_type.storage) for name, pg_type in zip(names, types, strict=True)])

    @property
    def ready(self):
        """Rows parsed and not yet taken."""
        return self.parser.get().ready()

    def feed(self, bytes data not None):
        """Add bytes to what is to be parsed."""
        cdef string_view view = string_view(data, len(data))
        try:
            with nogil:
                self.parser.get().feed(view)
        except PgError as error:
            raise self._placed(error)

    def parse(self, int64_t rows, size_t size, bint last=False):
        """Parse until ``rows`` are ready, about ``size`` bytes are consumed, or no whole row is left.

        Args:
            last: nothing follows; what is left must be a whole row.

        Returns:
            Whether what has been fed is used up.

        Raises:
            PgError: 22P04 and the types' errors; field ``W`` says which line and column.
        """
        cdef cbool done
        try:
            with nogil:
                done = self.parser.get().parse(rows, size, last)
        except PgError as error:
            raise self._placed(error)
        return done

    def place_row(self, size_t row, bint shown):
        """Where a row of the batch last taken is, as PostgreSQL's CONTEXT says it of rows that the table does not take.

        Args:
            shown: with the line's text, if it has one.
        """
        where = f"COPY {self.relation}, line {self.parser.get().line_of(row)}"
        cdef bytes text = self.parser.get().text_of(row) if shown else b""
        return f'{where}: "{text.decode("utf-8", "replace")}"' if shown and not self.binary else where

    def take(self):
        """The rows that are ready, as a batch."""
        cdef ArrowArray array
        cdef ArrowSchema schema
        cdef size_t i
        arrays = []
        rows = self.ready
        for i in range(self.parser.get().columns()):
            self.parser.get().finish_column(i, &array, &schema)
            arrays.append(pa.Array._import_from_c(<uintptr_t>&array, <uintptr_t>&schema))
        self.parser.get().taken()
        if not arrays:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    cdef object _placed(self, error):
        context = (<bytes>self.parser.get().context()).decode("utf-8", "replace")
        if context:
            inner = error.fields.get("W")
            error.fields["W"] = f"{inner}\n{context}" if inner else context
        return error


cdef char _byte(str text) except? -1:
    raw = text.encode()
    if len(raw) != 1:
        raise PgError(errors.FEATURE_NOT_SUPPORTED, "COPY delimiter, quote and escape must be a single one-byte character")
    return <char><unsigned char>raw[0]


def gather(bytearray buffer not None, size_t limit):
    """The data of the whole CopyData messages at the buffer's start, up to about ``limit`` bytes.

    Returns:
        The data and the number of bytes of the buffer it took.
    """
    cdef string out
    cdef size_t used
    cdef string_view view = string_view(buffer, len(buffer))
    used = gather_copy_data(view, limit, out)
    return <bytes>out, used
