"""CRC32C (Castagnoli; RFC 3720 appendix B.4) with the processor's instruction."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer, Py_buffer
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "crc32c.hpp" namespace "laminar" nogil:
    uint32_t crc32c_extend(uint32_t crc, const uint8_t* data, size_t size)


def crc32c(data, crc: int = 0) -> int:
    """The checksum of ``data`` (bytes-like), continued from ``crc``."""
    cdef Py_buffer view
    cdef uint32_t value = crc
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if view.len < 4096:
            value = crc32c_extend(value, <const uint8_t*>view.buf, view.len)
        else:
            with nogil:
                value = crc32c_extend(value, <const uint8_t*>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return value
