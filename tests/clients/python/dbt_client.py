"""dbt-postgres: a project's seeds, models of every kind, snapshot, tests and documentation, twice."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg2
from dbt.cli.main import dbtRunner

PROJECT = Path(__file__).parent.parent / "dbt"


def say(*parts):
    print(*(repr(part) for part in parts), sep=" | ")


def dbt(folder, *arguments):
    """Runs one dbt command; what became of each node, by name."""
    flags = ["--quiet", "--log-level", "none", "--project-dir", folder, "--profiles-dir", folder]
    done = dbtRunner().invoke([*arguments, *flags])
    if done.exception is not None:
        raise done.exception
    nodes = getattr(done.result, "results", None) or []
    for node in sorted(nodes, key=lambda n: n.node.name):
        # PostgreSQL counts a materialized view's rows when it makes it, Laminar does not know them yet.
        made = node.node.name == "totals" and (node.message or "").startswith(("SELECT ", "CREATE "))
        say(arguments[0], node.node.name, str(node.status), "made" if made else node.message, node.failures)


def show(sql):
    with psycopg2.connect(sys.argv[1]) as db, db.cursor() as cursor:
        cursor.execute(sql)
        say(sql, sorted(cursor.fetchall(), key=repr))


def documented(folder):
    """The catalog that the documentation is made of."""
    catalog = json.loads((Path(folder) / "target" / "catalog.json").read_text())
    for name, node in sorted(catalog["nodes"].items()):
        about = node["metadata"]
        columns = [(c["name"], c["index"], c["type"], c["comment"]) for c in node["columns"].values()]
        say(name, about["type"], about["schema"], about["owner"], about["comment"], columns)
    say("errors", catalog["errors"])


def main(folder):
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    items = Path(folder) / "seeds" / "items.csv"
    for _ in range(2):
        dbt(folder, "seed")
        dbt(folder, "run")
        dbt(folder, "snapshot")
        show("SELECT * FROM shop.grown")
        show("SELECT * FROM shop.merged")
        show("SELECT * FROM shop.kept")
        show("SELECT name, total, items FROM shop.totals")
        show("SELECT id, price, dbt_valid_to IS NULL FROM shop.history")
        items.write_text(items.read_text().replace("2.5", "7.5") + "5,five,5,2024-02-01,true\n")
    dbt(folder, "test")
    dbt(folder, "run", "--select", "totals")
    dbt(folder, "run", "--full-refresh")
    dbt(folder, "docs", "generate")
    documented(folder)


if __name__ == "__main__":  # dbt starts processes of its own, which read this file again
    where = dict(part.split("=") for part in sys.argv[1].split())
    os.environ |= {
        "SHOP_HOST": where["host"],
        "SHOP_PORT": where["port"],
        "SHOP_USER": where["user"],
        "SHOP_DATABASE": where["dbname"],
    }
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
