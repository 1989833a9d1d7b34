"""Folding columns into row hashes, the GIL released. Addresses are those of Arrow buffers."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t, uintptr_t


cdef extern from "rowhash.hpp" namespace "rowhash" nogil:
    void fixed(uint64_t*, int64_t, const uint8_t*, int64_t, const uint8_t*, int)
    void boolean(uint64_t*, int64_t, const uint8_t*, int64_t, const uint8_t*)
    void binary(uint64_t*, int64_t, const uint8_t*, int64_t, const int32_t*, const uint8_t*)
    void lists(uint64_t*, int64_t, const uint8_t*, int64_t, const int32_t*, const uint64_t*)


def fold_fixed(uint64_t[::1] acc, uintptr_t valid, int64_t offset, uintptr_t data, int width):
    cdef int64_t n = acc.shape[0]
    if n:
        with nogil:
            fixed(&acc[0], n, <const uint8_t*>valid, offset, <const uint8_t*>data, width)


def fold_boolean(uint64_t[::1] acc, uintptr_t valid, int64_t offset, uintptr_t data):
    cdef int64_t n = acc.shape[0]
    if n:
        with nogil:
            boolean(&acc[0], n, <const uint8_t*>valid, offset, <const uint8_t*>data)


def fold_binary(uint64_t[::1] acc, uintptr_t valid, int64_t offset, uintptr_t ends, uintptr_t data):
    cdef int64_t n = acc.shape[0]
    if n:
        with nogil:
            binary(&acc[0], n, <const uint8_t*>valid, offset, <const int32_t*>ends, <const uint8_t*>data)


def fold_lists(uint64_t[::1] acc, uintptr_t valid, int64_t offset, uintptr_t ends, uint64_t[::1] items):
    cdef int64_t n = acc.shape[0]
    cdef const uint64_t* hashes = &items[0] if items.shape[0] else NULL
    if n:
        with nogil:
            lists(&acc[0], n, <const uint8_t*>valid, offset, <const int32_t*>ends, hashes)
