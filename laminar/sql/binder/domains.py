"""Values of domains: the base type's, held against the domain's constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from laminar.sql import plan as p
from laminar.sql.catalog_view import Attribute, CatalogView, Domain, Relation
from laminar.sql.expressions import substitute
from laminar.types import TEXT, PgType

if TYPE_CHECKING:
    from laminar.sql import ast

#: what a check calls the value
VALUE: Final = "value"
_NOT_NULL: Final = p.Function(10044, "domain_not_null", "laminar_domain_not_null", False, "i")
_CHECK: Final = p.Function(10045, "domain_check", "laminar_domain_check", False, "i")


def checked(
    value: p.Expr, domain: Domain, catalog: CatalogView, position: int = 0, named: str = ""
) -> p.Expr:
    """The value, or 23502 or 23514 when it is none of the domain's; those it is over come first.

    Args:
        named: the domain that messages name, when ``domain`` is one that it is over.
    """
    from laminar.sql.parse import parse_expression

    named = named or domain.name
    if domain.base is not None:
        value = checked(value, domain.base, catalog, position, named)
    if domain.not_null:
        message = p.Const(f"domain {named} does not allow null values", PgType(TEXT))
        value = p.Call(_NOT_NULL, (value, message), value.type, position)
    for name, text in sorted(domain.checks):
        condition = bound_check(
            parse_expression(text), domain.type, catalog.with_search_path(domain.search_path)
        )
        message = p.Const(f'value for domain {named} violates check constraint "{name}"', PgType(TEXT))
        holds = substitute(condition, {1: value})
        value = p.Call(_CHECK, (value, holds, message), value.type, position)
    return value


def bound_check(node: ast.Expr, type_: PgType, catalog: CatalogView, uses: set[int] | None = None) -> p.Expr:
    """A check's condition over VALUE as column 1."""
    from laminar.sql.binder import bind_check

    relation = Relation(0, "", "", "table", (Attribute(VALUE, type_, 1),))
    return bind_check(node, relation, catalog, uses)
