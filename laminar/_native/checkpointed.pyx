"""What native states share: entries for checkpoints, and rows with weights handed out."""

import numpy as np
import pyarrow as pa

from laminar._native.columns cimport Layout, read_batch, read_layouts, uintptr_t

ENTRIES = pa.schema([("key", pa.binary()), ("value", pa.binary())])


cdef class BatchOut:
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


cdef class Checkpointed:
    cdef bint next_entries(self, BatchBuilder* out) except -1:
        raise NotImplementedError

    cdef int put_back(self, const Batch& entries) except -1:
        raise NotImplementedError

    def checkpoint(self):
        """Entries changed since the last checkpoint, deleted ones with a null value.

        Nothing may change before the iterator is exhausted, which also clears the list of changes.
        """
        cdef BatchOut out
        while True:
            out = BatchOut(ENTRIES)
            if not self.next_entries(out.builder):
                return
            yield out.finish()

    def restore(self, entries):
        """Take back what checkpoint gave; does not count as a change."""
        cdef tuple held = (entries.cast(ENTRIES) if entries.schema != ENTRIES else entries).__arrow_c_array__()
        self.put_back(read_batch(held))


cdef object take_rows(ArrowArray* batch, const vector[int64_t]& weights, bint all_ones, object schema):
    rows = pa.RecordBatch._import_from_c(<uintptr_t>batch, schema)
    if all_ones:
        return rows, None
    return rows, np.array(<int64_t[:weights.size()]><int64_t*>weights.data(), dtype=np.int64)
