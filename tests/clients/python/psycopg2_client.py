"""psycopg2 as applications use it: adaptation, named cursors, COPY, errors, notices, several statements."""

import datetime as dt
import io
import sys
import uuid
from decimal import Decimal

import psycopg2
import psycopg2.extras


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


db = psycopg2.connect(sys.argv[1])
db.set_client_encoding("UTF8")
psycopg2.extras.register_uuid()
cursor = db.cursor()
values = (
    True, -5, 2**40, 1.5, Decimal("12.340"), "it's \\ ü", b"\x00\xff'", dt.date(2024, 2, 29),
    dt.time(1, 2, 3, 4), dt.datetime(2024, 1, 1, 12, 30), dt.timedelta(days=3, seconds=5), [1, None, 3],
    uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), psycopg2.extras.Json({"a": [1, 2]}), None,
)  # fmt: skip
cursor.execute("SELECT " + ", ".join(["%s"] * len(values)), values)
say(
    "adapted",
    [c.type_code for c in cursor.description],
    [str(v) if isinstance(v, memoryview) else v for v in cursor.fetchone() if not isinstance(v, memoryview)],
)
cursor.execute(
    "CREATE TABLE items (id serial PRIMARY KEY, name text NOT NULL, price numeric(8,2), made timestamptz)"
)
cursor.execute("INSERT INTO items (name, price) VALUES (%s, %s) RETURNING id", ("one", Decimal("1.5")))
say("returning", cursor.fetchone(), cursor.rowcount, cursor.statusmessage)
psycopg2.extras.execute_values(
    cursor, "INSERT INTO items (name, price) VALUES %s", [(f"n{i}", i) for i in range(5)]
)
say("values", cursor.rowcount)
psycopg2.extras.execute_batch(cursor, "UPDATE items SET price = price + %s WHERE id = %s", [(1, 1), (2, 2)])
db.commit()
cursor.executemany("UPDATE items SET name = %s WHERE id = %s", [("a", 1), ("b", 2)])
say("many", cursor.rowcount)
db.rollback()
with db, db.cursor() as c:
    c.copy_expert("COPY items (name, price) FROM STDIN WITH (FORMAT csv)", io.StringIO('"x, y",1.25\nz,\n'))
    say("copied", c.rowcount)
    out = io.StringIO()
    c.copy_expert("COPY (SELECT id, name, price FROM items ORDER BY id) TO STDOUT", out)
    say("copy", out.getvalue())
with db, db.cursor("named", scrollable=True) as c:
    c.itersize = 3
    c.execute("SELECT id, name FROM items ORDER BY id")
    say("named", c.fetchone(), c.fetchmany(2))
    c.scroll(-1)
    say("scrolled", c.fetchall())
with db, db.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as c:
    c.execute("SELECT id, price FROM items WHERE id = ANY(%s) ORDER BY id", ([1, 3],))
    say("dict", [dict(row) for row in c])
for wrong in (
    "SELECT * FROM missing",
    "INSERT INTO items VALUES (1, 'x')",
    "SELEC",
    "INSERT INTO items (price) VALUES (1)",
):
    try:
        with db, db.cursor() as c:
            c.execute(wrong)
    except psycopg2.Error as error:
        say(
            "error",
            type(error).__name__,
            error.pgcode,
            error.diag.message_primary,
            error.diag.statement_position,
        )
db.set_session(isolation_level="SERIALIZABLE", readonly=True)
with db, db.cursor() as c:
    c.execute("SHOW transaction_isolation")
    say("isolation", c.fetchone())
try:
    with db, db.cursor() as c:
        c.execute("DELETE FROM items")
except psycopg2.Error as error:
    say("readonly", error.pgcode)
db.set_session(isolation_level="DEFAULT", readonly=False, autocommit=True)
cursor = db.cursor()
cursor.execute("LISTEN news")
cursor.execute("NOTIFY news, 'hello'")
db.poll()
say("notified", [(n.channel, n.payload) for n in db.notifies])
cursor.callproc("upper", ("abc",))
say("proc", cursor.fetchone())
cursor.execute("DO NOTHING" if False else "DROP TABLE IF EXISTS nothing_there")
say("notices", db.notices)
cursor.execute("SELECT 1; SELECT 2, 'two'")
say("last", cursor.fetchall())
say(
    "status",
    db.get_transaction_status(),
    db.server_version // 10000,
    db.get_parameter_status("server_encoding"),
    db.closed,
)
cursor.execute("DROP TABLE items")
