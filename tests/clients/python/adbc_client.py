"""ADBC: Arrow in and out by binary COPY, catalog objects, ingestion."""

import datetime as dt
import sys

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

port = sys.argv[1].split("port=")[1].split()[0]


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


with adbc.connect(f"postgresql://laminar@127.0.0.1:{port}/laminar") as db, db.cursor() as cursor:
    cursor.execute(
        "SELECT 1::int2 AS a, 2 AS b, 3::int8 AS c, 1.5::float4 AS d, 2.5::float8 AS e, 'x'::text AS f, true AS g,"
        " '2024-02-29'::date AS h, '2024-01-01 12:00'::timestamp AS i, '2024-01-01 12:00+02'::timestamptz AS j,"
        " '\\x00ff'::bytea AS k, 12.340::numeric AS l, ARRAY[1, 2, NULL] AS m, '01:02:03'::time AS n,"
        " interval '1 mon 2 days 3 s' AS o, NULL::text AS p, '{\"a\": 1}'::jsonb AS q, 'ab'::varchar(5) AS r"
    )
    table = cursor.fetch_arrow_table()
    say("schema", [(f.name, str(f.type)) for f in table.schema])
    say("row", table.to_pylist())
    data = pa.table(
        {
            "i": pa.array([1, 2, None], pa.int64()),
            "s": ["one", None, "three"],
            "d": [dt.date(2024, 1, 1), None, dt.date(1999, 12, 31)],
            "f": [1.5, float("nan"), None],
            "t": pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(1970, 1, 1)], pa.timestamp("us")),
        }
    )
    say("ingested", cursor.adbc_ingest("arrows", data, mode="create"))
    say("appended", cursor.adbc_ingest("arrows", data.slice(0, 1), mode="append"))
    db.commit()
    cursor.execute("SELECT * FROM arrows WHERE i >= $1 ORDER BY i, s", (1,))
    say("rows", cursor.fetch_arrow_table().to_pylist())
    cursor.executemany("INSERT INTO arrows (i, s) VALUES ($1, $2)", [(10, "x"), (11, "y")])
    db.commit()
    cursor.execute("SELECT count(*), sum(i) FROM arrows")
    say("count", cursor.fetchone())
    say("table schema", [(f.name, str(f.type)) for f in db.adbc_get_table_schema("arrows")])
    say("types", sorted(db.adbc_get_table_types()))
    objects = db.adbc_get_objects(depth="all", table_name_filter="arrows").read_all().to_pylist()
    for schema in next(o for o in objects if o["catalog_name"] == "laminar")["catalog_db_schemas"]:
        for found in schema["db_schema_tables"] or []:
            say(
                "object",
                schema["db_schema_name"],
                found["table_name"],
                found["table_type"],
                [
                    (c["column_name"], c["ordinal_position"])
                    for c in sorted(found["table_columns"], key=lambda c: c["ordinal_position"])
                ],
            )
    try:
        cursor.execute("SELECT * FROM missing")
    except adbc.Error as error:
        say("error", getattr(error, "sqlstate", None))
    db.rollback()
    cursor.execute("DROP TABLE arrows")
    db.commit()
