# Arrow batches in and out of native operators; see columns.hpp.
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector


cdef extern from "pgerror_py.hpp" namespace "laminar":
    void raise_pg_error()


cdef extern from "columns.hpp" nogil:
    cdef struct ArrowSchema:
        int64_t n_children
        ArrowSchema** children

    cdef struct ArrowArray:
        int64_t length


cdef extern from "columns.hpp" namespace "laminar::engine" nogil:
    cdef cppclass Layout:
        Layout()

    Layout parse_layout(const ArrowSchema*) except +raise_pg_error

    cdef cppclass Column:
        Column()
        int64_t length

    cdef cppclass Batch:
        Batch()
        Batch(const ArrowSchema*, const ArrowArray*) except +raise_pg_error
        int64_t rows
        vector[Layout] layouts
        vector[Column] columns

    cdef cppclass Builder:
        int64_t length()
        void var(const void*, size_t) except +raise_pg_error
        void null() except +raise_pg_error
        void fixed(const void*) except +raise_pg_error
        void gather(const Column&, const uint32_t*, int64_t) except +raise_pg_error
        void finish(ArrowArray*) except +raise_pg_error

    cdef cppclass BatchBuilder:
        BatchBuilder(const vector[Layout]&) except +raise_pg_error
        vector[Builder] columns
        void finish(ArrowArray*, int64_t) except +raise_pg_error


cdef inline Batch read_batch(tuple capsules) except *:
    """A view on a batch; ``capsules`` (its ``__arrow_c_array__()``) must outlive it."""
    return Batch(
        <ArrowSchema*>PyCapsule_GetPointer(capsules[0], "arrow_schema"),
        <ArrowArray*>PyCapsule_GetPointer(capsules[1], "arrow_array"),
    )


cdef inline vector[Layout] read_layouts(object schema) except *:
    """Layouts of a pyarrow schema's columns."""
    cdef vector[Layout] out
    cdef object capsule = schema.__arrow_c_schema__()
    cdef ArrowSchema* s = <ArrowSchema*>PyCapsule_GetPointer(capsule, "arrow_schema")
    cdef int64_t i
    for i in range(s.n_children):
        out.push_back(parse_layout(s.children[i]))
    return out
