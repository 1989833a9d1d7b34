# distutils: language = c++
"""Arrow batches to the wire's rows and back; the work is in wire_rows.hpp, without the GIL."""

from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

import pyarrow as pa

from laminar import errors, types as t
from laminar.errors import PgError


cdef extern from "arrow_c.hpp" nogil:
    ctypedef struct ArrowSchema:
        void (*release)(ArrowSchema*) noexcept

    ctypedef struct ArrowArray:
        int64_t length
        ArrowArray** children
        void (*release)(ArrowArray*) noexcept


cdef extern from "wire_rows.hpp" namespace "laminar::wire" nogil:
    cdef enum class Value(uint8_t):
        Bool, Int16, Int32, Int64, Uint32, String

    cdef cppclass Column:
        Value value
        cbool binary
        void bind(const ArrowArray&)

    int64_t put_data_rows(string& out, const vector[Column]& columns, int64_t start, int64_t end, size_t enough) except +


cdef Value _value(object pg_type) except *:
    storage = pg_type.storage
    if storage == pa.bool_():
        return Value.Bool
    if storage == pa.int16():
        return Value.Int16
    if storage == pa.int32():
        return Value.Int32
    if storage == pa.int64():
        return Value.Int64
    if storage == pa.uint32():
        return Value.Uint32
    if storage == pa.string():
        return Value.String
    raise errors.not_supported(f"type with OID {pg_type.oid} cannot be sent yet")


cdef class Encoder:
    """Rows of batches, a chunk at a time."""

    cdef vector[Column] columns
    cdef ArrowArray array
    cdef ArrowSchema schema
    cdef int64_t position
    cdef object storage

    def __init__(self, types, formats):
        cdef Column column
        for pg_type, code in zip(types, formats, strict=True):
            column.value = _value(pg_type)
            column.binary = code == 1
            self.columns.push_back(column)
        self.storage = [pg_type.storage for pg_type in types]
        self.position = 0

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        if self.array.release != NULL:
            self.array.release(&self.array)
        if self.schema.release != NULL:
            self.schema.release(&self.schema)

    @property
    def remaining(self):
        return 0 if self.array.release == NULL else self.array.length - self.position

    def load(self, batch):
        if batch.schema.types != self.storage:
            raise PgError(errors.INTERNAL_ERROR, f"result has {batch.schema.types}, not {self.storage}")
        self.release()
        batch._export_to_c(<uintptr_t>&self.array, <uintptr_t>&self.schema)
        self.position = 0
        cdef size_t i
        for i in range(self.columns.size()):
            self.columns[i].bind(self.array.children[i][0])


cdef class RowEncoder(Encoder):
    """DataRow messages."""

    def __init__(self, types, formats, settings):
        super().__init__(types, formats)

    def encode(self, int64_t limit, size_t enough):
        cdef string out
        cdef int64_t start = self.position, end = self.array.length
        if limit and limit < end - start:
            end = start + limit
        with nogil:
            out.reserve(enough + 4096 if enough < <size_t>(end - start) * 64 else <size_t>(end - start) * 64)
            self.position = put_data_rows(out, self.columns, start, end, enough)
        return <bytes>out.data()[:out.size()], self.position - start


cdef class CopyEncoder(Encoder):
    """COPY TO data."""

    def __init__(self, types, names, options, settings):
        raise errors.not_supported("COPY TO STDOUT is not supported yet")


def decode_value(bytes value, pg_type, int code, settings):
    """A parameter of Bind as a scalar of the type's storage."""
    storage = pg_type.storage
    if code == 1:
        if storage == pa.bool_():
            return pa.scalar(value != b"\0", storage)
        if storage in (pa.int16(), pa.int32(), pa.int64(), pa.uint32()):
            if len(value) != storage.bit_width // 8:
                raise PgError(errors.INVALID_BINARY_REPRESENTATION, "incorrect binary data format")
            return pa.scalar(int.from_bytes(value, "big", signed=storage != pa.uint32()), storage)
    if storage == pa.string():
        return pa.scalar(value.decode(), storage)
    if code == 0 and storage in (pa.int16(), pa.int32(), pa.int64()):
        try:
            return pa.scalar(int(value), storage)
        except (ValueError, pa.ArrowInvalid):
            raise PgError(errors.INVALID_TEXT_REPRESENTATION, f'invalid input syntax: "{value.decode()}"') from None
    raise errors.not_supported(f"parameters of the type with OID {pg_type.oid} are not supported yet")
