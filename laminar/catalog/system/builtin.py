"""Rows that every database has: PostgreSQL's own types, functions, operators and so on, from its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from laminar.catalog.cluster import SUPERUSER_OID
from laminar.catalog.system.registry import Row, domains, postgres_relations
from laminar.sql import facts

PG_CATALOG: Final = 11
#: catalogs whose facts are their rows, all columns
_WHOLE: Final = (
    "pg_am", "pg_amop", "pg_amproc", "pg_conversion", "pg_language", "pg_opclass", "pg_opfamily", "pg_range",
    "pg_tablespace", "pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_parser", "pg_ts_template",
)  # fmt: skip
#: PostgreSQL's oid of information_schema
INFORMATION_SCHEMA: Final = 13207


def _columns(name: str) -> list[str]:
    return [c.name for r in postgres_relations() if r.name == name for c in r.columns]


def _rows(name: str, made: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Mappings as rows of the catalog."""
    columns = _columns(name)
    return ([row.get(column) for column in columns] for row in made)


def _facts(name: str) -> Iterator[dict[str, Any]]:
    columns, rows = facts.raw(name)
    return (dict(zip(columns, row, strict=True)) for row in rows)


def _whole(name: str) -> Callable[[], Iterable[Row]]:
    return lambda: facts.raw(name)[1]


_TYPE_REST: Final = {
    "typnamespace": PG_CATALOG, "typowner": SUPERUSER_OID, "typisdefined": True, "typrelid": 0,
    "typnotnull": False, "typbasetype": 0, "typtypmod": -1, "typndims": 0,
}  # fmt: skip
#: what is the same for every array type, and for every row type
ARRAY_TYPE: Final = _TYPE_REST | {
    "typlen": -1, "typbyval": False, "typtype": "b", "typcategory": "A", "typispreferred": False,
    "typdelim": ",", "typarray": 0, "typinput": 750, "typoutput": 751, "typreceive": 2400, "typsend": 2401,
    "typmodin": 0, "typmodout": 0, "typanalyze": 3816, "typsubscript": 6179, "typalign": "d",
    "typstorage": "x", "typcollation": 0,
}  # fmt: skip
ROW_TYPE: Final = _TYPE_REST | {
    "typlen": -1, "typbyval": False, "typtype": "c", "typcategory": "C", "typispreferred": False,
    "typdelim": ",", "typelem": 0, "typarray": 0, "typinput": 2290, "typoutput": 2291, "typreceive": 2402,
    "typsend": 2403, "typmodin": 0, "typmodout": 0, "typanalyze": 0, "typsubscript": 0, "typalign": "d",
    "typstorage": "x", "typcollation": 0,
}  # fmt: skip


def _pg_type() -> Iterator[Row]:
    def made() -> Iterator[dict[str, Any]]:
        known = {row["oid"]: row for row in _facts("types")}
        for row in known.values():
            yield _TYPE_REST | row
        for oid, (name, base, typmod, array) in domains().items():
            where = {"typnamespace": INFORMATION_SCHEMA}
            of = {"typtype": "d", "typbasetype": base, "typtypmod": typmod, "typispreferred": False}
            yield _TYPE_REST | known[base] | where | of | {
                "oid": oid, "typname": name, "typarray": array, "typelem": 0, "typinput": 2597,
                "typreceive": 2598, "typsubscript": 0,
            }  # fmt: skip
            yield ARRAY_TYPE | where | {"oid": array, "typname": "_" + name, "typelem": oid}
        for relation in postgres_relations():
            if relation.row_type:
                schema = PG_CATALOG if relation.schema == "pg_catalog" else INFORMATION_SCHEMA
                names = {"oid": relation.row_type, "typname": relation.name, "typrelid": relation.oid}
                yield ROW_TYPE | names | {"typnamespace": schema}

    return _rows("pg_type", made())


def _pg_proc() -> Iterator[Row]:
    def made() -> Iterator[dict[str, Any]]:
        for row in _facts("functions"):
            defaults = row["defaults"]
            source = row["source"]
            yield row | {
                "pronamespace": PG_CATALOG, "proowner": SUPERUSER_OID, "prosecdef": False,
                "pronargs": len(row["proargtypes"]), "pronargdefaults": len(defaults or ()),
                "proargdefaults": ", ".join(defaults) if defaults else None,
                "prosrc": row["symbol"] if source is None else source,
            }  # fmt: skip

    return _rows("pg_proc", made())


def _pg_operator() -> Iterator[Row]:
    rest = {"oprnamespace": PG_CATALOG, "oprowner": SUPERUSER_OID}
    return _rows(
        "pg_operator",
        (row | rest | {"oprkind": "b" if row["oprleft"] else "l"} for row in _facts("operators")),
    )


def _pg_aggregate() -> Iterator[Row]:
    return _rows(
        "pg_aggregate",
        (row | {"aggtransfn": row["transition"], "aggfinalfn": row["final"]} for row in _facts("aggregates")),
    )


def _pg_collation() -> Iterator[Row]:
    rest = {
        "collnamespace": PG_CATALOG, "collowner": SUPERUSER_OID, "collisdeterministic": True,
        "collprovider": "c", "collencoding": -1,
    }  # fmt: skip
    named = ((950, "C"), (951, "POSIX"))
    made: list[dict[str, Any]] = [rest | {"oid": 100, "collname": "default", "collprovider": "d"}]
    made += [rest | {"oid": o, "collname": n, "collcollate": n, "collctype": n} for o, n in named]
    return _rows("pg_collation", made)


def _pg_description() -> Iterator[Row]:
    for class_, oid, text in facts.raw("descriptions")[1]:
        yield oid, class_, 0, text


FIXED: Final[dict[str, Callable[[], Iterable[Row]]]] = {
    **{name: _whole(name) for name in _WHOLE},
    "pg_type": _pg_type,
    "pg_proc": _pg_proc,
    "pg_operator": _pg_operator,
    # PL/pgSQL is not Laminar's
    "pg_language": lambda: [row for row in facts.raw("pg_language")[1] if row[1] != "plpgsql"],
    "pg_cast": lambda: facts.raw("casts")[1],
    "pg_aggregate": _pg_aggregate,
    "pg_collation": _pg_collation,
    "pg_description": _pg_description,
}
