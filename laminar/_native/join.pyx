"""Inner equi-join of two changing inputs; the work is in join.hpp."""

import numpy as np
import pyarrow as pa

from libcpp.string cimport string

from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, Layout, cbool, int64_t, raise_pg_error, read_batch, read_layouts, uintptr_t, vector,
)


cdef extern from "join.hpp" namespace "laminar::engine" nogil:
    cdef cppclass JoinSideConfig:
        JoinSideConfig()
        vector[Layout] columns
        vector[int] keys
        cbool append_only

    cdef cppclass Joined:
        ArrowArray batch
        vector[int64_t] weights
        cbool all_ones

    cdef cppclass JoinState:
        JoinState(const JoinSideConfig&, const JoinSideConfig&, const vector[cbool]&, const string&) except +raise_pg_error
        vector[Joined] process(int, const Batch&, const int64_t*) except +raise_pg_error
        cbool checkpoint(BatchBuilder&) except +raise_pg_error
        void restore(const Batch&) except +raise_pg_error
        size_t entries()
        size_t bytes()


CHECKPOINT_SCHEMA = pa.schema([("key", pa.binary()), ("value", pa.binary())])


cdef JoinSideConfig side_config(schema, keys, append_only) except *:
    cdef JoinSideConfig config
    config.columns = read_layouts(schema)
    for k in keys:
        config.keys.push_back(k)
    config.append_only = append_only
    return config


cdef class Joiner:
    """Both sides of one join in one reactor. See join.pyi."""

    cdef JoinState* state
    cdef object schema
    cdef vector[Layout] entry_layouts

    def __cinit__(self, left, right, left_keys, right_keys, null_safe, left_append_only, right_append_only, directory):
        cdef vector[cbool] safe
        cdef cbool matches_null
        for k in range(len(left_keys)):
            matches_null = k in null_safe
            safe.push_back(matches_null)
        self.schema = pa.schema(list(left) + list(right))
        self.entry_layouts = read_layouts(CHECKPOINT_SCHEMA)
        self.state = new JoinState(
            side_config(left, left_keys, left_append_only),
            side_config(right, right_keys, right_append_only),
            safe,
            str(directory or "").encode(),
        )

    def __dealloc__(self):
        del self.state

    def process(self, int port, batch, weights):
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef const int64_t[::1] w
        cdef const int64_t* weight = NULL
        cdef vector[Joined] done
        cdef size_t i
        if weights is not None and len(weights):
            w = weights
            weight = &w[0]
        with nogil:
            done = self.state.process(port, view, weight)
        out = []
        for i in range(done.size()):
            joined = pa.RecordBatch._import_from_c(<uintptr_t>&done[i].batch, self.schema)
            signs = None
            if not done[i].all_ones:
                signs = np.array(<int64_t[:done[i].weights.size()]>done[i].weights.data(), dtype=np.int64)
            out.append((joined, signs))
        return out

    def checkpoint(self):
        cdef BatchBuilder* builder
        cdef ArrowArray array
        cdef cbool more = True
        while True:
            builder = new BatchBuilder(self.entry_layouts)
            try:
                with nogil:
                    more = self.state.checkpoint(builder[0])
                if not more:
                    return
                builder.finish(&array, builder.columns[0].length())
                batch = pa.RecordBatch._import_from_c(<uintptr_t>&array, CHECKPOINT_SCHEMA)
            finally:
                del builder
            yield batch

    def restore(self, batch):
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        with nogil:
            self.state.restore(view)

    @property
    def entries(self):
        return self.state.entries()

    @property
    def state_bytes(self):
        return self.state.bytes()
