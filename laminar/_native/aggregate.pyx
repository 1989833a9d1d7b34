"""Keyed aggregation over changes; the work is in groupstate.hpp."""

import numpy as np
import pyarrow as pa

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libcpp.string cimport string

from laminar._native.checkpointed cimport Checkpointed, take_rows
from laminar._native.windows cimport WindowSpec
from laminar._native.columns cimport (
    ArrowArray, Batch, BatchBuilder, Layout, cbool, int64_t, raise_pg_error, read_batch, read_layouts, uint64_t,
    vector,
)


cdef extern from "groupstate.hpp" namespace "laminar::engine" nogil:
    cdef enum class Agg:
        Count
        SumInt
        SumDecimal
        SumFloat
        SumNumeric
        Bool
        Fixed
        Var

    cdef enum class Result:
        Int64
        Decimal
        Double
        Float
        And
        Or
        Same

    cdef int64_t kNeverLate

    cdef cppclass AggSpec:
        AggSpec()
        Agg kind
        Result result
        int value
        int filter
        cbool max
        cbool retract
        Layout into "in"
        Layout out

    cdef cppclass Slices:
        int start, end
        WindowSpec windows

    cdef cppclass GroupConfig:
        GroupConfig()
        vector[Layout] keys
        vector[AggSpec] aggs
        int window
        int64_t window_unit
        int64_t lateness
        cbool closes
        cbool corrects
        cbool judged
        cbool is_global "global"
        cbool multiset
        Slices slices

    cdef cppclass Emitted:
        ArrowArray batch
        vector[int64_t] weights
        cbool all_ones

    cdef cppclass GroupState:
        GroupState(GroupConfig, const string&) except +raise_pg_error
        void process(const Batch&, const int64_t*, int, cbool) except +raise_pg_error
        vector[Emitted] barrier(int64_t) except +raise_pg_error
        cbool checkpoint(BatchBuilder&) except +raise_pg_error
        void restore(const Batch&) except +raise_pg_error
        uint64_t late, errors
        const uint8_t* late_rows()
        int64_t watermark()
        size_t entries()
        size_t windows()
        size_t bytes()


cdef dict KINDS = {
    "count": <int>Agg.Count, "sum_int": <int>Agg.SumInt, "sum_decimal": <int>Agg.SumDecimal,
    "sum_float": <int>Agg.SumFloat, "sum_numeric": <int>Agg.SumNumeric, "bool": <int>Agg.Bool, "fixed": <int>Agg.Fixed, "var": <int>Agg.Var,
}
cdef dict RESULTS = {
    "int64": <int>Result.Int64, "decimal": <int>Result.Decimal, "double": <int>Result.Double,
    "float": <int>Result.Float, "and": <int>Result.And, "or": <int>Result.Or, "same": <int>Result.Same,
}


cdef class Groups(Checkpointed):
    """Groups of one aggregation in one reactor. See aggregate.pyi."""

    cdef GroupState* state
    cdef object schema

    def __cinit__(self, keys, specs, directory, window=-1, window_unit=1, lateness=None, closes=False,
                  single=False, multiset=False, corrects=False, judged=False, slices=None):
        cdef GroupConfig config
        cdef AggSpec spec
        config.keys = read_layouts(keys)
        fields = list(keys)
        for n, s in enumerate(specs):
            spec = AggSpec()
            spec.kind = <Agg><int>KINDS[s.kind]
            spec.result = <Result><int>RESULTS[s.result]
            spec.value = s.value
            spec.filter = s.filter
            spec.max = s.max
            spec.retract = s.retract
            spec.into = read_layouts(pa.schema([("", s.input or pa.null())]))[0]
            spec.out = read_layouts(pa.schema([("", s.output)]))[0]
            config.aggs.push_back(spec)
            fields.append(pa.field(f"a{n}", s.output))
        config.window = window
        config.window_unit = window_unit
        config.lateness = kNeverLate if lateness is None else lateness
        config.closes = closes
        config.corrects = corrects
        config.judged = judged
        config.is_global = single
        config.multiset = multiset
        if slices is not None:
            config.slices.start, config.slices.end = slices.start, slices.end
            config.slices.windows.step, config.slices.windows.size = slices.step, slices.size
            config.slices.windows.offset, config.slices.windows.cumulate = slices.offset, slices.cumulate
        self.schema = pa.schema(fields)
        self.state = new GroupState(config, str(directory or "").encode())

    def __dealloc__(self):
        del self.state

    def process(self, batch, weights, int row_watermark=-1, bint sliced=False):
        cdef tuple held = batch.__arrow_c_array__()
        cdef Batch view = read_batch(held)
        cdef const int64_t[::1] w
        cdef const int64_t* weight = NULL
        if weights is not None and len(weights):
            w = weights
            weight = &w[0]
        with nogil:
            self.state.process(view, weight, row_watermark, sliced)
        cdef const uint8_t* late = self.state.late_rows() if view.rows else NULL
        if late is NULL:
            return None
        return np.frombuffer(PyBytes_FromStringAndSize(<const char*>late, view.rows), np.bool_)

    def barrier(self, int64_t watermark):
        cdef vector[Emitted] done
        cdef size_t i
        with nogil:
            done = self.state.barrier(watermark)
        out = []
        for i in range(done.size()):
            out.append(take_rows(&done[i].batch, done[i].weights, done[i].all_ones, self.schema))
        return out

    cdef bint next_entries(self, BatchBuilder* out) except -1:
        with nogil:
            return self.state.checkpoint(out[0])

    cdef int put_back(self, const Batch& entries) except -1:
        with nogil:
            self.state.restore(entries)
        return 0

    @property
    def watermark(self):
        return self.state.watermark()

    @property
    def late(self):
        return self.state.late

    @property
    def errors(self):
        return self.state.errors

    @property
    def entries(self):
        return self.state.entries()

    @property
    def windows(self):
        return self.state.windows()

    @property
    def state_bytes(self):
        return self.state.bytes()
