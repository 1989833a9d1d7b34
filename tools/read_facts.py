"""Reads the facts of PostgreSQL's catalogs that name resolution and pg_catalog rest on.

    python tools/read_facts.py "host=127.0.0.1 port=5432 user=postgres dbname=template1"

writes ``laminar/sql/facts/*.json`` from a running PostgreSQL 15: names, oids,
signatures, casts, preferred types. One row per line, so that a newer PostgreSQL
shows as a readable diff.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

FACTS = Path(__file__).resolve().parent.parent / "laminar" / "sql" / "facts"

#: file name -> query. Built-in objects only (oid < 16384), in oid order.
QUERIES = {
    "types": """
        select oid::int, typname, typlen::int, typbyval, typtype, typcategory, typispreferred, typdelim,
               typelem::int, typarray::int, typinput::oid::int, typoutput::oid::int, typreceive::oid::int,
               typsend::oid::int, typmodin::oid::int, typmodout::oid::int, typalign,
               typstorage, typcollation::int, typsubscript::oid::int, typanalyze::oid::int
        from pg_type where typnamespace = 'pg_catalog'::regnamespace and typrelid = 0 and oid < 16384
          and (typelem = 0 or typelem in (select oid from pg_type where typrelid = 0)) order by oid""",
    # A function written in SQL has no C symbol: it is keyed by its signature, as aggregates are.
    "functions": """
        select p.oid::int, proname,
               case when l.lanname = 'internal' and prokind <> 'a' then prosrc
                    else proname || '(' || coalesce((
                        select string_agg(case when t.typname like '\\_%%' and t.typcategory = 'A'
                            then substr(t.typname, 2) || '[]' else t.typname end, ',' order by n)
                        from unnest(proargtypes) with ordinality a(ty, n)
                        join pg_type t on t.oid = a.ty), '') || ')'
               end as symbol,
               prokind, proretset, proisstrict, provolatile, prorettype::int,
               proargtypes::int[], provariadic::int, proargnames, proargmodes::text[], proallargtypes::int[],
               case when pronargdefaults > 0 then (
                    select array_agg(pg_get_function_arg_default(p.oid, n) order by n)
                    from generate_series(pronargs - pronargdefaults + 1, pronargs) n) end as defaults,
               prosupport::oid::int, proleakproof, procost, prolang::int, prorows, proparallel,
               case when l.lanname <> 'internal' or prokind = 'a' then prosrc end as source
        from pg_proc p join pg_language l on l.oid = prolang
        where pronamespace = 'pg_catalog'::regnamespace and p.oid < 16384
          and proname not like 'plpgsql\\_%%'
        order by p.oid""",
    "operators": """
        select oid::int, oprname, oprleft::int, oprright::int, oprresult::int, oprcode::oid::int,
               oprcom::int, oprnegate::int, oprcanmerge, oprcanhash, oprrest::oid::int, oprjoin::oid::int
        from pg_operator where oid < 16384 order by oid""",
    "casts": """
        select oid::int, castsource::int, casttarget::int, castfunc::int, castcontext, castmethod
        from pg_cast where oid < 16384 order by oid""",
    "aggregates": """
        select aggfnoid::oid::int, aggkind, aggnumdirectargs::int, aggtransfn::text, aggfinalfn::text,
               aggsortop::int, aggtranstype::int, agginitval, aggtransfn::oid::int as transition,
               aggfinalfn::oid::int as final
        from pg_aggregate where aggfnoid::oid < 16384 order by aggfnoid::oid""",
    # Relations of pg_catalog and information_schema, columns as [name, type oid, not null].
    "relations": """
        select c.oid::int, nspname, relname, relkind, reltype::int, relisshared,
               (select json_agg(json_build_array(attname, atttypid::int, attnotnull) order by attnum)
                from pg_attribute where attrelid = c.oid and attnum > 0) as columns
        from pg_class c join pg_namespace n on n.oid = relnamespace
        where relkind in ('r', 'v') and nspname in ('pg_catalog', 'information_schema') and c.oid < 16384
        order by c.oid""",
    "domains": """
        select oid::int, typname, typbasetype::int, typtypmod, typarray::int
        from pg_type where typnamespace = 'information_schema'::regnamespace and typtype = 'd'
        order by oid""",
    # What the built-in objects are for; those of types, functions and the like by class and oid.
    "descriptions": """
        select classoid::int, objoid::int, description from pg_description
        where objsubid = 0 and classoid <> 'pg_collation'::regclass and objoid < 16384 order by 1, 2""",
}

#: catalogs whose rows are the same in every database: all columns, regproc and the like as numbers
CONTENTS = (
    "pg_am", "pg_amop", "pg_amproc", "pg_conversion", "pg_language", "pg_opclass", "pg_opfamily", "pg_range",
    "pg_tablespace", "pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_parser", "pg_ts_template",
)  # fmt: skip
NO_OID = ("pg_range", "pg_ts_config_map")


def contents(connection: psycopg.Connection[tuple[object, ...]], name: str) -> str:
    """The query for all rows of a catalog."""
    columns = connection.execute(
        "select attname, atttypid::regtype::text from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 order by attnum", (name,)
    )  # fmt: skip
    numbers = {"oid": "::int", "regproc": "::oid::int", "oidvector": "::int[]", "aclitem[]": "::text[]"}
    listed = ", ".join(f"{column}{numbers.get(str(type_), '')}" for column, type_ in columns)
    return (
        f"select {listed} from {name} order by oid" if name not in NO_OID else f"select {listed} from {name}"
    )


def main(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        if connection.info.server_version // 10000 != 15:
            raise SystemExit("PostgreSQL 15 is wanted")
        for name, query in (QUERIES | {name: contents(connection, name) for name in CONTENTS}).items():
            cursor = connection.execute(query.replace("%%", "%"))
            columns = [column.name for column in cursor.description or ()]
            rows = [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in cursor.fetchall()]
            text = '{"columns":' + json.dumps(columns) + ',\n"rows":[\n' + ",\n".join(rows) + "\n]}\n"
            (FACTS / f"{name}.json").write_text(text)
            print(f"{name}: {len(rows)} rows, {len(text)} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
