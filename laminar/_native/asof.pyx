"""ASOF join of two changing inputs; the work is in asof.hpp."""

import pyarrow as pa

from libcpp.string cimport string

from laminar._native.checkpointed cimport Checkpointed, take_rows
from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, Layout, cbool, int64_t, raise_pg_error, read_batch, read_layouts, uint64_t,
    vector,
)


cdef extern from "join.hpp" namespace "laminar::engine" nogil:
    cdef cppclass Joined:
        Joined()
        ArrowArray batch
        vector[int64_t] weights
        cbool all_ones


cdef extern from "asof.hpp" namespace "laminar::engine" nogil:
    cdef cppclass AsofSideConfig:
        vector[Layout] columns
        vector[int] keys
        vector[int] ties
        int time
        int mark

    cdef cppclass AsofConfig:
        AsofConfig()
        AsofSideConfig left
        AsofSideConfig right
        cbool forward
        cbool inclusive
        cbool nearest
        cbool padded
        cbool once
        cbool versions

    cdef cppclass AsofState:
        AsofState(const AsofConfig&, const string&) except +raise_pg_error
        void process(int, const Batch&, const int64_t*) except +raise_pg_error
        void end_epoch() except +raise_pg_error
        void set_bound(string)
        uint64_t late
        cbool next_rows(Joined&) except +raise_pg_error
        cbool checkpoint(BatchBuilder&) except +raise_pg_error
        void restore(const Batch&) except +raise_pg_error
        size_t entries()
        size_t bytes()


cdef void describe(AsofSideConfig& config, side) except *:
    schema, keys, time, ties = side
    config.columns = read_layouts(schema)
    for k in keys:
        config.keys.push_back(k)
    for k in ties:
        config.ties.push_back(k)
    config.time = -1 if time is None else time


cdef class AsofJoiner(Checkpointed):
    """Both sides of one ASOF join in one reactor. See asof.pyi."""

    cdef AsofState* state
    cdef object schema

    def __cinit__(self, left, right, directory, *, forward, inclusive, padded, nearest=False, once=False, versions=False):
        cdef AsofConfig config
        describe(config.left, left)
        describe(config.right, right)
        config.forward = forward
        config.inclusive = inclusive
        config.padded = padded
        config.nearest = nearest
        config.once = once
        config.versions = versions
        config.right.mark = len(right[0])
        self.schema = pa.schema(list(left[0]) + list(right[0]))
        self.state = new AsofState(config, str(directory or "").encode())

    def __dealloc__(self):
        del self.state

    def process(self, int port, batch, weights):
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef const int64_t[::1] w
        cdef const int64_t* weight = NULL
        if weights is not None and len(weights):
            w = weights
            weight = &w[0]
        with nogil:
            self.state.process(port, view, weight)

    def end_epoch(self, bytes bound=None):
        with nogil:
            self.state.end_epoch()
        if bound is not None:
            self.state.set_bound(bound)

    def next_rows(self):
        cdef Joined done
        cdef cbool more
        with nogil:
            more = self.state.next_rows(done)
        return take_rows(&done.batch, done.weights, done.all_ones, self.schema) if more else None

    cdef bint next_entries(self, BatchBuilder* out) except -1:
        with nogil:
            return self.state.checkpoint(out[0])

    cdef int put_back(self, const Batch& entries) except -1:
        with nogil:
            self.state.restore(entries)
        return 0

    @property
    def late(self):
        return self.state.late

    @property
    def entries(self):
        return self.state.entries()

    @property
    def state_bytes(self):
        return self.state.bytes()
