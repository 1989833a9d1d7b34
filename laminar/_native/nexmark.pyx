"""Columns of Nexmark events, the GIL released."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t


cdef extern from "nexmark.hpp" namespace "nexmark" nogil:
    cdef cppclass Config:
        uint64_t seed
        int64_t base_us
        double us_per_event
    const int64_t kMaxText
    void c_numbers "nexmark::numbers"(const Config&, const int64_t*, int64_t, int, int, int64_t*)
    int64_t c_texts "nexmark::texts"(const Config&, const int64_t*, int64_t, int, int, int64_t, int32_t*, char*, int64_t)


cdef class Generator:
    """The events of one run.

    Args:
        seed: other seeds, other events.
        base_us: event time of event 0, microseconds since 1970.
        events_per_second: of event time.
    """

    cdef Config config

    def __init__(self, uint64_t seed, int64_t base_us, double events_per_second):
        self.config.seed = seed
        self.config.base_us = base_us
        self.config.us_per_event = 1e6 / events_per_second

    def numbers(self, const int64_t[::1] events, int only, int what):
        """int64 per event; 0 where the event's kind is not ``only`` (-1: any kind)."""
        cdef int64_t n = events.shape[0]
        result = np.zeros(n, np.int64)
        cdef int64_t[::1] out = result
        if n:
            with nogil:
                c_numbers(self.config, &events[0], n, only, what, &out[0])
        return result

    def texts(self, const int64_t[::1] events, int only, int what):
        """(offsets int32, bytes uint8) of one text per event; empty where the kind is not ``only``."""
        cdef int64_t n = events.shape[0], done = 0, capacity = 32 * n + kMaxText
        ends_array = np.zeros(n + 1, np.int32)
        data_array = np.empty(capacity, np.uint8)
        cdef int32_t[::1] ends = ends_array
        cdef uint8_t[::1] data = data_array
        while True:
            if n:
                with nogil:
                    done = c_texts(self.config, &events[0], n, only, what, done, &ends[0], <char*>&data[0], capacity)
            if done == n:
                return ends_array, data_array[: ends[n]]
            capacity *= 2
            if capacity > 2**31 - 1:
                raise MemoryError("too many events for one batch")
            data_array = np.concatenate([data_array, np.empty(capacity - data.shape[0], np.uint8)])
            data = data_array
