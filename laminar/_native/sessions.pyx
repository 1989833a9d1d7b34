"""Session windows over changes; the work is in sessions.hpp."""

import pyarrow as pa

from libc.stdint cimport INT64_MIN

from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, cbool, int64_t, raise_pg_error, read_batch, read_layouts, uint64_t, uintptr_t,
)

OUTPUT = pa.schema([("row", pa.binary()), ("start", pa.int64()), ("end", pa.int64()), ("weight", pa.int64())])
ENTRIES = pa.schema([("key", pa.binary()), ("value", pa.binary())])


cdef extern from "sessions.hpp" namespace "laminar::engine" nogil:
    cdef struct SessionConfig:
        int64_t gap
        int64_t lateness
        cbool closes
        cbool keeps_late

    cdef cppclass SessionState:
        SessionState(SessionConfig)
        void process(const Batch&, const int64_t*, cbool) except +raise_pg_error
        int64_t barrier(int64_t, BatchBuilder&) except +raise_pg_error
        int64_t take_late(BatchBuilder&) except +raise_pg_error
        cbool checkpoint(BatchBuilder&) except +raise_pg_error
        void restore(const Batch&) except +raise_pg_error
        uint64_t late
        size_t entries()
        size_t bytes_held()


cdef class Sessions:
    """Rows of sessions in one reactor. See sessions.pyi."""

    cdef SessionState* state

    def __cinit__(self, int64_t gap, lateness=None, cbool closes=False, cbool keeps_late=False):
        cdef SessionConfig config
        config.gap = gap
        config.lateness = INT64_MIN if lateness is None else <int64_t>lateness
        config.closes = closes
        config.keeps_late = keeps_late
        self.state = new SessionState(config)

    def __dealloc__(self):
        del self.state

    def process(self, batch, weights):
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef const int64_t[::1] w
        cdef const int64_t* weight = NULL
        cdef cbool marks = batch.num_columns == 4
        if weights is not None and len(weights):
            w = weights
            weight = &w[0]
        with nogil:
            self.state.process(view, weight, marks)

    def barrier(self, int64_t watermark):
        cdef BatchBuilder* builder = new BatchBuilder(read_layouts(OUTPUT))
        cdef ArrowArray array
        cdef int64_t rows
        try:
            with nogil:
                rows = self.state.barrier(watermark, builder[0])
                builder.finish(&array, rows)
        finally:
            del builder
        return pa.RecordBatch._import_from_c(<uintptr_t>&array, OUTPUT)

    def take_late(self):
        cdef BatchBuilder* builder = new BatchBuilder(read_layouts(OUTPUT))
        cdef ArrowArray array
        try:
            builder.finish(&array, self.state.take_late(builder[0]))
        finally:
            del builder
        return pa.RecordBatch._import_from_c(<uintptr_t>&array, OUTPUT)

    def checkpoint(self):
        cdef BatchBuilder* builder
        cdef ArrowArray array
        cdef cbool more = True
        while True:
            builder = new BatchBuilder(read_layouts(ENTRIES))
            try:
                with nogil:
                    more = self.state.checkpoint(builder[0])
                if not more:
                    return
                builder.finish(&array, builder.columns[0].length())
                batch = pa.RecordBatch._import_from_c(<uintptr_t>&array, ENTRIES)
            finally:
                del builder
            yield batch

    def restore(self, batch):
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        with nogil:
            self.state.restore(view)

    @property
    def late(self):
        return self.state.late

    @property
    def entries(self):
        return self.state.entries()

    @property
    def state_bytes(self):
        return self.state.bytes_held()
