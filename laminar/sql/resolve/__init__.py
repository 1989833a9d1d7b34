"""PostgreSQL's type conversion rules (documentation, chapter 10): names to typed expressions.

``resolve_function``, ``resolve_operator`` say what a name means; ``make_call``,
``make_operator``, ``make_array``, ``make_in`` build the expression with every cast
explicit; ``coerce`` and ``common_type`` convert; ``type_by_name`` and ``type_name``
go between SQL's names of types and :class:`~laminar.types.PgType`.
"""

from laminar.sql.resolve.calls import (
    ResolvedCall,
    ResolvedOperator,
    as_function,
    resolve_function,
    resolve_operator,
)
from laminar.sql.resolve.coercion import can_coerce, coerce, common_type, literal, numeric_literal
from laminar.sql.resolve.expressions import (
    bind_args,
    coerce_argument,
    integer_literal,
    make_array,
    make_array_compare,
    make_call,
    make_distinct,
    make_in,
    make_operator,
    result_type,
    text_of,
)
from laminar.sql.resolve.names import INTERVAL_MASKS, oid_name, type_by_name, type_name
from laminar.sql.resolve.rules import array_type, category, element_type, preferred

__all__ = [
    "INTERVAL_MASKS",
    "ResolvedCall",
    "ResolvedOperator",
    "array_type",
    "as_function",
    "bind_args",
    "can_coerce",
    "category",
    "coerce",
    "coerce_argument",
    "common_type",
    "element_type",
    "integer_literal",
    "literal",
    "make_array",
    "make_array_compare",
    "make_call",
    "make_distinct",
    "make_in",
    "make_operator",
    "numeric_literal",
    "oid_name",
    "preferred",
    "resolve_function",
    "resolve_operator",
    "result_type",
    "text_of",
    "type_by_name",
    "type_name",
]
