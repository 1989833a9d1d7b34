"""Which windows a time lies in."""

import numpy as np
import pyarrow as pa

from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, int64_t, raise_pg_error, read_batch, uint32_t, uintptr_t, vector,
)

cdef int64_t POSITIVE = 9223372036854775807
cdef int64_t NEGATIVE = -9223372036854775807 - 1


cdef inline int64_t floor_to(int64_t t, int64_t step, int64_t offset) noexcept nogil:
    """The greatest offset + n * step that is not above t."""
    cdef int64_t r = (t - offset) % step
    return t - (r + step if r < 0 else r)


def hop(const int64_t[:] times, valid, int64_t step, int64_t size, int64_t offset, bint cumulate):
    cdef const unsigned char[:] mask = valid if valid is not None else None
    cdef vector[uint32_t] index
    cdef vector[int64_t] starts, ends
    cdef int64_t i, t, s, e
    cdef bint masked = valid is not None
    with nogil:
        for i in range(times.shape[0]):
            if masked and not mask[i]:
                continue
            t = times[i]
            if t == POSITIVE or t == NEGATIVE:
                index.push_back(<uint32_t>i)
                starts.push_back(t)
                ends.push_back(t)
            elif cumulate:
                s = floor_to(t, size, offset)
                e = s + (t - s) // step * step + step
                while e <= s + size:
                    index.push_back(<uint32_t>i)
                    starts.push_back(s)
                    ends.push_back(e)
                    e += step
            else:
                s = floor_to(t, step, offset)
                while s > t - size:
                    index.push_back(<uint32_t>i)
                    starts.push_back(s)
                    ends.push_back(s + size)
                    s -= step
    n = index.size()
    if n == 0:
        return np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.int64)
    return (
        np.array(<uint32_t[:n]>index.data(), dtype=np.uint32),
        np.array(<int64_t[:n]>starts.data(), dtype=np.int64),
        np.array(<int64_t[:n]>ends.data(), dtype=np.int64),
    )


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
