"""Single-producer single-consumer message rings between processes.

A ring lives in a memfd that the child inherits. A message is a 64-bit length and
its bytes; it may be longer than the ring, then it passes through in pieces. A
payload is copied twice, into the ring and out of it (about 25 µs per MB each way,
see benchmarks/test_ring.py), so a received message owns its memory and may be kept
for as long as anyone likes. A side that has nothing to do sleeps on its *doorbell*,
one eventfd per process; the other side writes to it only when the flag says so.
"""

import mmap
import os

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer, Py_buffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t

cdef extern from "ring.hpp" namespace "laminar" nogil:
    const uint64_t RING_DATA
    cdef cppclass RingWriterCore:
        uint64_t mine
        void attach(uint8_t* memory, uint64_t capacity, int bell)
        void start()
        uint64_t room()
        uint64_t put(const uint8_t* source, uint64_t size)
        void publish()
        bint sleep()
    cdef cppclass RingReaderCore:
        uint64_t mine
        void attach(uint8_t* memory, uint64_t capacity, int bell)
        void start()
        uint64_t available()
        uint64_t get(uint8_t* target, uint64_t size)
        void release()
        bint sleep()
        void awake()

#: a message's length beyond this is garbage
MESSAGE_LIMIT = 1 << 40
# The reader sees a long message in pieces of this size, so that both sides copy at the same time.
cdef uint64_t PIECE = 1 << 18


def create_ring(capacity: int) -> int:
    """Make the memory of a ring; returns its file descriptor (close-on-exec).

    Args:
        capacity: bytes, a power of two of at least 4096.
    """
    if capacity < 4096 or capacity & (capacity - 1):
        raise ValueError("ring capacity must be a power of two of at least 4096")
    fd = os.memfd_create("laminar-ring", os.MFD_CLOEXEC)
    try:
        os.posix_fallocate(fd, 0, RING_DATA + capacity)
    except BaseException:
        os.close(fd)
        raise
    return fd


cdef class _Mapping:
    cdef unsigned char[::1] view
    cdef uint64_t capacity

    def __cinit__(self, int fd):
        size = os.fstat(fd).st_size
        self.capacity = size - RING_DATA
        if size <= RING_DATA or self.capacity & (self.capacity - 1):
            raise ValueError("not a ring")
        self.view = mmap.mmap(fd, size)


cdef class RingWriter:
    """The producer's end.

    Args:
        fd: the ring's memory.
        doorbell: eventfd of the consumer.
    """
    cdef RingWriterCore core
    cdef _Mapping mapping
    cdef list rest          # what is left of an unfinished message
    cdef readonly unsigned long long messages

    def __init__(self, int fd, int doorbell):
        self.mapping = _Mapping(fd)
        self.core.attach(<uint8_t*>&self.mapping.view[0], self.mapping.capacity, doorbell)
        self.core.start()
        self.rest = []

    @property
    def idle(self) -> bool:
        """Whether no message is half written."""
        return not self.rest

    @property
    def bytes_written(self) -> int:
        return self.core.mine

    def write(self, parts) -> bool:
        """Write the concatenation of ``parts`` (bytes-like) as one message.

        Returns False when the ring is full before the end: call :meth:`flush` until it is
        True, before the next message.
        """
        cdef uint64_t length[1]
        if self.rest:
            raise BufferError("the previous message is not finished")
        length[0] = 0
        for part in parts:
            length[0] += <uint64_t>memoryview(part).nbytes
        if self.core.room() < 8:
            self.rest = [(<uint8_t*>length)[:8], *parts]
            return False
        self.core.put(<const uint8_t*>length, 8)
        self.rest = list(parts)
        return self.flush()

    def flush(self) -> bool:
        """Go on with an unfinished message; True when nothing is left."""
        cdef Py_buffer view
        cdef uint64_t done, count, step
        cdef const uint8_t* data
        if not self.rest:
            return True
        while self.rest:
            part = self.rest[0]
            PyObject_GetBuffer(part, &view, PyBUF_SIMPLE)
            try:
                done = 0
                data = <const uint8_t*>view.buf
                with nogil:
                    while done < <uint64_t>view.len:
                        step = view.len - done
                        count = self.core.put(data + done, PIECE if step > PIECE else step)
                        if count == 0:
                            break
                        done += count
                        if step > PIECE:
                            self.core.publish()
                finished = done == <uint64_t>view.len
            finally:
                PyBuffer_Release(&view)
            if not finished:
                if done:
                    self.rest[0] = memoryview(part).cast("B")[done:]
                self.core.publish()
                return False
            del self.rest[0]
        self.core.publish()
        self.messages += 1
        return True

    def sleep(self) -> bool:
        """Ask to be woken when half the ring is free; False when it already is."""
        return self.core.sleep()


cdef class RingReader:
    """The consumer's end.

    Args:
        fd: the ring's memory.
        doorbell: eventfd of the producer.
    """
    cdef RingReaderCore core
    cdef _Mapping mapping
    cdef bytes message      # being received
    cdef uint64_t filled
    cdef uint8_t header[8]
    cdef uint64_t header_filled
    cdef readonly unsigned long long messages

    def __init__(self, int fd, int doorbell):
        self.mapping = _Mapping(fd)
        self.core.attach(<uint8_t*>&self.mapping.view[0], self.mapping.capacity, doorbell)
        self.core.start()

    @property
    def bytes_read(self) -> int:
        return self.core.mine

    def read(self) -> bytes | None:
        """The next message, or None when it is not complete yet."""
        cdef uint64_t length, count
        cdef uint8_t* target
        if self.message is None:
            if self.header_filled < 8:
                self.header_filled += self.core.get(self.header + self.header_filled, 8 - self.header_filled)
                if self.header_filled < 8:
                    if self.header_filled:
                        self.core.release()
                    return None
            length = (<uint64_t*>self.header)[0]
            if length > <uint64_t>MESSAGE_LIMIT:
                raise ValueError("ring is damaged: message of %d bytes" % length)
            self.message = PyBytes_FromStringAndSize(NULL, length)
            self.filled = 0
        length = len(self.message)
        target = <uint8_t*>PyBytes_AS_STRING(self.message)
        with nogil:
            while self.filled < length:
                count = length - self.filled
                count = self.core.get(target + self.filled, PIECE if count > PIECE else count)
                if count == 0:
                    break
                self.filled += count
                self.core.release()
        if self.filled < length:
            return None
        if length == 0:
            self.core.release()
        result = self.message
        self.message = None
        self.header_filled = 0
        self.messages += 1
        return result

    def sleep(self) -> bool:
        """Ask to be woken by data; False when there already is some."""
        return self.core.sleep()

    def awake(self) -> None:
        """Take the request of :meth:`sleep` back."""
        self.core.awake()
