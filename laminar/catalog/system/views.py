"""pg_catalog's views, over the same objects as its tables (PostgreSQL, chapter 54)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from laminar.catalog.system import pg_catalog
from laminar.catalog.system.pg_catalog import indexed_tables, key_name

if TYPE_CHECKING:
    from laminar.catalog.system.registry import Rows
    from laminar.server.session import Session

Made = Iterator[Mapping[str, Any]]


def _pg_tables(session: Session) -> Made:
    indexed = indexed_tables(session.database.catalog)
    for r in session.database.catalog.relations.values():
        if r.kind in ("table", "source"):
            yield _table(r.schema, r.name, r.owner, r.oid in indexed)
    for s in session.database.system.by_oid.values():
        if s.kind == "r":
            yield _table(s.schema, s.name, "laminar", False)


def _table(schema: str, name: str, owner: str, indexed: bool) -> Mapping[str, Any]:
    rest = {"hasrules": False, "hastriggers": False, "rowsecurity": False}
    return rest | {"schemaname": schema, "tablename": name, "tableowner": owner, "hasindexes": indexed}


def _pg_views(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        if r.kind == "view":
            definition = f" {r.query};"
            yield {"schemaname": r.schema, "viewname": r.name, "viewowner": r.owner, "definition": definition}
    for s in session.database.system.by_oid.values():
        if s.kind == "v":
            yield {"schemaname": s.schema, "viewname": s.name, "viewowner": "laminar"}


def _pg_matviews(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        if r.kind == "mview":
            yield {
                "schemaname": r.schema, "matviewname": r.name, "matviewowner": r.owner, "hasindexes": False,
                "ispopulated": True, "definition": f" {r.query};",
            }  # fmt: skip


def _pg_indexes(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        if "key index" in r.parts:
            where = {"schemaname": r.schema, "tablename": r.name, "indexname": key_name(r)}
            yield where | {"indexdef": session.catalog.answer("pg_get_indexdef", r.parts["key index"])}
        elif r.kind == "index" and r.owned_by is not None:
            table = session.database.catalog.relations[r.owned_by[0]]
            yield {"schemaname": r.schema, "tablename": table.name, "indexname": r.name, "indexdef": r.sql}


def _pg_roles(session: Session) -> Made:
    for role in pg_catalog._pg_authid(session):
        yield {**role, "rolpassword": "********"}


def _pg_user(session: Session) -> Made:
    for role in pg_catalog._pg_authid(session):
        if role["rolcanlogin"]:
            yield {
                "usename": role["rolname"], "usesysid": role["oid"], "usecreatedb": role["rolcreatedb"],
                "usesuper": role["rolsuper"], "userepl": role["rolreplication"],
                "usebypassrls": role["rolbypassrls"], "passwd": "********",
            }  # fmt: skip


def _pg_group(session: Session) -> Made:
    members = list(pg_catalog._pg_auth_members(session))
    for role in pg_catalog._pg_authid(session):
        if not role["rolcanlogin"]:
            of = [m["member"] for m in members if m["roleid"] == role["oid"]]
            yield {"groname": role["rolname"], "grosysid": role["oid"], "grolist": of}


def _pg_settings(session: Session) -> Made:
    from laminar.server.guc import SETTINGS

    facts_shown = (
        "name", "category", "vartype", "context", "unit", "enumvals", "min_val", "max_val", "short_desc",
    )  # fmt: skip
    for setting in SETTINGS.values():
        value = session.settings[setting.name]
        fact = setting.fact
        stored, default = fact.stored(value), fact.stored(session.settings.default(setting.name))
        yield {f: getattr(fact, f) for f in facts_shown} | {
            "setting": stored,
            "source": "default" if stored == default else "session", "boot_val": default,
            "reset_val": default, "pending_restart": False,
        }  # fmt: skip


def _pg_stat_activity(session: Session) -> Made:
    states = {"I": "idle", "T": "idle in transaction", "E": "idle in transaction (aborted)"}
    for other in session.database.sessions:
        yield {
            "datid": other.database.catalog.oid, "datname": other.database.name,
            "pid": other.client.process_id,
            "usesysid": other.role.oid, "usename": other.role.name,
            "application_name": other.settings.get("application_name", ""),
            "state": "active" if other is session else states[other.transaction_status],
            "backend_type": "client backend",
        }  # fmt: skip


def _pg_locks(session: Session) -> Made:
    catalog = session.database.catalog
    for resource, mode, holder, granted in session.database.instance.locks.all():
        kind, *rest = resource
        found: dict[str, Any] = {
            "locktype": {"table": "relation", "row": "tuple"}.get(str(kind), kind), "mode": mode.pg_name,
            "pid": holder.process_id, "granted": granted, "fastpath": False,
        }  # fmt: skip
        if kind == "advisory":
            numbers = [int(str(number)) for number in rest]
            high, low = numbers[1:] if len(numbers) == 3 else (numbers[1] >> 32, numbers[1])
            found |= {"classid": high & 0xFFFFFFFF, "objid": low & 0xFFFFFFFF, "objsubid": len(numbers) - 1}
            found["database"] = numbers[0]
        else:
            own = rest[0] in catalog.relations
            found |= {"relation": rest[0], "database": catalog.oid if own else None}
        yield found


def _pg_timezone_names(_session: Session) -> Made:
    import datetime
    import zoneinfo

    now = datetime.datetime.now(datetime.UTC)
    for name in sorted(zoneinfo.available_timezones()):
        local = now.astimezone(zoneinfo.ZoneInfo(name))
        offset, dst = local.utcoffset() or datetime.timedelta(), local.dst()
        micros = int(offset.total_seconds()) * 1_000_000
        interval = bytes(8) + micros.to_bytes(8, "little", signed=True)
        yield {"name": name, "abbrev": local.tzname(), "utc_offset": interval, "is_dst": bool(dst)}


_VIEWS: Final[dict[str, Rows]] = {
    "pg_tables": _pg_tables,
    "pg_views": _pg_views,
    "pg_matviews": _pg_matviews,
    "pg_indexes": _pg_indexes,
    "pg_roles": _pg_roles,
    "pg_user": _pg_user,
    "pg_group": _pg_group,
    "pg_settings": _pg_settings,
    "pg_stat_activity": _pg_stat_activity,
    "pg_locks": _pg_locks,
    "pg_timezone_names": _pg_timezone_names,
}
ROWS: Final[dict[tuple[str, str], Rows]] = {("pg_catalog", name): rows for name, rows in _VIEWS.items()}
