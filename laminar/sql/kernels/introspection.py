"""Functions about the catalog's objects: the session's catalog answers (``env.catalog.answer``)."""

from __future__ import annotations

from typing import Any, Final

from laminar.errors import PgError
from laminar.sql.kernels.registry import Kernel, Run, Signature, add, find_registered
from laminar.sql.kernels.rowwise import apply
from laminar.types import BOOL, OID, TEXT, PgType

_PRIVILEGED: Final = {
    "table": 1,
    "any_column": 1,
    "schema": 1,
    "database": 1,
    "sequence": 1,
    "function": 1,
    "type": 1,
    "language": 1,
    "tablespace": 1,
}
_WHO: Final = ("", "name_", "id_")
#: symbols of pg_proc.prosrc; all strict
SYMBOLS: Final = (
    "pg_get_expr", "pg_get_expr_ext", "pg_get_viewdef", "pg_get_viewdef_ext", "pg_get_viewdef_name",
    "pg_get_viewdef_name_ext", "pg_get_viewdef_wrap", "pg_get_indexdef", "pg_get_indexdef_ext",
    "pg_get_constraintdef", "pg_get_constraintdef_ext", "pg_get_functiondef", "pg_get_function_arguments",
    "pg_get_function_identity_arguments", "pg_get_function_result", "pg_get_function_arg_default",
    "pg_get_function_sqlbody", "pg_get_partkeydef", "pg_get_ruledef", "pg_get_ruledef_ext",
    "pg_get_triggerdef", "pg_get_triggerdef_ext", "pg_get_statisticsobjdef_columns",
    "pg_get_partition_constraintdef",
    "obj_description(oid)", "obj_description(oid,name)", "col_description(oid,int4)",
    "shobj_description(oid,name)",
    "pg_collation_is_visible", "pg_conversion_is_visible", "pg_function_is_visible", "pg_opclass_is_visible",
    "pg_operator_is_visible", "pg_opfamily_is_visible", "pg_statistics_obj_is_visible",
    "pg_table_is_visible", "pg_ts_config_is_visible", "pg_ts_dict_is_visible", "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible", "pg_type_is_visible",
    "pg_relation_size", "pg_relation_size(regclass)", "pg_table_size", "pg_total_relation_size",
    "pg_indexes_size", "pg_database_size_oid", "pg_database_size_name", "pg_tablespace_size_oid",
    "pg_tablespace_size_name", "pg_tablespace_location", "pg_relation_filenode", "pg_relation_filepath",
    "PG_encoding_to_char", "PG_char_to_encoding", "pg_relation_is_publishable", "pg_relation_is_updatable",
    "pg_blocking_pids", "pg_is_other_temp_schema", "row_security_active", "pg_describe_object",
    "acldefault_sql", "pg_sequence_last_value",
    *(f"has_{of}_privilege_{who}{by}" for of in _PRIVILEGED for who in _WHO for by in ("name", "id")),
    *(f"has_column_privilege_{who}{by}_{column}" for who in _WHO for by in ("name", "id")
      for column in ("name", "attnum")),
    *(f"pg_has_role_{who}{by}" for who in _WHO for by in ("name", "id")),
)  # fmt: skip
#: the same without arguments
CONSTANTS: Final = (
    "pg_my_temp_schema", "inet_server_addr", "inet_server_port", "inet_client_addr", "inet_client_port",
    "pg_postmaster_start_time", "pg_conf_load_time",
)  # fmt: skip


def _catalog(env: Any) -> Any:
    if env.catalog is None:
        raise PgError("0A000", "the catalog cannot be asked in this expression")
    return env.catalog


def _row_by_row(symbol: str) -> Kernel:
    def build(signature: Signature) -> Run:
        storage = signature.result.storage

        def run(env: Any, *columns: Any) -> Any:
            answer = _catalog(env).answer
            return apply(lambda *row: answer(symbol, *row), columns, storage)

        return run

    return Kernel(build)


def _rows_of(symbol: str, columns: list[tuple[str, PgType]]) -> Kernel:
    """A function of one argument with any number of rows."""

    def build(_signature: Signature) -> Run:
        import pyarrow as pa

        storage = pa.list_(pa.struct([(name, type_.storage) for name, type_ in columns]))

        def run(env: Any, values: Any) -> Any:
            answer = _catalog(env).answer
            return apply(lambda value: answer(symbol, value), (values,), storage)

        return run

    return Kernel(build, sets=True)


def _constant(symbol: str) -> Kernel:
    def build(signature: Signature) -> Run:
        import pyarrow as pa

        storage = signature.result.storage
        return lambda env, _n: pa.array([_catalog(env).answer(symbol)], storage)[0]

    return Kernel(build, rows=True)


for _symbol in SYMBOLS:
    if find_registered(_symbol) is None:
        add(_symbol, _row_by_row(_symbol))
for _symbol in CONSTANTS:
    if find_registered(_symbol) is None:
        add(_symbol, _constant(_symbol))
add(
    "aclexplode",
    _rows_of(
        "aclexplode",
        [
            ("grantor", PgType(OID)),
            ("grantee", PgType(OID)),
            ("privilege_type", PgType(TEXT)),
            ("is_grantable", PgType(BOOL)),
        ],
    ),
)
