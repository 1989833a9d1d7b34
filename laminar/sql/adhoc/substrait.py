"""Substrait messages as DataFusion reads them: fields by position, functions by name.

https://substrait.io; enumerations and names as DataFusion 55's own producer writes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from substrait.proto import (
    CrossRel,
    Expression,
    FetchRel,
    FunctionArgument,
    JoinRel,
    NamedStruct,
    Plan,
    PlanRel,
    ProjectRel,
    ReadRel,
    Rel,
    RelCommon,
    RelRoot,
    SimpleExtensionDeclaration,
    SortField,
    SortRel,
    Type,
    Version,
)

_NULLABLE = Type.NULLABILITY_NULLABLE
_JOIN = {
    "inner": JoinRel.JOIN_TYPE_INNER,
    "full": JoinRel.JOIN_TYPE_OUTER,
    "left": JoinRel.JOIN_TYPE_LEFT,
    "right": JoinRel.JOIN_TYPE_RIGHT,
    "semi": JoinRel.JOIN_TYPE_LEFT_SEMI,
    "anti": JoinRel.JOIN_TYPE_LEFT_ANTI,
}
_SIMPLE = {
    pa.bool_(): Type(bool=Type.Boolean(nullability=_NULLABLE)),
    pa.int16(): Type(i16=Type.I16(nullability=_NULLABLE)),
    pa.int32(): Type(i32=Type.I32(nullability=_NULLABLE)),
    pa.uint32(): Type(i32=Type.I32(nullability=_NULLABLE, type_variation_reference=1)),
    pa.int64(): Type(i64=Type.I64(nullability=_NULLABLE)),
    pa.float32(): Type(fp32=Type.FP32(nullability=_NULLABLE)),
    pa.float64(): Type(fp64=Type.FP64(nullability=_NULLABLE)),
    pa.string(): Type(string=Type.String(nullability=_NULLABLE)),
    pa.binary(): Type(binary=Type.Binary(nullability=_NULLABLE)),
    pa.date32(): Type(date=Type.Date(nullability=_NULLABLE)),
    pa.time64("us"): Type(
        precision_time=Type.PrecisionTime(precision=6, type_variation_reference=1, nullability=_NULLABLE)
    ),
    pa.timestamp("us"): Type(precision_timestamp=Type.PrecisionTimestamp(precision=6, nullability=_NULLABLE)),
    pa.timestamp("us", tz="UTC"): Type(
        precision_timestamp_tz=Type.PrecisionTimestampTZ(precision=6, nullability=_NULLABLE)
    ),
}


def type_of(storage: pa.DataType) -> Type:
    """The Substrait type of a storage type."""
    simple = _SIMPLE.get(storage)
    if simple is not None:
        return simple
    if pa.types.is_decimal128(storage):
        return Type(
            decimal=Type.Decimal(precision=storage.precision, scale=storage.scale, nullability=_NULLABLE)
        )
    if pa.types.is_fixed_size_binary(storage):
        return Type(fixed_binary=Type.FixedBinary(length=storage.byte_width, nullability=_NULLABLE))
    return Type(list=Type.List(type=type_of(storage.value_type), nullability=_NULLABLE))


class Builder:
    """Builds one plan; keeps the functions it names."""

    def __init__(self) -> None:
        self._functions: dict[str, int] = {}

    def read(self, table: str, schema: pa.Schema) -> Rel:
        struct = Type.Struct(types=[type_of(f.type) for f in schema], nullability=Type.NULLABILITY_REQUIRED)
        return Rel(
            read=ReadRel(
                base_schema=NamedStruct(names=schema.names, struct=struct),
                named_table=ReadRel.NamedTable(names=[table]),
            )
        )

    def field(self, position: int) -> Expression:
        reference = Expression.ReferenceSegment(
            struct_field=Expression.ReferenceSegment.StructField(field=position)
        )
        return Expression(
            selection=Expression.FieldReference(
                direct_reference=reference, root_reference=Expression.FieldReference.RootReference()
            )
        )

    def call(self, name: str, args: Sequence[Expression], storage: pa.DataType) -> Expression:
        anchor = self._functions.setdefault(name, len(self._functions))
        return Expression(
            scalar_function=Expression.ScalarFunction(
                function_reference=anchor,
                arguments=[FunctionArgument(value=a) for a in args],
                output_type=type_of(storage),
            )
        )

    def true(self) -> Expression:
        return Expression(literal=Expression.Literal(boolean=True))

    def join(self, kind: str, left: Rel, right: Rel, condition: Expression | None) -> Rel:
        if condition is None and kind in ("inner", "cross"):
            return Rel(cross=CrossRel(left=left, right=right))
        expression = condition if condition is not None else self.true()
        return Rel(join=JoinRel(left=left, right=right, expression=expression, type=_JOIN[kind]))

    def sort(self, rel: Rel, keys: Sequence[tuple[int, bool, bool]]) -> Rel:
        """``keys``: position, descending, nulls first."""
        sorts = [
            SortField(
                expr=self.field(position),
                direction=(
                    (
                        SortField.SORT_DIRECTION_DESC_NULLS_FIRST
                        if first
                        else SortField.SORT_DIRECTION_DESC_NULLS_LAST
                    )
                    if descending
                    else (
                        SortField.SORT_DIRECTION_ASC_NULLS_FIRST
                        if first
                        else SortField.SORT_DIRECTION_ASC_NULLS_LAST
                    )
                ),
            )
            for position, descending, first in keys
        ]
        return Rel(sort=SortRel(input=rel, sorts=sorts))

    def fetch(self, rel: Rel, count: int) -> Rel:
        return Rel(fetch=FetchRel(input=rel, count_expr=Expression(literal=Expression.Literal(i64=count))))

    def pick(self, rel: Rel, width: int, positions: Sequence[int]) -> Rel:
        """These columns of a relation that has ``width``."""
        emit = RelCommon.Emit(output_mapping=[width + i for i in range(len(positions))])
        return Rel(
            project=ProjectRel(
                common=RelCommon(emit=emit), input=rel, expressions=[self.field(p) for p in positions]
            )
        )

    def plan(self, rel: Rel, width: int) -> bytes:
        """The whole plan, its columns named "0", "1", ..."""
        extensions = [
            SimpleExtensionDeclaration(
                extension_function=SimpleExtensionDeclaration.ExtensionFunction(
                    extension_urn_reference=0xFFFFFFFF, function_anchor=anchor, name=name
                )
            )
            for name, anchor in self._functions.items()
        ]
        root = RelRoot(input=rel, names=[str(i) for i in range(width)])
        plan = Plan(version=Version(minor_number=85), extensions=extensions, relations=[PlanRel(root=root)])
        return bytes(plan.SerializeToString())
