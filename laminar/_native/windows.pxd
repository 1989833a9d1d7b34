from libc.stdint cimport int64_t
from libcpp cimport bool as cbool


cdef extern from "windows.hpp" namespace "laminar::engine" nogil:
    cdef cppclass WindowSpec:
        int64_t step, size, offset
        cbool cumulate
