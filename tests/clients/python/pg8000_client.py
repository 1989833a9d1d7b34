"""pg8000: every value and every parameter by the extended protocol, types introspected by name."""

import datetime as dt
import sys
import uuid
from decimal import Decimal

import pg8000.dbapi
import pg8000.native


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


at = dict(
    user="laminar", host="127.0.0.1", port=int(sys.argv[1].split("port=")[1].split()[0]), database="laminar"
)
db = pg8000.native.Connection(**at)
say(
    "types",
    db.run(
        "SELECT CAST(:a AS int), CAST(:b AS numeric), CAST(:c AS text), CAST(:d AS timestamptz), CAST(:e AS bytea),"
        " CAST(:f AS int[]), CAST(:g AS uuid), CAST(:h AS jsonb), CAST(:i AS interval), CAST(:j AS float8)",
        a=1, b=Decimal("1.50"), c="ü'", d=dt.datetime(2024, 1, 2, tzinfo=dt.UTC), e=b"\x00\x01",
        f=[1, None, 2], g=uuid.UUID(int=5), h={"k": [1]}, i=dt.timedelta(days=1, hours=2), j=0.1,
    ),
)  # fmt: skip
db.run("CREATE TABLE eights (id int PRIMARY KEY, name text, at timestamp)")
prepared = db.prepare("INSERT INTO eights VALUES (:id, :name, :at) RETURNING id, at")
for i in range(3):
    say("prepared", prepared.run(id=i, name=f"n{i}", at=dt.datetime(2024, 1, i + 1)), db.row_count)
prepared.close()
say(
    "columns",
    db.run("SELECT id, name, at FROM eights ORDER BY id"),
    [(c["name"], c["type_oid"]) for c in db.columns],
)
for wrong in ("SELECT x FROM eights", "INSERT INTO eights VALUES (1)"):
    try:
        db.run(wrong)
    except pg8000.native.DatabaseError as error:
        found = error.args[0]
        say("error", found["C"], found["M"], found.get("P"))
db.close()
with pg8000.dbapi.connect(**at) as old:
    cursor = old.cursor()
    cursor.execute("SELECT id, name FROM eights WHERE id > %s ORDER BY id", (0,))
    say("dbapi", cursor.fetchall(), cursor.rowcount)
    cursor.executemany("INSERT INTO eights (id, name) VALUES (%s, %s)", [(10, "x"), (11, "y")])
    old.rollback()
    cursor.execute("SELECT count(*) FROM eights")
    say("rolled back", cursor.fetchone())
    old.commit()
    cursor.execute("DROP TABLE eights")
    old.commit()
