# distutils: language = c++
"""Arithmetic and comparison of integer and float columns (see scalars.hpp)."""

from libc.stdint cimport int64_t, uint8_t, uintptr_t

import pyarrow as pa

from laminar.errors import DIVISION_BY_ZERO, NUMERIC_VALUE_OUT_OF_RANGE, PgError

cdef extern from "scalars.hpp" namespace "laminar" nogil:
    ctypedef int (*BinaryFn)(const void*, int64_t, const void*, int64_t, void*, int64_t) noexcept nogil
    BinaryFn find_binary(char op, int a, int b)
    int faults_of_valid(BinaryFn fn, char op, int ka, int kb, const uint8_t* a, int64_t sa, int64_t wa,
                        const uint8_t* b, int64_t sb, int64_t wb, const uint8_t* valid, int64_t n)
    void and_bits(const uint8_t* a, int64_t ao, const uint8_t* b, int64_t bo, uint8_t* out, int64_t n)

cdef extern from "maths.hpp" namespace "laminar" nogil:
    void* find_math_fn(const char* name, size_t size)
    int run_math(void* fn, const double* x, int64_t sx, const double* y, int64_t sy, double* out,
                 const uint8_t* valid, int64_t n)

cdef dict _MATH_ERRORS = {
    1: ("22003", "value out of range: overflow"),
    2: ("22003", "value out of range: underflow"),
    3: ("22003", "input is out of range"),
    4: ("2201F", "cannot take square root of a negative number"),
    5: ("2201E", "cannot take logarithm of zero"),
    6: ("2201E", "cannot take logarithm of a negative number"),
    7: ("2201F", "zero raised to a negative power is undefined"),
    8: ("2201F", "a negative number raised to a non-integer power yields a complex result"),
}
cdef dict _KINDS = {pa.int16(): 0, pa.int32(): 1, pa.int64(): 2, pa.float32(): 3, pa.float64(): 4}
cdef list _TYPES = [pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()]
cdef int64_t[5] _WIDTHS = [2, 4, 8, 4, 8]
cdef dict _OUT_OF_RANGE = {0: "smallint out of range", 1: "integer out of range", 2: "bigint out of range"}
cdef object _allocate = pa.allocate_buffer
cdef object _from_buffers = pa.Array.from_buffers
cdef object _Scalar = pa.Scalar
cdef object _BOOL = pa.bool_()


cdef class Constant:
    """A scalar in the form native kernels read: one value that stands for every row."""

    cdef readonly object scalar
    cdef object array
    cdef bint is_null

    def __init__(self, scalar):
        self.scalar = scalar
        self.array = pa.repeat(scalar, 1)
        self.is_null = not scalar.is_valid


cdef struct View:
    const uint8_t* data
    const uint8_t* valid
    int64_t offset
    int64_t length
    int64_t stride
    bint null


cdef View _view(object value, list keep, int64_t width) except *:
    """Where an operand's values are; ``keep`` holds what must stay alive."""
    cdef View view
    cdef object array = value
    view.stride = 1
    view.null = False
    if isinstance(value, Constant):
        view.stride = 0
        view.null = (<Constant>value).is_null
        array = (<Constant>value).array
    elif isinstance(value, _Scalar):
        view.stride = 0
        view.null = not value.is_valid
        array = pa.repeat(value, 1)
    cdef list buffers = array.buffers()
    keep.append(buffers)
    view.offset = array.offset
    view.length = len(array)
    view.valid = NULL
    if view.stride and buffers[0] is not None:
        view.valid = <const uint8_t*><uintptr_t>buffers[0].address
    view.data = NULL
    if buffers[1] is not None:
        view.data = <const uint8_t*><uintptr_t>buffers[1].address + view.offset * width
    return view


cdef class Binary:
    """One operator on two integer or two float columns; called as ``kernel(env, left, right)``.

    Args:
        op: one of ``+ - * / %`` (result of the wider type) or ``= ! < > l g`` (boolean).
        left, right: Arrow types of the operands.

    Raises:
        PgError: 22003 out of range, 22012 division by zero, of a row where neither is null.
    """

    cdef char op
    cdef int left, right, kind
    cdef bint compares
    cdef BinaryFn fn
    cdef readonly object type

    def __init__(self, str op, left, right):
        self.op = <char>ord(op)
        self.left, self.right = _KINDS[left], _KINDS[right]
        self.fn = find_binary(self.op, self.left, self.right)
        if self.fn == NULL:
            raise TypeError(f"no {op} for {left} and {right}")
        self.compares = op in "=!<>lg"
        self.kind = max(self.left, self.right)
        self.type = _BOOL if self.compares else _TYPES[self.kind]

    def __call__(self, env, left, right):
        cdef list keep = []
        cdef View a = _view(left, keep, _WIDTHS[self.left])
        cdef View b = _view(right, keep, _WIDTHS[self.right])
        cdef int64_t n = a.length if a.stride else b.length
        cdef int64_t size = (n + 7) // 8 if self.compares else n * _WIDTHS[self.kind]
        cdef int fault
        cdef uint8_t* valid = NULL
        cdef object validity = None
        scalar = not a.stride and not b.stride
        if a.null or b.null:
            return pa.scalar(None, self.type) if scalar else pa.nulls(n, self.type)
        out = _allocate(size)
        cdef uint8_t* target = <uint8_t*><uintptr_t>out.address
        if a.valid != NULL or b.valid != NULL:
            validity = _allocate((n + 7) // 8)
            valid = <uint8_t*><uintptr_t>validity.address
        with nogil:
            fault = self.fn(a.data, a.stride, b.data, b.stride, target, n)
            if valid != NULL:
                and_bits(a.valid, a.offset, b.valid, b.offset, valid, n)
            if fault:
                fault = faults_of_valid(self.fn, self.op, self.left, self.right, a.data, a.stride,
                                        _WIDTHS[self.left], b.data, b.stride, _WIDTHS[self.right], valid, n)
        if fault:
            self.fail(fault)
        result = _from_buffers(self.type, n, [validity, out])
        return result[0] if scalar else result

    cdef fail(self, int fault):
        if fault & 4:
            raise PgError(DIVISION_BY_ZERO, "division by zero")
        message = _OUT_OF_RANGE.get(self.kind)
        if message is None:
            message = "value out of range: overflow" if fault & 1 else "value out of range: underflow"
        raise PgError(NUMERIC_VALUE_OUT_OF_RANGE, message)


cdef class Math:
    """A function of one or two float8 columns, called as ``kernel(env, x[, y])``."""

    cdef void* fn

    def __init__(self, str name):
        cdef bytes raw = name.encode()
        self.fn = find_math_fn(raw, len(raw))
        if self.fn == NULL:
            raise KeyError(name)

    def __call__(self, env, x, y=None):
        cdef list keep = []
        cdef View a = _view(x, keep, 8)
        cdef View b = a if y is None else _view(y, keep, 8)
        cdef int64_t n = a.length if a.stride else b.length
        cdef int error
        cdef uint8_t* valid = NULL
        cdef object validity = None
        scalar = not a.stride and not b.stride
        if a.null or b.null:
            return pa.scalar(None, pa.float64()) if scalar else pa.nulls(n, pa.float64())
        out = _allocate(n * 8)
        cdef double* target = <double*><uintptr_t>out.address
        if a.valid != NULL or b.valid != NULL:
            validity = _allocate((n + 7) // 8)
            valid = <uint8_t*><uintptr_t>validity.address
        with nogil:
            if valid != NULL:
                and_bits(a.valid, a.offset, b.valid, b.offset, valid, n)
            error = run_math(self.fn, <const double*>a.data, a.stride, <const double*>b.data, b.stride, target,
                             valid, n)
        if error:
            state, message = _MATH_ERRORS[error]
            raise PgError(state, message)
        result = _from_buffers(_TYPES[4], n, [validity, out])
        return result[0] if scalar else result
