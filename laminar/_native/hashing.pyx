"""Column hashes and partitioning by them; the work is in hashing.hpp."""

import numpy as np
import pyarrow as pa

from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, int64_t, raise_pg_error, read_batch, uint32_t, uint64_t, uintptr_t, vector,
)
from laminar._native.columns cimport Column


cdef extern from "hashing.hpp" namespace "laminar::engine" nogil:
    void hash_column(const Column&, uint64_t*, int64_t)
    uint32_t shard(uint64_t, uint32_t)


cdef void hash_all(const Batch& view, const vector[int]& columns, uint64_t* h) noexcept nogil:
    cdef size_t c
    for c in range(columns.size()):
        hash_column(view.columns[columns[c]], h, view.rows)


def hash_columns(batch, columns):
    cdef tuple held = batch.__arrow_c_array__()
    cdef Batch view = read_batch(held)
    cdef vector[int] which = columns
    out = np.zeros(view.rows, dtype=np.uint64)
    cdef uint64_t[::1] h = out
    if view.rows:
        with nogil:
            hash_all(view, which, &h[0])
    return out


def shards(batch, columns, uint32_t n):
    cdef uint64_t[::1] h = hash_columns(batch, columns)
    cdef int64_t rows = h.shape[0], i
    out = np.empty(rows, dtype=np.uint32)
    cdef uint32_t[::1] s = out
    with nogil:
        for i in range(rows):
            s[i] = shard(h[i], n)
    return out


def partition(batch, weights, columns, uint32_t n):
    cdef tuple held = batch.__arrow_c_array__()
    cdef Batch view = read_batch(held)
    cdef vector[int] which = columns
    cdef vector[uint64_t] h
    cdef vector[vector[uint32_t]] index
    cdef int64_t i
    cdef size_t c, part
    cdef BatchBuilder* builder
    cdef ArrowArray array
    with nogil:
        h.resize(view.rows)
        hash_all(view, which, h.data())
        index.resize(n)
        for i in range(view.rows):
            index[shard(h[i], n)].push_back(<uint32_t>i)
    out = []
    for part in range(n):
        if index[part].size() == 0:
            out.append(None)
            continue
        if <int64_t>index[part].size() == view.rows:
            out.append((batch, weights))
            continue
        builder = new BatchBuilder(view.layouts)
        try:
            with nogil:
                for c in range(view.columns.size()):
                    builder.columns[c].gather(view.columns[c], index[part].data(), <int64_t>index[part].size())
                builder.finish(&array, <int64_t>index[part].size())
        finally:
            del builder
        picked = pa.RecordBatch._import_from_c(<uintptr_t>&array, batch.schema)
        if weights is not None:
            rows = np.asarray(<uint32_t[:index[part].size()]>index[part].data())
            out.append((picked, weights[rows]))
        else:
            out.append((picked, None))
    return out
