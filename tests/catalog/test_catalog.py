"""The catalog: durable across reopening, names unique, dependencies respected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from laminar.catalog.catalog import Catalog
from laminar.catalog.cluster import FIRST_OID, Cluster
from laminar.catalog.objects import Role, StoredColumn, StoredRelation
from laminar.errors import PgError
from laminar.types import INT8, TEXT, PgType, numeric


def table(catalog: Catalog, name: str, **fields: object) -> StoredRelation:
    columns = (StoredColumn("a", PgType(INT8), not_null=True), StoredColumn("n", numeric(10, 2)))
    base = StoredRelation(
        catalog.new_oid(), "public", name, "table", "laminar", columns, f"CREATE TABLE {name}"
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def test_everything_survives_reopening(tmp_path: Path) -> None:
    catalog = Cluster(tmp_path).first
    first = table(catalog, "t", primary_key=(1,), watermark=(1, 5_000_000), checks=(("c", "a > 0"),))
    view = replace(
        table(catalog, "v"),
        kind="mview",
        query="SELECT a FROM t",
        search_path=("public",),
        depends_on=(first.oid,),
        emit={"mode": "close", "lateness": None},
    )
    catalog.create(first)
    catalog.create(view)
    catalog.create_schema("s", "laminar")
    catalog.put_role(Role("eve", verifier="SCRAM-SHA-256$…"))
    catalog.cluster.close()

    again = Cluster(tmp_path).first
    assert again.find("public", "t") == catalog.find("public", "t")
    assert again.find("public", "v") == catalog.find("public", "v")
    assert replace(catalog.relations[first.oid], parts={}) == first
    assert set(again.schemas) == {"public", "s"}
    assert again.schemas == catalog.schemas
    assert again.schemas["s"].owner == "laminar"
    assert again.roles == catalog.roles
    assert again.roles["eve"].verifier == "SCRAM-SHA-256$…"
    assert again.roles["laminar"].superuser
    again.cluster.close()


def test_oids_are_never_used_twice(tmp_path: Path) -> None:
    catalog = Cluster(tmp_path).first
    first = table(catalog, "t")
    catalog.create(first)
    catalog.drop([first.oid])
    catalog.cluster.close()
    again = Cluster(tmp_path).first
    assert first.oid == FIRST_OID
    assert again.new_oid() > first.oid
    again.cluster.close()


def test_everything_has_an_oid_of_its_own(tmp_path: Path) -> None:
    catalog = Cluster(tmp_path).first
    catalog.create(table(catalog, "t", primary_key=(1,), checks=(("c", "a > 0"),)))
    catalog.create_schema("s", "laminar")
    catalog.put_role(Role("eve"))
    eve = catalog.roles["eve"].oid
    catalog.put_role(Role("eve", superuser=True), replace=True)
    assert catalog.roles["eve"].oid == eve
    stored = catalog.relations[FIRST_OID]
    assert list(stored.parts) == ["type", "array", "key", "key index", "check c"]
    oids = [stored.oid, *stored.parts.values(), catalog.schemas["s"].oid, eve]
    assert len(set(oids)) == len(oids) and min(oids) >= FIRST_OID
    assert (catalog.schemas["public"].oid, catalog.roles["laminar"].oid) == (2200, 10)
    catalog.cluster.close()


def test_names_are_taken_once(tmp_path: Path) -> None:
    catalog = Cluster(tmp_path).first
    catalog.create(table(catalog, "t"))
    with pytest.raises(PgError) as caught:
        catalog.check_free("public", "t", 14)
    assert (caught.value.sqlstate, caught.value.position) == ("42P07", 14)
    assert caught.value.message == 'relation "t" already exists'
    with pytest.raises(PgError, match='schema "nope" does not exist'):
        catalog.check_free("nope", "t")
    with pytest.raises(PgError, match="permission denied for schema pg_catalog"):
        catalog.check_free("pg_catalog", "t")
    catalog.cluster.close()


def test_drop_restrict_names_every_dependent_and_cascade_takes_them(tmp_path: Path) -> None:
    catalog = Cluster(tmp_path).first
    base = table(catalog, "t")
    middle = table(catalog, "m", kind="mview", depends_on=(base.oid,))
    top = table(catalog, "v", kind="view", depends_on=(middle.oid, base.oid))
    for relation in (base, middle, top):
        catalog.create(relation)
    with pytest.raises(PgError) as caught:
        catalog.to_drop([base], cascade=False)
    assert caught.value.sqlstate == "2BP01"
    assert caught.value.message == "cannot drop table t because other objects depend on it"
    assert set((caught.value.detail or "").splitlines()) == {
        "materialized view m depends on table t",
        "view v depends on materialized view m",
        "view v depends on table t",
    }
    order = [r.name for r in catalog.to_drop([base], cascade=True)]
    assert order.index("v") < order.index("m") < order.index("t")
    # All of them named in one statement need no CASCADE.
    assert len(catalog.to_drop([base, middle, top], cascade=False)) == 3
    catalog.cluster.close()


def test_roles(tmp_path: Path) -> None:
    catalog = Cluster(tmp_path).first
    catalog.put_role(Role("ann"))
    with pytest.raises(PgError, match='role "ann" already exists'):
        catalog.put_role(Role("ann"))
    with pytest.raises(PgError, match='role "bob" does not exist'):
        catalog.put_role(Role("bob"), replace=True)
    catalog.create(table(catalog, "t", owner="ann", columns=(StoredColumn("a", PgType(TEXT)),)))
    with pytest.raises(PgError) as caught:
        catalog.drop_role("ann")
    assert caught.value.sqlstate == "2BP01"
    catalog.drop([r.oid for r in list(catalog.relations.values())])
    catalog.drop_role("ann")
    assert "ann" not in catalog.roles
    catalog.cluster.close()
