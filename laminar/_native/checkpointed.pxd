# What native states share: entries for checkpoints, and rows with weights handed out.
from laminar._native.columns cimport ArrowArray, Batch, BatchBuilder, cbool, int64_t, vector


cdef class BatchOut:
    """A record batch under construction."""

    cdef BatchBuilder* builder
    cdef object schema

    cdef object finish(self)


cdef class Checkpointed:
    """A state that hands over its changed entries as batches of key and value, and takes them back."""

    # Appends some of the changed entries; false when there were none left and they count as handed over.
    cdef bint next_entries(self, BatchBuilder* out) except -1
    # Takes entries back; a null value means that the entry is gone.
    cdef int put_back(self, const Batch& entries) except -1


# A batch and its weights, None when all are 1.
cdef object take_rows(ArrowArray* batch, const vector[int64_t]& weights, bint all_ones, object schema)
