"""Which windows a time lies in."""

import numpy as np
import pyarrow as pa

from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, int64_t, raise_pg_error, read_batch, uint32_t, uintptr_t, vector,
)


cdef extern from "windows.hpp" namespace "laminar::engine" nogil:
    cdef cppclass FoundWindows:
        vector[uint32_t] index
        vector[int64_t] starts, ends
    void find_windows(const WindowSpec&, const int64_t*, const unsigned char*, int64_t, FoundWindows&)
    int64_t find_slices(const WindowSpec&, const int64_t*, const unsigned char*, int64_t, int64_t*, unsigned char*)


cdef WindowSpec window_spec(int64_t step, int64_t size, int64_t offset, bint cumulate):
    cdef WindowSpec spec
    spec.step, spec.size, spec.offset, spec.cumulate = step, size, offset, cumulate
    return spec


cdef const unsigned char* bytes_of(const unsigned char[::1] mask) noexcept:
    """Where a mask's bytes are; NULL for none."""
    if mask is None or mask.shape[0] == 0:
        return NULL
    return &mask[0]


def hop(const int64_t[::1] times, valid, int64_t step, int64_t size, int64_t offset, bint cumulate):
    cdef const unsigned char* present = bytes_of(valid)
    cdef int64_t n = times.shape[0]
    cdef FoundWindows found
    cdef WindowSpec spec = window_spec(step, size, offset, cumulate)
    if n:
        with nogil:
            find_windows(spec, &times[0], present, n, found)
    cdef size_t rows = found.index.size()
    if rows == 0:
        return np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.int64)
    return (
        np.array(<uint32_t[:rows]>found.index.data(), dtype=np.uint32),
        np.array(<int64_t[:rows]>found.starts.data(), dtype=np.int64),
        np.array(<int64_t[:rows]>found.ends.data(), dtype=np.int64),
    )


def slices(const int64_t[::1] times, valid, int64_t step, int64_t size, int64_t offset, bint cumulate):
    cdef const unsigned char* present = bytes_of(valid)
    cdef int64_t n = times.shape[0], none = 0
    starts, kept = np.empty(n, np.int64), np.empty(n, np.bool_)
    cdef int64_t[::1] start = starts
    cdef unsigned char[::1] keep = kept.view(np.uint8)
    cdef WindowSpec spec = window_spec(step, size, offset, cumulate)
    if n:
        with nogil:
            none = find_slices(spec, &times[0], present, n, &start[0], &keep[0])
    return starts, kept if none else None


def gather(batch, const uint32_t[::1] index):
    cdef tuple held = batch.__arrow_c_array__()
    cdef Batch view = read_batch(held)
    cdef BatchBuilder* builder
    cdef ArrowArray array
    cdef size_t c
    cdef int64_t n = index.shape[0]
    if n == 0:
        return batch.slice(0, 0)
    if np.max(index) >= view.rows:
        raise IndexError("row number out of range")
    builder = new BatchBuilder(view.layouts)
    try:
        with nogil:
            for c in range(view.columns.size()):
                builder.columns[c].gather(view.columns[c], &index[0], n)
            builder.finish(&array, n)
    finally:
        del builder
    return pa.RecordBatch._import_from_c(<uintptr_t>&array, batch.schema)
