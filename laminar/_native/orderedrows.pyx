"""Rows in order within partitions; the work is in orderedrows.hpp."""

import numpy as np
import pyarrow as pa

from libcpp.string cimport string

from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, Builder, Column, Layout, cbool, int64_t, raise_pg_error, read_batch, read_layouts,
    uintptr_t, vector,
)
from laminar._native.statetable cimport Place


cdef extern from "orderedrows.hpp" namespace "laminar::engine" nogil:
    cdef enum class Rank:
        RowNumber
        Rank
        DenseRank

    cdef cppclass Found "laminar::engine::OrderedRows::Found":
        Found()
        vector[int64_t] partition
        vector[int64_t] peer
        vector[int64_t] weight

    cdef cppclass Ordered "laminar::engine::OrderedRows":
        Ordered(const string&, cbool) except +raise_pg_error
        void apply(const Column&, const Column&, const Column&, const int64_t*) except +raise_pg_error
        void fetch(const Column&, int64_t, Rank, Found&, Builder&) except +raise_pg_error
        void trim(const Column&, int64_t, Rank) except +raise_pg_error
        void free(const Column&) except +raise_pg_error
        void due(const string&, const string&, Builder&) except +raise_pg_error
        cbool changes(Place&, BatchBuilder&) except +raise_pg_error
        void checkpointed() except +raise_pg_error
        void restore(const Batch&) except +raise_pg_error
        size_t entries()
        size_t bytes()


CHECKPOINT_SCHEMA = pa.schema([("key", pa.binary()), ("value", pa.binary())])
BINARY_SCHEMA = pa.schema([("bytes", pa.binary())])
cdef dict RANKS = {
    "row_number": <int>Rank.RowNumber, "rank": <int>Rank.Rank, "dense_rank": <int>Rank.DenseRank,
}


cdef class _Out:
    """A batch under construction."""

    cdef BatchBuilder* builder
    cdef object schema

    def __cinit__(self, schema):
        cdef vector[Layout] layouts = read_layouts(schema)
        self.schema = schema
        self.builder = new BatchBuilder(layouts)

    def __dealloc__(self):
        del self.builder

    cdef object finish(self):
        cdef ArrowArray array
        self.builder.finish(&array, self.builder.columns[0].length())
        return pa.RecordBatch._import_from_c(<uintptr_t>&array, self.schema)


cdef object numbers(vector[int64_t]& values):
    if not values.size():
        return np.empty(0, dtype=np.int64)
    return np.array(<int64_t[:values.size()]>values.data(), dtype=np.int64)


cdef class OrderedRows:
    """Rows in order within partitions. See orderedrows.pyi."""

    cdef Ordered* rows

    def __cinit__(self, directory=None, bint listed=False):
        self.rows = new Ordered(str(directory or "").encode(), listed)

    def __dealloc__(self):
        del self.rows

    def apply(self, partitions, orders, rows, weights):
        cdef tuple held = pa.RecordBatch.from_arrays([partitions, orders, rows], names=["p", "o", "r"]).__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef const int64_t[::1] w
        cdef const int64_t* weight = NULL
        if weights is not None and len(weights):
            w = weights
            weight = &w[0]
        with nogil:
            self.rows.apply(view.columns[0], view.columns[1], view.columns[2], weight)

    def fetch(self, partitions, int64_t limit=-1, rank="row_number"):
        cdef tuple held = pa.RecordBatch.from_arrays([partitions], schema=BINARY_SCHEMA).__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef Found found
        cdef _Out out = _Out(BINARY_SCHEMA)
        cdef Rank by = <Rank><int>RANKS[rank]
        with nogil:
            self.rows.fetch(view.columns[0], limit, by, found, out.builder.columns[0])
        return numbers(found.partition), numbers(found.peer), numbers(found.weight), out.finish().column(0)

    def trim(self, partitions, int64_t limit, rank):
        cdef tuple held = pa.RecordBatch.from_arrays([partitions], schema=BINARY_SCHEMA).__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef Rank by = <Rank><int>RANKS[rank]
        with nogil:
            self.rows.trim(view.columns[0], limit, by)

    def free(self, partitions):
        cdef tuple held = pa.RecordBatch.from_arrays([partitions], schema=BINARY_SCHEMA).__arrow_c_array__()
        cdef Batch view = read_batch(held)
        with nogil:
            self.rows.free(view.columns[0])

    def due(self, bytes low not None, bytes high not None):
        cdef _Out out = _Out(BINARY_SCHEMA)
        cdef string first = low, bound = high
        with nogil:
            self.rows.due(first, bound, out.builder.columns[0])
        return out.finish().column(0)

    def checkpoint(self):
        cdef Place place
        cdef _Out out
        cdef bint more
        while True:
            out = _Out(CHECKPOINT_SCHEMA)
            with nogil:
                more = self.rows.changes(place, out.builder[0])
            if not more:
                break
            yield out.finish()
        self.rows.checkpointed()

    def restore(self, entries):
        cdef tuple held = entries.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        with nogil:
            self.rows.restore(view)

    @property
    def entries(self):
        return self.rows.entries()

    @property
    def state_bytes(self):
        return self.rows.bytes()
