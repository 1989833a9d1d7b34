# distutils: language = c++
"""PostgreSQL's text functions on string columns (see texts.hpp)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memcpy
from libcpp.string cimport string
from libcpp.vector cimport vector

import pyarrow as pa

from laminar._native.scalars import Constant
from laminar.errors import PgError

cdef extern from "texts.hpp" namespace "laminar" nogil:

    cdef cppclass TextColumn:
        const int32_t* offsets
        const char* chars
        const void* numbers
        int width
        const uint8_t* valid
        int64_t offset
        int64_t stride

    cdef cppclass TextResult:
        vector[int32_t] offsets
        string chars
        vector[int32_t] numbers
        vector[uint8_t] bits
        vector[uint8_t] valid
        int64_t nulls
        int error
        int64_t detail


cdef extern from *:
    """
    static inline void* laminar_find_text(const char* name, size_t size) {
        return reinterpret_cast<void*>(laminar::find_text(std::string_view(name, size)));
    }
    static inline void laminar_run_text(void* fn, char result, const laminar::TextColumn* columns, int count,
                                        int64_t n, laminar::TextResult& r) {
        laminar::run_text(reinterpret_cast<laminar::TextFn>(fn), result, columns, count, n, r);
    }
    """
    void* laminar_find_text(const char* name, size_t size) nogil
    void laminar_run_text(void* fn, char result, const TextColumn* columns, int count, int64_t n,
                          TextResult& r) nogil

cdef dict _ERRORS = {
    1: ("22011", "negative substring length not allowed"),
    2: ("22023", "field position must not be zero"),
    3: ("22025", "LIKE pattern must not end with escape character"),
    4: ("54000", "requested length too large"),
    5: ("54000", "null character not permitted"),
    6: ("54000", "requested character too large for encoding: {}"),
    7: ("54000", "requested character not valid for encoding: {}"),
    8: ("22023", "character number must be positive"),
    9: ("22003", "integer out of range"),
}
cdef object _Scalar = pa.Scalar
cdef dict _RESULTS = {"t": pa.string(), "i": pa.int32(), "b": pa.bool_()}


cdef class TextKernel:
    """A text function, called as ``kernel(env, *columns)`` with string and integer columns."""

    cdef void* fn
    cdef char result
    cdef object type
    cdef dict errors

    def __init__(self, str name, str result="t", errors=None):
        cdef bytes raw = name.encode()
        self.fn = laminar_find_text(raw, len(raw))
        if self.fn == NULL:
            raise KeyError(name)
        self.result = <char>ord(result)
        self.type = _RESULTS[result]
        self.errors = {**_ERRORS, **(errors or {})}

    def __call__(self, env, *columns):
        cdef TextColumn views[6]
        cdef TextResult r
        cdef int64_t n = -1
        cdef int count = len(columns)
        cdef list keep = []
        if count > 6:
            raise TypeError("too many arguments")
        for i in range(count):
            column = columns[i]
            views[i].stride = 1
            if isinstance(column, Constant):
                column = column.scalar
            if isinstance(column, _Scalar):
                views[i].stride = 0
                column = pa.repeat(column, 1)
            else:
                n = len(column)
            buffers = column.buffers()
            keep.append(buffers)
            views[i].offset = column.offset
            views[i].valid = NULL
            views[i].chars = NULL
            views[i].numbers = NULL
            if buffers[0] is not None:
                views[i].valid = <const uint8_t*><uintptr_t>buffers[0].address
            if len(buffers) == 3:
                views[i].offsets = <const int32_t*><uintptr_t>buffers[1].address if buffers[1] is not None else NULL
                views[i].chars = b""
                if buffers[2] is not None and buffers[2].size:
                    views[i].chars = <const char*><uintptr_t>buffers[2].address
            else:
                views[i].width = column.type.bit_width // 8
                views[i].numbers = <const void*><uintptr_t>buffers[1].address
        if n < 0:
            n = 1
        with nogil:
            laminar_run_text(self.fn, self.result, views, count, n, r)
        if r.error:
            state, message = self.errors[r.error]
            raise PgError(state, message.format(r.detail))
        validity = _copy(r.valid.data(), r.valid.size()) if r.nulls else None
        if self.result == c"t":
            return pa.Array.from_buffers(self.type, n, [
                validity, _copy(r.offsets.data(), r.offsets.size() * 4), _copy(r.chars.data(), r.chars.size())
            ])
        if self.result == c"i":
            return pa.Array.from_buffers(self.type, n, [validity, _copy(r.numbers.data(), r.numbers.size() * 4)])
        return pa.Array.from_buffers(self.type, n, [validity, _copy(r.bits.data(), r.bits.size())])


cdef object _copy(const void* data, size_t size):
    buffer = pa.allocate_buffer(size)
    if size:
        memcpy(<void*><uintptr_t>buffer.address, data, size)
    return buffer
