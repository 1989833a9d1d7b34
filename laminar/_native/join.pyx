"""Join of two changing inputs; the work is in join.hpp."""

from collections import namedtuple

import numpy as np
import pyarrow as pa

from libcpp.string cimport string

from laminar._native.checkpointed cimport Checkpointed, take_rows
from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, Layout, cbool, int64_t, raise_pg_error, read_batch, read_layouts, uint8_t, vector,
)


cdef extern from "joinside.hpp" namespace "laminar::engine" nogil:
    cdef enum class Shown:
        Nothing
        Unmatched
        Matched

    cdef cppclass JoinSideConfig:
        vector[Layout] columns
        vector[int] keys
        cbool append_only
        Shown shown
        cbool count_rows
        cbool count_keys
        cbool keys_only
        int time


cdef extern from "join.hpp" namespace "laminar::engine" nogil:
    cdef cppclass Joined:
        Joined()
        ArrowArray batch
        vector[int64_t] weights
        cbool all_ones

    cdef cppclass JoinConfig:
        JoinConfig()
        JoinSideConfig left
        JoinSideConfig right
        vector[cbool] null_safe
        cbool pairs
        cbool padded

    cdef cppclass JoinState:
        JoinState(const JoinConfig&, const string&) except +raise_pg_error
        void begin(int, const Batch&, const int64_t*) except +raise_pg_error
        cbool loose(Joined&) except +raise_pg_error
        cbool next_pairs(Joined&) except +raise_pg_error
        void count(const uint8_t*) except +raise_pg_error
        cbool next_shown(Joined&) except +raise_pg_error
        void expire(int, int64_t) except +raise_pg_error
        cbool checkpoint(BatchBuilder&) except +raise_pg_error
        void restore(const Batch&) except +raise_pg_error
        size_t entries()
        size_t bytes()


Side = namedtuple("Side", "schema keys append_only shown count_rows count_keys keys_only time")


cdef Shown shown_rows(what) except *:
    if what is None:
        return Shown.Nothing
    return Shown.Matched if what == "matched" else Shown.Unmatched


cdef void describe(JoinSideConfig& config, side) except *:
    config.columns = read_layouts(side.schema)
    for k in side.keys:
        config.keys.push_back(k)
    config.append_only = side.append_only
    config.shown = shown_rows(side.shown)
    config.count_rows = side.count_rows
    config.count_keys = side.count_keys
    config.keys_only = side.keys_only
    config.time = -1 if side.time is None else side.time


cdef class Joiner(Checkpointed):
    """Both sides of one join in one reactor. See join.pyi."""

    cdef JoinState* state
    cdef object pair_schema, shown_schema
    # the batch that is being joined
    cdef object held, weights
    cdef Batch batch

    def __cinit__(self, left, right, null_safe, directory, *, pairs=True, padded=True):
        cdef JoinConfig config
        cdef cbool matches_null
        describe(config.left, left)
        describe(config.right, right)
        for k in range(len(left.keys)):
            matches_null = k in null_safe
            config.null_safe.push_back(matches_null)
        config.pairs = pairs
        config.padded = padded
        self.pair_schema = pa.schema(list(left.schema) + list(right.schema))
        self.shown_schema = self.pair_schema if padded else left.schema
        self.state = new JoinState(config, str(directory or "").encode())

    def __dealloc__(self):
        del self.state

    def begin(self, int port, batch, weights):
        cdef const int64_t[::1] w
        cdef const int64_t* weight = NULL
        if weights is not None and len(weights):
            w = weights
            weight = &w[0]
        held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        self.batch = view
        self.held, self.weights = held, weights
        with nogil:
            self.state.begin(port, self.batch, weight)

    def loose(self):
        cdef Joined done
        return take_rows(&done.batch, done.weights, done.all_ones, self.shown_schema) if self.state.loose(done) else None

    def next_pairs(self):
        cdef Joined done
        cdef cbool more
        with nogil:
            more = self.state.next_pairs(done)
        if more:
            return take_rows(&done.batch, done.weights, done.all_ones, self.pair_schema)
        self.held = self.weights = None
        return None

    def count(self, matched):
        cdef const uint8_t[::1] mask
        cdef const uint8_t* bits = NULL
        if matched is not None and len(matched):
            mask = matched.view(np.uint8)
            bits = &mask[0]
        with nogil:
            self.state.count(bits)

    def next_shown(self):
        cdef Joined done
        cdef cbool more
        with nogil:
            more = self.state.next_shown(done)
        return take_rows(&done.batch, done.weights, done.all_ones, self.shown_schema) if more else None

    def expire(self, int port, int64_t bound):
        with nogil:
            self.state.expire(port, bound)

    cdef bint next_entries(self, BatchBuilder* out) except -1:
        with nogil:
            return self.state.checkpoint(out[0])

    cdef int put_back(self, const Batch& entries) except -1:
        with nogil:
            self.state.restore(entries)
        return 0

    @property
    def entries(self):
        return self.state.entries()

    @property
    def state_bytes(self):
        return self.state.bytes()
