"""pgcli: what its completer asks, statements as its prompt runs them, and the program itself in a terminal."""

import os
import queue
import sys
import tempfile

import pexpect
from pgcli.completion_refresher import CompletionRefresher
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial
from prompt_toolkit.document import Document


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


db = PGExecute(dsn=sys.argv[1])
special = PGSpecial()


def run(sql):
    for title, rows, headers, status, *_ in db.run(sql, special):
        say(sql[:30], title, headers, status, None if rows is None else [tuple(row) for row in rows])


run("CREATE TABLE bottles (id int PRIMARY KEY, label text DEFAULT 'none', size numeric(4,1))")
run("CREATE VIEW labels AS SELECT label FROM bottles")
run("INSERT INTO bottles VALUES (1, 'a', 0.75), (2, 'b', 1.5); SELECT * FROM bottles ORDER BY id")
say(
    "schemata",
    sorted(s for s in db.schemata() if s != "laminar_catalog" and not s.startswith(("pg_temp", "pg_toast"))),
)
say(
    "tables",
    sorted(t for t in db.tables() if t[0] == "public"),
    sorted(v for v in db.views() if v[0] == "public"),
)
say("columns", sorted(c for c in db.table_columns() if c[0] == "public"))
say("view columns", sorted(c for c in db.view_columns() if c[0] == "public"))
say("foreign keys", list(db.foreignkeys()), list(db.datatypes()))
say(
    "functions",
    sorted(
        f.func_name
        for f in db.functions()
        if f.schema_name == "pg_catalog" and f.func_name.startswith("regexp_")
    ),
)
say("definition", db.view_definition("labels").split()[:3])
say("search path", db.search_path(), db.superuser, db.valid_transaction())

found = queue.Queue()
CompletionRefresher().refresh(db, special, found.put)
completer = found.get(timeout=60)
for text in (
    "SELECT * FROM bot",
    "SELECT b.la FROM bottles b WHERE b.",
    "INSERT INTO bottles (",
    "SELECT count(*) FROM lab",
):
    words = [c.text for c in completer.get_completions(Document(text, len(text)), None)]
    say("completed", text, words[:4])
for command in (r"\dt", r"\dv", r"\d bottles", r"\di"):
    for title, rows, headers, status, *_ in special.execute(db.conn.cursor(), command):
        say(command, title, headers, [tuple(row) for row in rows], status)
for command in (r"\dn", r"\l", r"\du", r"\dT", r"\df lower"):
    for _title, rows, headers, *_ in special.execute(db.conn.cursor(), command):
        say(command, headers, len(list(rows)) > 0)

with tempfile.TemporaryDirectory() as home:
    variables = os.environ | {"TERM": "dumb", "HOME": home, "XDG_CONFIG_HOME": home, "PAGER": "cat"}
    program = os.path.join(os.path.dirname(sys.executable), "pgcli")
    terminal = pexpect.spawn(
        program, ["--less-chatty", sys.argv[1]], env=variables, encoding="utf-8", timeout=60
    )
    terminal.expect("laminar> ")
    for typed, answer in (
        ("SELECT id, label FROM bottles ORDER BY id;", r"\| 1 +\| a +\|.*\| 2 +\| b +\|.*SELECT 2"),
        (r"\d labels", r"\| label +\| text +\|"),
        ("SELECT * FROM nothing;", 'relation "nothing" does not exist'),
    ):
        terminal.sendline(typed)
        say("typed", typed, terminal.expect([answer]))
    terminal.sendline(r"\q")
    terminal.expect(pexpect.EOF)
run("DROP VIEW labels; DROP TABLE bottles")
