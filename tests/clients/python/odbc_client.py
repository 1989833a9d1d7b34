"""ODBC through pyodbc: the catalog's functions, parameters of each type, cursors that fetch in parts."""

import datetime
import decimal
import sys
import uuid

import pyodbc

WHERE = dict(part.split("=") for part in sys.argv[1].split())


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


def connect(**options):
    options = {
        "Driver": "{PostgreSQL Unicode}",
        "Server": WHERE["host"],
        "Port": WHERE["port"],
        "Uid": WHERE["user"],
        "Database": WHERE["dbname"],
        "CommLog": "0",
    } | options
    return pyodbc.connect(";".join(f"{k}={v}" for k, v in options.items()), autocommit=True)


def listed(name, rows):
    names = [column[0] for column in rows.description or ()]
    say(name, names)
    shown = [place for place, column in enumerate(names) if column != "table oid"]
    for row in sorted(([row[place] for place in shown] for row in rows.fetchall()), key=repr):
        say("   ", *row)


db = connect()
cursor = db.cursor()
say("about", db.getinfo(pyodbc.SQL_DBMS_NAME), db.getinfo(pyodbc.SQL_DBMS_VER)[:3])
cursor.execute("CREATE SCHEMA depot")
cursor.execute(
    "CREATE TABLE depot.crates (id serial PRIMARY KEY, label varchar(20) NOT NULL UNIQUE, weight numeric(10,3) DEFAULT 1.5,"
    " small smallint, big bigint, exact real, wide double precision, ok boolean, day date, clock time(3),"
    " at timestamp, zoned timestamptz(3), raw bytea, token uuid, doc jsonb, letters char(5), words text[])"
)
cursor.execute("CREATE TABLE depot.shelves (room int, place int, note text, PRIMARY KEY (place, room))")
cursor.execute("CREATE INDEX crates_day ON depot.crates (day, weight)")
cursor.execute("CREATE VIEW depot.heavy AS SELECT id, label FROM depot.crates WHERE weight > 100")
cursor.execute(
    "CREATE MATERIALIZED VIEW depot.days AS SELECT day, count(*) AS n FROM depot.crates GROUP BY day"
)
cursor.execute("COMMENT ON TABLE depot.crates IS 'what stands there'")

listed("tables", cursor.tables(schema="depot"))
listed("only tables", cursor.tables(schema="depot", tableType="TABLE"))
listed("a pattern", cursor.tables(table="crat%"))
listed("columns", cursor.columns(schema="depot", table="crates"))
listed("one column", cursor.columns(table="days", column="n%"))
listed("primary keys", cursor.primaryKeys("crates", schema="depot"))
listed("two", cursor.primaryKeys("shelves", schema="depot"))
listed("foreign keys", cursor.foreignKeys("crates", schema="depot"))
listed("statistics", cursor.statistics("crates", schema="depot"))
listed("unique", cursor.statistics("crates", schema="depot", unique=True))
listed("row id", cursor.rowIdColumns("crates", schema="depot"))
listed("row version", cursor.rowVerColumns("crates", schema="depot"))
listed("types", cursor.getTypeInfo(pyodbc.SQL_VARCHAR))
listed("procedures", cursor.procedures(procedure="regexp_mat%"))
listed("arguments", cursor.procedureColumns(procedure="regexp_match"))

VALUES = {
    "label": "crate ✓",
    "weight": decimal.Decimal("-12345.678"),
    "small": -32768,
    "big": 2**62,
    "exact": 0.5,
    "wide": 1e300,
    "ok": True,
    "day": datetime.date(2024, 2, 29),
    "clock": datetime.time(23, 59, 58),
    "at": datetime.datetime(1999, 12, 31, 23, 59, 59, 123000),
    "zoned": "2024-01-01 10:00:00.5+02",
    "raw": b"\x00\xff'\\",
    "token": uuid.UUID(int=7),
    "doc": '{"a": [1, null]}',
    "letters": "abc",
    "words": "{a,NULL}",
}
for name, value in VALUES.items():
    row = {"label": f"with {name}", name: value}
    marks = ", ".join("?" * len(row))
    cursor.execute(f"INSERT INTO depot.crates ({', '.join(row)}) VALUES ({marks})", *row.values())
    found = cursor.execute(f"SELECT id, {name} FROM depot.crates WHERE {name} = ?", value).fetchall()
    say(name, found, cursor.description[1][1:])
say("all", cursor.execute("SELECT * FROM depot.crates WHERE label = ?", "crate ✓").fetchall())
say(
    "null",
    cursor.execute("SELECT count(*) FROM depot.crates WHERE ok IS NOT DISTINCT FROM ?", None).fetchall(),
)
say("expressions", cursor.execute("SELECT ? + 1, ? || 'x', ?::date + 1", 41, "y", "2024-01-01").fetchall())
db.autocommit = False
cursor.executemany(
    "INSERT INTO depot.shelves VALUES (?, ?, ?)", [(n % 7, n, f"note {n}") for n in range(1000)]
)
db.commit()
db.autocommit = True
say("updated", cursor.execute("UPDATE depot.shelves SET note = ? WHERE room = ?", "same", 3).rowcount)
say(
    "sum",
    cursor.execute(
        "SELECT room, count(*), min(note) FROM depot.shelves GROUP BY room ORDER BY room"
    ).fetchall(),
)
say("call", cursor.execute("SELECT {fn length(?)}", "four").fetchall())
say(
    "literals",
    cursor.execute("SELECT {d '2024-01-01'}, {ts '2024-01-01 10:00:00'}, {fn ucase('a')}").fetchall(),
)
for wrong in (
    "SELECT * FROM depot.nothing",
    "SELECT 1 / 0",
    "INSERT INTO depot.crates (label) VALUES ('crate ✓')",
):
    try:
        cursor.execute(wrong)
    except pyodbc.Error as error:
        say("error", type(error).__name__, error.args[0])

db.autocommit = False
cursor.execute("DELETE FROM depot.shelves WHERE room = 1")
db.rollback()
say("rolled back", cursor.execute("SELECT count(*) FROM depot.shelves").fetchval())
cursor.execute("INSERT INTO depot.shelves VALUES (100, 1, NULL)")
db.commit()
# A session waits for its own commits; others see them at the latest when it does.
say("committed", cursor.execute("SELECT count(*) FROM depot.shelves").fetchval())
db.commit()

for options in (
    {"UseDeclareFetch": "1", "Fetch": "64"},
    {"UseServerSidePrepare": "0"},
    {"Protocol": "7.4-2"},
):
    other = connect(**options)
    other.autocommit = False
    reading = other.cursor()
    reading.execute("SELECT place, note FROM depot.shelves WHERE room = ? ORDER BY place", 2)
    first = reading.fetchmany(10)
    say(options, len(first), tuple(first[-1]), len(reading.fetchall()))
    reading.execute("SELECT place FROM depot.shelves ORDER BY place, room")
    say("streamed", sum(row[0] for row in reading))
    try:
        reading.execute("SELECT nothing FROM depot.shelves")
        reading.fetchall()
    except pyodbc.Error as error:
        say("refused", error.args[0])
    other.rollback()
    say("after it", reading.execute("SELECT count(*) FROM depot.shelves").fetchval())
    other.rollback()
    other.close()
cursor.execute("DROP SCHEMA depot CASCADE")
db.commit()
