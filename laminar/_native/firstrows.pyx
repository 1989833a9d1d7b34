"""The first rows of partitions; the work is in firstrows.hpp."""

import numpy as np
import pyarrow as pa

from libcpp.string cimport string

from laminar._native.checkpointed cimport Checkpointed, take_rows
from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, Layout, cbool, int64_t, raise_pg_error, read_batch, read_layouts, vector,
)


cdef extern from "firstrows.hpp" namespace "laminar::engine" nogil:
    cdef cppclass FirstRowsConfig:
        FirstRowsConfig()
        vector[Layout] columns
        vector[int] keys
        vector[int] order
        vector[cbool] descending
        int64_t limit
        int64_t offset
        cbool numbered

    cdef cppclass Found "laminar::engine::FirstRows::Found":
        Found()
        ArrowArray batch
        vector[int64_t] weights
        vector[int64_t] ranks
        cbool all_ones

    cdef cppclass Rows "laminar::engine::FirstRows":
        Rows(const FirstRowsConfig&, const string&) except +raise_pg_error
        void apply(const Batch&, const int64_t*) except +raise_pg_error
        cbool next(Found&) except +raise_pg_error
        cbool checkpoint(BatchBuilder&) except +raise_pg_error
        void restore(const Batch&) except +raise_pg_error
        size_t entries()
        size_t bytes()

    int64_t kMost "laminar::engine::FirstRows::kMost"


MOST = kMost


cdef class FirstRows(Checkpointed):
    """The first rows of every partition of an input that only grows. See firstrows.pyi."""

    cdef Rows* rows
    cdef object schema
    cdef bint numbered

    def __cinit__(self, schema, keys, order, int64_t limit, int64_t offset, bint numbered, directory):
        cdef FirstRowsConfig config
        cdef cbool down
        config.columns = read_layouts(schema)
        for k in keys:
            config.keys.push_back(k)
        for column, descending in order:
            config.order.push_back(column)
            down = descending
            config.descending.push_back(down)
        config.limit, config.offset, config.numbered = limit, offset, numbered
        self.schema, self.numbered = schema, numbered
        self.rows = new Rows(config, str(directory or "").encode())

    def __dealloc__(self):
        del self.rows

    def apply(self, batch, weights):
        cdef const int64_t[::1] w
        cdef const int64_t* weight = NULL
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        if weights is not None and len(weights):
            w = weights
            weight = &w[0]
        with nogil:
            self.rows.apply(view, weight)

    def next(self):
        cdef Found found
        cdef cbool more
        with nogil:
            more = self.rows.next(found)
        if not more:
            return None
        ranks = None
        if self.numbered:
            ranks = np.array(<int64_t[:found.ranks.size()]>found.ranks.data(), dtype=np.int64)
        batch, weights = take_rows(&found.batch, found.weights, found.all_ones, self.schema)
        return batch, ranks, weights

    cdef bint next_entries(self, BatchBuilder* out) except -1:
        with nogil:
            return self.rows.checkpoint(out[0])

    cdef int put_back(self, const Batch& entries) except -1:
        with nogil:
            self.rows.restore(entries)
        return 0

    @property
    def entries(self):
        return self.rows.entries()

    @property
    def state_bytes(self):
        return self.rows.bytes()
