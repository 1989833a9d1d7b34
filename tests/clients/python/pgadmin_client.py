"""pgAdmin 4: its server, driven over HTTP as its browser does: a server added, the tree of objects opened with
each object's properties and SQL, and queries run by its query tool."""

import http.cookiejar
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pgadmin4
import psycopg

OBJECTS = """
CREATE SCHEMA yard;
CREATE TYPE yard.colour AS ENUM ('red', 'green');
CREATE TABLE yard.carts (id serial PRIMARY KEY, label varchar(20) NOT NULL UNIQUE, load numeric(8,2) DEFAULT 1.5,
    paint yard.colour, built date, CHECK (id > 0));
CREATE INDEX carts_built ON yard.carts (built, label);
COMMENT ON TABLE yard.carts IS 'what rolls';
CREATE VIEW yard.heavy AS SELECT id, label FROM yard.carts WHERE load > 100;
CREATE SEQUENCE yard.numbers START 5;
INSERT INTO yard.carts (label, load, paint, built) VALUES ('a', 1, 'red', '2024-01-01'), ('b', 500, NULL, NULL);
CREATE MATERIALIZED VIEW yard.loads AS SELECT paint, sum(load) AS load, count(*) AS carts FROM yard.carts GROUP BY paint;
"""
CONFIG = """
SERVER_MODE = False
DATA_DIR = {folder!r}
LOG_FILE = {folder!r} + '/log'
SQLITE_PATH = {folder!r} + '/pgadmin.db'
SESSION_DB_PATH = {folder!r} + '/sessions'
STORAGE_DIR = {folder!r} + '/storage'
AZURE_CREDENTIAL_CACHE_DIR = {folder!r} + '/azure'
KERBEROS_CCACHE_DIR = {folder!r} + '/krb'
MASTER_PASSWORD_REQUIRED = False
WTF_CSRF_ENABLED = False
UPGRADE_CHECK_ENABLED = False
"""
#: what differs from server to server, or from run to run
PRIVATE = (
    "oid",
    "id",
    "pid",
    "port",
    "sid",
    "did",
    "scid",
    "xid",
    "seqrelid",
    "defseqrelid",
    "atttypid",
    "edit_types",
    "attoptions",
)


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


class Browser:
    def __init__(self, port, key):
        self.base = f"http://127.0.0.1:{port}"
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(cookies)
        self.opener.open(f"{self.base}/?key={key}", timeout=60).read()

    def ask(self, path, body=None, method=None):
        """The JSON answer; its status when it is an error."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.base + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with self.opener.open(request, timeout=60) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return {"status": error.code, "error": error.read().decode()[:500]}

    def nodes(self, kind, *where):
        """Children of a node of the tree: name -> oid."""
        answer = self.ask(f"/browser/{kind}/nodes/{'/'.join(map(str, where))}/")
        rows = answer.get("data")
        if not isinstance(rows, list):
            say("nodes", kind, answer)
            return {}
        return {row["label"]: row["_id"] for row in rows}


def start(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (Path(folder) / "config_local.py").write_text(CONFIG.format(folder=folder))
    home = Path(pgadmin4.__path__[0])
    variables = {
        "PGADMIN_INT_PORT": str(port),
        "PGADMIN_INT_KEY": "key",
        "PGADMIN_SERVER_MODE": "OFF",
        "PYTHONPATH": folder,
        "HOME": folder,
    }
    with (Path(folder) / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, home / "pgAdmin4.py"], env=os.environ | variables, stdout=output, stderr=output
        )
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.2)
            if process.poll() is not None:
                break
    raise SystemExit((Path(folder) / "output").read_text()[-3000:])


def shown(value):
    """A value without what differs."""
    if isinstance(value, dict):
        return {
            k: shown(v)
            for k, v in sorted(value.items())
            if k not in PRIVATE and not k.endswith(("oid", "_id", "time"))
        }
    return [shown(v) for v in value] if isinstance(value, list) else value


def definition(answer):
    """A statement without the texts of queries, which Laminar shows as they were written, and options of columns."""
    if not isinstance(answer, str):
        return answer
    plain = re.sub(r"\n\nALTER TABLE IF EXISTS \S+\n    ALTER COLUMN \w+\n    SET \(.*?\);", "", answer)
    return re.sub(r"(?is)\n? ?\bSELECT\b.*?(?=\n(WITH|ALTER)|;)", " …", plain)


def run(browser, server, database, number, sql):
    """One query by the query tool."""
    made = browser.ask(
        f"/sqleditor/initialize/sqleditor/{number}/1/{server}/{database}",
        {"user": "laminar", "dbname": "laminar"},
    )
    if "error" in made:
        say("query tool", made)
        return
    started = browser.ask(f"/sqleditor/query_tool/start/{number}", {"sql": sql, "explain_plan": None})
    if "error" in started:
        say("started", started)
    for _ in range(300):
        polled = browser.ask(f"/sqleditor/poll/{number}")
        data = polled.get("data") or {}
        if data.get("status") != "Busy":
            break
        time.sleep(0.1)
    columns = [(c["name"], min(c["type_code"], 16384)) for c in data.get("colinfo") or []]
    say(sql, data.get("status"), data.get("rows_affected"), columns, data.get("result"))
    browser.ask(f"/sqleditor/close/{number}", method="DELETE")


def main(folder):
    where = dict(part.split("=") for part in sys.argv[1].split())
    with psycopg.connect(sys.argv[1], autocommit=True) as db:
        db.execute(OBJECTS)
    process, port = start(folder)
    try:
        browser = Browser(port, "key")
        asked = {
            "name": "tried",
            "host": where["host"],
            "port": int(where["port"]),
            "db": "laminar",
            "username": "laminar",
            "role": "",
            "sslmode": "prefer",
            "connection_params": [],
            "connect_now": True,
            "save_password": False,
            "password": "x",
        }
        added = browser.ask("/browser/server/obj/1/", asked)
        if "node" not in added:
            raise SystemExit(added)
        server = added["node"]["_id"]
        say(
            "server",
            added["node"]["connected"],
            added["node"]["server_type"],
            str(added["node"]["version"])[:2],
        )
        database = browser.nodes("database", 1, server)["laminar"]
        browser.ask(f"/browser/database/connect/1/{server}/{database}", {})
        schemas = browser.nodes("schema", 1, server, database)
        say("schemas", sorted(schemas.keys() & {"public", "yard"}))
        inside = 1, server, database, schemas["yard"]
        for kind in (
            "table",
            "view",
            "mview",
            "sequence",
            "type",
            "function",
            "domain",
            "collation",
            "foreign_table",
        ):
            found = browser.nodes(kind, *inside)
            say(kind, sorted(found))
            for name, oid in sorted(found.items()):
                path = "/".join(map(str, (*inside, oid)))
                properties = browser.ask(f"/browser/{kind}/obj/{path}")
                say(
                    "properties",
                    kind,
                    name,
                    shown(
                        {
                            k: properties.get(k)
                            for k in (
                                "name",
                                "owner",
                                "description",
                                "schema",
                                "error",
                                "columns",
                                "primary_key",
                                "unique_constraint",
                                "check_constraint",
                            )
                        }
                    ),
                )
                say("sql", kind, name, definition(browser.ask(f"/browser/{kind}/sql/{path}")))
                for part in (
                    (
                        "column",
                        "index",
                        "primary_key",
                        "unique_constraint",
                        "check_constraint",
                        "foreign_key",
                        "trigger",
                        "rule",
                    )
                    if kind == "table"
                    else ()
                ):
                    parts = browser.nodes(part, *inside, oid)
                    say(name, part, sorted(parts))
                    for each, number in sorted(parts.items()):
                        say(
                            "sql", part, each, definition(browser.ask(f"/browser/{part}/sql/{path}/{number}"))
                        )
        for kind in ("role", "tablespace"):
            say(kind, len(browser.nodes(kind, 1, server)) > 0)
        for kind in ("language", "extension", "cast", "event_trigger", "publication", "foreign_data_wrapper"):
            say(kind, isinstance(browser.nodes(kind, 1, server, database), dict))
        for number, sql in enumerate(
            (
                "SELECT id, label, load, paint, built FROM yard.carts ORDER BY id",
                "SELECT carts, load FROM yard.loads ORDER BY load",
                "UPDATE yard.carts SET load = 2 WHERE id = 1",
                "SELECT nothing FROM yard.carts",
            ),
            1000001,
        ):
            run(browser, server, database, number, sql)
        for chart in ("session_stats", "tps_stats"):
            stats = browser.ask(f"/dashboard/dashboard_stats/{server}/{database}?chart_names={chart}")
            say(chart, sorted(stats.get(chart, stats)))
        for page in ("activity", "locks", "prepared", "config"):
            rows = browser.ask(f"/dashboard/{page}/{server}{'' if page == 'config' else f'/{database}'}")
            say(page, rows if "error" in rows else isinstance(rows, list))
    finally:
        process.terminate()
        process.wait(30)


with tempfile.TemporaryDirectory() as folder:
    main(folder)
with psycopg.connect(sys.argv[1], autocommit=True) as db:
    db.execute("DROP SCHEMA yard CASCADE")
