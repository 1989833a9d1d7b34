# cython: language_level=3
# distutils: language = c++
"""Functions, operators and casts of numeric, dates, times and intervals over Arrow columns.

They are found by PostgreSQL's symbol (pg_proc.prosrc) and run without Python and without the GIL:
numeric_kernels.hpp and datetime_kernels.hpp have the tables.
"""

import pyarrow as pa

from libc.stdint cimport int64_t, uintptr_t
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from laminar._native.textio cimport (
    ArrowArray,
    ArrowSchema,
    ColumnBuilder,
    ColumnView,
    FormatSettings,
    Settings,
    Type,
    raise_pg_error,
    to_type,
)


cdef extern from *:
    """
    #include "datetime_kernels.hpp"
    #include "numeric_kernels.hpp"
    #include "pgerror_py.hpp"
    namespace laminar {
    inline const Function* find_function(std::string_view symbol) {
        for (const FunctionTable* table : {&numeric_functions(), &datetime_functions()}) {
            auto found = table->find(symbol);
            if (found != table->end()) return &found->second;
        }
        return nullptr;
    }
    inline std::vector<std::string> function_symbols() {
        std::vector<std::string> names;
        for (const FunctionTable* table : {&numeric_functions(), &datetime_functions()})
            for (const auto& entry : *table) names.emplace_back(entry.first);
        return names;
    }
    }
    """
    cppclass Function "laminar::Function":
        pass
    cppclass Argument "laminar::Argument":
        ColumnView view
        bint constant
        Argument()
    const Function* find_function "laminar::find_function"(string_view)
    vector[string] function_symbols "laminar::function_symbols"()
    void apply "laminar::apply"(
        const Function&, const vector[Argument]&, int64_t, const Settings&, ColumnBuilder&
    ) except +raise_pg_error nogil


SYMBOLS = frozenset(name.decode() for name in function_symbols())

cdef FormatSettings _DEFAULT = FormatSettings()


cdef class Kernel:
    """One function for given types; called with a column for each argument.

    Args:
        symbol: as in pg_proc.prosrc, one of SYMBOLS.
        args: the arguments' PgTypes.
        result: the result's PgType. A numeric with fixed precision and scale comes out as decimal128, rounded
            to the scale (22003 when it does not fit); without them in the variable form.

    Raises:
        KeyError: no such symbol.
    """

    cdef const Function* function
    cdef tuple storages
    cdef vector[Type] types
    cdef Type result
    cdef readonly object type
    cdef readonly str symbol

    def __init__(self, str symbol, args, result):
        cdef bytes name = symbol.encode()
        self.function = find_function(string_view(name, len(name)))
        if self.function == NULL:
            raise KeyError(symbol)
        self.symbol = symbol
        self.storages = tuple(arg.storage for arg in args)
        for arg in args:
            self.types.push_back(to_type(arg))
        self.result = to_type(result)
        self.type = result.storage

    def __call__(self, columns, FormatSettings settings=None, rows=None):
        """Runs the function over the rows.

        Args:
            columns: for each argument an array, or a scalar that stands for every row.
            settings: session time zone and styles; UTC and ISO when not given.
            rows: how many rows there are, when no argument is an array.

        Returns:
            An array of the result's storage.

        Raises:
            PgError: PostgreSQL's for the first failing row.
        """
        cdef vector[ArrowArray] arrays
        cdef ArrowSchema schema
        cdef vector[Argument] arguments
        cdef Argument argument
        cdef unique_ptr[ColumnBuilder] builder
        cdef FormatSettings s = _DEFAULT if settings is None else settings
        cdef int64_t n = -1 if rows is None else rows
        cdef size_t i
        cdef ArrowArray out_array
        cdef ArrowSchema out_schema
        if len(columns) != <Py_ssize_t>self.types.size():
            raise TypeError(f"{self.symbol} takes {self.types.size()} arguments, not {len(columns)}")
        for column in columns:
            if not isinstance(column, pa.Scalar):
                if n >= 0 and n != len(column):
                    raise ValueError("columns of different lengths")
                n = len(column)
        if n < 0:
            n = 1
        arrays.resize(len(columns))
        try:
            for i, column in enumerate(columns):
                argument.constant = isinstance(column, pa.Scalar)
                array = pa.repeat(column, 1) if argument.constant else column
                if array.type != self.storages[i]:
                    raise TypeError(f"{self.symbol}: argument {i + 1} is {array.type}, not {self.storages[i]}")
                array._export_to_c(<uintptr_t>&arrays[i], <uintptr_t>&schema)
                schema.release(&schema)
                argument.view = ColumnView(&arrays[i], self.types[i])
                arguments.push_back(argument)
            builder.reset(new ColumnBuilder(self.result))
            with nogil:
                apply(self.function[0], arguments, n, s.c, builder.get()[0])
            builder.get().finish(&out_array, &out_schema)
            return pa.Array._import_from_c(<uintptr_t>&out_array, <uintptr_t>&out_schema)
        finally:
            for i in range(arrays.size()):
                if arrays[i].release != NULL:
                    arrays[i].release(&arrays[i])
