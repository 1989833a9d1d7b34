"""CREATE FUNCTION and CREATE AGGREGATE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import pyarrow as pa

from laminar.catalog.catalog import describe
from laminar.catalog.objects import StoredFunction, StoredRelation
from laminar.errors import (
    INSUFFICIENT_PRIVILEGE,
    INVALID_FUNCTION_DEFINITION,
    INVALID_PARAMETER_VALUE,
    WRONG_OBJECT_TYPE,
    PgError,
    not_supported,
)
from laminar.pgwire.backend import Result
from laminar.server.catalog_view import fact_of
from laminar.server.definitions import defining
from laminar.server.session import Session
from laminar.server.statements.base import Action
from laminar.sql import ast
from laminar.sql import statements as s
from laminar.sql.binder import bind_default, bind_type, check_body
from laminar.sql.evaluator import fold
from laminar.sql.evaluator.rowtext import format_values
from laminar.sql.kernels.vectors import make_scalar
from laminar.sql.plan import Const
from laminar.sql.resolve import oid_name, type_name
from laminar.sql.resolve.calls import as_function
from laminar.sql.routines import compile_aggregate, compile_routine
from laminar.types import RECORD, PgType, supported


class CreateFunctionAction(Action):
    """CREATE [OR REPLACE] FUNCTION … LANGUAGE sql | python, AGGREGATE … LANGUAGE python."""

    transactional: ClassVar[bool] = False

    def __init__(self, session: Session, statement: s.CreateFunction, sql: str) -> None:
        super().__init__(session)
        self.statement = statement
        language = _language(session, statement)
        schema, name = session.catalog.creation_name(statement.name)
        self.function = StoredFunction(
            oid=0,
            schema=schema,
            name=name,
            owner=session.role.name,
            language=language,
            parameters=tuple(parameter.name for parameter in statement.parameters),
            types=tuple(_type(parameter.type, session).oid for parameter in statement.parameters),
            result=_result(statement, session).oid,
            returns_set=_returns_set(statement),
            columns=tuple((column.name, _type(column.type, session).oid) for column in statement.columns),
            body=_body(statement),
            sql=sql,
            # as PostgreSQL has it: an aggregate is made of its rows and of nothing else
            volatility="i" if statement.aggregate else statement.volatility,
            strict=statement.strict,
            variadic=any(parameter.variadic for parameter in statement.parameters),
            defaults=_defaults(session, statement),
            vectorized=_vectorized(statement, language),
            aggregate=statement.aggregate,
        )
        if statement.aggregate:
            _check_aggregate(statement, language)
        _check_parameters(statement, self.function)
        self._check_body()
        self._existing()

    def _check_body(self) -> None:
        fact = fact_of(self.function)
        assert fact.routine is not None
        if self.function.aggregate:
            compile_aggregate(self.function.name, fact.routine)
        elif self.function.language == "python":
            compile_routine(self.function.name, fact.routine)
        else:
            check_body(as_function(fact), PgType(self.function.result), self.session.catalog)

    def _existing(self) -> StoredFunction | None:
        """The function of this signature, if it is there and may be replaced."""
        new = self.function
        overloads = self.database.catalog.functions_named(new.schema, new.name)
        old = next((f for f in overloads if f.types == new.types), None)
        if old is None:
            return None
        if not self.statement.or_replace:
            message = f'function "{new.name}" already exists with same argument types'
            raise PgError("42723", message, position=self.statement.name.pos or None)
        if old.owner != self.session.role.name and not self.session.role.superuser:
            raise PgError(INSUFFICIENT_PRIVILEGE, f"must be owner of function {new.name}")
        if old.aggregate != new.aggregate:
            detail = f'"{old.name}" is {"an aggregate" if old.aggregate else "a"} function.'
            raise PgError(WRONG_OBJECT_TYPE, "cannot change routine kind", detail=detail)
        if old.result != new.result:
            hint = f"Use DROP {describe(old).replace('function', 'FUNCTION', 1)} first."
            raise PgError(
                INVALID_FUNCTION_DEFINITION, "cannot change return type of existing function", hint=hint
            )
        self._check_unused(old)
        return old

    def _check_unused(self, old: StoredFunction) -> None:
        """What is stored and was computed by the old body would not equal its query any more."""
        kept: list[StoredRelation] = [
            r
            for r in self.database.catalog.dependents(old.oid)
            if r.kind in ("mview", "stream", "sink", "table")
        ]
        if kept:
            path = self.session.search_path
            needed = describe(old, path)
            raise PgError(
                "2BP01",
                f"cannot replace {needed} because other objects depend on it",
                detail="\n".join(f"{describe(r, path)} depends on {needed}" for r in kept),
                hint="Drop the dependent objects first, or create a function of another name.",
            )

    async def run(self, params: Sequence[pa.Scalar | None]) -> Result:
        tag = "CREATE AGGREGATE" if self.function.aggregate else "CREATE FUNCTION"
        async with defining(self.session, tag):
            catalog = self.database.catalog
            catalog.check_schema(self.function.schema, self.statement.name.pos or None)
            old = self._existing()
            oid = catalog.new_oid() if old is None else old.oid
            catalog.put_function(replace(self.function, oid=oid))
        return Result(tag)


def _language(session: Session, statement: s.CreateFunction) -> Literal["sql", "python"]:
    language = statement.language.lower()
    position = statement.language_pos or None
    if not language:
        raise PgError(INVALID_FUNCTION_DEFINITION, "no language specified")
    if language in ("plpython3u", "plpythonu", "python3"):
        language = "python"
    if language == "plpgsql":
        raise not_supported(
            "functions in PL/pgSQL are not supported",
            hint="Functions are written in sql or python.",
            position=position,
        )
    if language not in ("sql", "python"):
        raise PgError(
            "42704",
            f'language "{statement.language}" does not exist',
            hint="Functions are written in sql or python.",
            position=position,
        )
    if language == "python" and not session.role.superuser:
        raise PgError(
            INSUFFICIENT_PRIVILEGE,
            "permission denied for language python",
            detail="Only superusers may create functions in Python.",
            position=position,
        )
    return "sql" if language == "sql" else "python"


def _type(node: ast.TypeName, session: Session) -> PgType:
    type_ = bind_type(node, session.catalog)
    if not supported(type_.oid):
        raise not_supported(f"type {type_name(type_)} is not supported", position=node.pos)
    return PgType(type_.oid)


def _returns_set(statement: s.CreateFunction) -> bool:
    result = statement.result
    if not statement.columns and not (result is not None and result.setof):
        return False
    if statement.options:
        raise not_supported(
            "vectorized functions cannot return sets", position=statement.options[0].pos or None
        )
    return True


def _result(statement: s.CreateFunction, session: Session) -> PgType:
    if statement.columns:
        single = statement.columns[0] if len(statement.columns) == 1 else None
        return PgType(RECORD) if single is None else _type(single.type, session)
    if statement.result is not None and statement.result.setof:
        return _type(replace(statement.result, setof=False), session)
    if statement.result is None:
        raise PgError(INVALID_FUNCTION_DEFINITION, "function result type must be specified")
    return _type(statement.result, session)


def _body(statement: s.CreateFunction) -> str:
    if statement.body is None:
        raise PgError(INVALID_FUNCTION_DEFINITION, "no function body specified")
    return statement.body


def _vectorized(statement: s.CreateFunction, language: str) -> bool:
    """WITH (vectorized = true)."""
    chosen = False
    for option in statement.options:
        if option.name.lower() != "vectorized" or language != "python":
            raise PgError(
                INVALID_PARAMETER_VALUE,
                f'unrecognized function attribute "{option.name}"',
                hint="Functions in Python take vectorized.",
                position=option.pos or None,
            )
        value = (option.value or "true").lower()
        if value not in ("true", "false", "on", "off"):
            message = f'invalid value for parameter "vectorized": "{option.value}"'
            raise PgError(INVALID_PARAMETER_VALUE, message, position=option.value_pos or None)
        chosen = value in ("true", "on")
    return chosen


def _defaults(session: Session, statement: s.CreateFunction) -> tuple[str | None, ...]:
    found: list[str | None] = []
    for parameter in statement.parameters:
        if parameter.default is not None:
            found.append(_constant(parameter.default, _type(parameter.type, session), session))
        elif found:
            message = "input parameters after one with a default value must also have defaults"
            raise PgError(INVALID_FUNCTION_DEFINITION, message, position=parameter.pos or None)
    return tuple(found)


def _constant(node: ast.Expr, type_: PgType, session: Session) -> str | None:
    """A default value as text that the type's input reads."""
    folded = fold(bind_default(node, type_, "", session.catalog))
    if not isinstance(folded, Const):
        raise not_supported("defaults of parameters must be constants", position=getattr(node, "pos", None))
    value = pa.array([make_scalar(folded.value, folded.type)], folded.type.storage)
    text: str | None = format_values(value, folded.type)[0].as_py()
    return text


def _check_aggregate(statement: s.CreateFunction, language: str) -> None:
    """What functions may have and aggregates may not."""
    if language != "python":
        raise not_supported(
            "aggregates are written in Python",
            hint="Write LANGUAGE python.",
            position=statement.language_pos or None,
        )
    if statement.columns or (statement.result is not None and statement.result.setof):
        raise PgError(INVALID_FUNCTION_DEFINITION, "aggregates cannot return sets")
    for parameter in statement.parameters:
        if parameter.default is not None:
            message = "parameters of aggregates cannot have defaults"
            raise PgError(INVALID_FUNCTION_DEFINITION, message, position=parameter.pos or None)


def _check_parameters(statement: s.CreateFunction, function: StoredFunction) -> None:
    seen: set[str] = set()
    for parameter in statement.parameters:
        if parameter.name and parameter.name in seen:
            message = f'parameter name "{parameter.name}" used more than once'
            raise PgError(INVALID_FUNCTION_DEFINITION, message, position=parameter.pos or None)
        seen.add(parameter.name)
        if parameter.variadic and parameter is not statement.parameters[-1]:
            message = "VARIADIC parameter must be the last input parameter"
            raise PgError(INVALID_FUNCTION_DEFINITION, message, position=parameter.pos or None)
    if function.variadic and not PgType(function.types[-1]).is_array:
        name = oid_name(function.types[-1])
        raise PgError(INVALID_FUNCTION_DEFINITION, f"VARIADIC parameter must be an array, not {name}")
    if len(function.types) > 100:
        raise PgError("54023", "functions cannot have more than 100 arguments")
