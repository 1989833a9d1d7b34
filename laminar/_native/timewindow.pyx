"""Starts of fixed-size time windows."""

from libc.stdint cimport int64_t, INT64_MAX, INT64_MIN

import numpy as np


def tumble_start(const int64_t[::1] times, int64_t size, int64_t offset):
    """The start of the window of ``size`` that each time lies in; windows begin at ``offset``.

    Infinite times are their own start. A window that would begin before the first
    representable time begins there.
    """
    out = np.empty(times.shape[0], dtype=np.int64)
    if times.shape[0] == 0:
        return out
    cdef int64_t[::1] result = out
    cdef int64_t t, start = 0, end = 0, rest
    cdef Py_ssize_t i
    if size <= 0:
        raise ValueError("window size must be positive")
    with nogil:
        # Neighbouring rows mostly share a window: a comparison instead of a division (26 cycles).
        for i in range(times.shape[0]):
            t = times[i]
            if t >= start and t < end:
                result[i] = start
                continue
            if t == INT64_MAX or t == INT64_MIN:
                result[i] = t
                continue
            # offset is less than size: t - offset overflows only within size of the limits
            if t < INT64_MIN + size + offset:
                result[i] = INT64_MIN + 1
                continue
            rest = (t - offset) % size
            if rest < 0:
                rest += size
            start = t - rest
            end = start + size if start <= INT64_MAX - size else INT64_MAX
            result[i] = start
    return out
