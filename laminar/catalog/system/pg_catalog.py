"""pg_catalog's tables: what Laminar has, as PostgreSQL 15 would say it (PostgreSQL, chapter 53).

Catalogs that are not here are empty, or hold PostgreSQL's own objects only (:mod:`.builtin`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from laminar import __version__
from laminar.catalog.catalog import PUBLIC_OID, SUPERUSER
from laminar.catalog.cluster import SUPERUSER_OID
from laminar.catalog.objects import KIND_NAMES, StoredRelation, StoredType
from laminar.catalog.sequences import definition_of
from laminar.catalog.system import usertypes
from laminar.catalog.system.builtin import ARRAY_TYPE, INFORMATION_SCHEMA, PG_CATALOG, ROW_TYPE
from laminar.sql import facts
from laminar.sql.resolve import oid_name
from laminar.types import INT4, NAME, NUMERIC, PgType

if TYPE_CHECKING:
    from laminar.catalog.catalog import Catalog
    from laminar.catalog.system.registry import Rows
    from laminar.server.session import Session

Made = Iterator[Mapping[str, Any]]

LAMINAR_CATALOG: Final = 15000
#: oids of schemas that are always there
NAMESPACES: Final = {
    "pg_catalog": PG_CATALOG,
    "public": PUBLIC_OID,
    "information_schema": INFORMATION_SCHEMA,
    "laminar_catalog": LAMINAR_CATALOG,
}
PYTHON = 15100
#: the pseudo-type of states that SQL does not see
INTERNAL = 2281
#: pg_class.relkind; a source has a comment that says so
RELKINDS: Final = {
    "table": "r", "source": "r", "mview": "m", "view": "v", "stream": "v", "sink": "f", "sequence": "S",
    "index": "i", "lookup": "f",
}  # fmt: skip
#: oids of catalogs that pg_depend, pg_description and the like name
PG_CLASS, PG_TYPE, PG_PROC, PG_NAMESPACE, PG_CONSTRAINT, PG_ATTRDEF, PG_REWRITE = (
    1259, 1247, 1255, 2615, 2606, 2604, 2618,
)  # fmt: skip
_HEAP, _BTREE = 2, 403
#: index operator classes by type; 0 for types without one
_OPCLASSES: Final = {
    16: 424, 17: 428, 18: 429, 19: 1986, 20: 3124, 21: 1979, 23: 1978, 25: 3126, 26: 1981, 700: 1970,
    701: 3123, 1042: 426, 1043: 3126, 1082: 3122, 1083: 3127, 1114: 3128, 1184: 3127, 1186: 3128,
    1700: 3125, 2950: 2968,
}  # fmt: skip


def namespace_oid(catalog: Catalog, schema: str) -> int:
    """pg_namespace.oid of a schema."""
    known = NAMESPACES.get(schema)
    return known if known is not None else catalog.schemas[schema].oid


def role_oid(catalog: Catalog, name: str) -> int:
    """pg_authid.oid of a role."""
    role = catalog.roles.get(name)
    return SUPERUSER_OID if role is None else role.oid


def _pg_namespace(session: Session) -> Made:
    catalog = session.database.catalog
    for name, oid in NAMESPACES.items():
        schema = catalog.schemas.get(name)
        owner = SUPERUSER if schema is None else schema.owner
        acl = _acl(schema)
        if schema is None:
            acl = [f"{SUPERUSER}=UC/{SUPERUSER}", f"=U/{SUPERUSER}"]
        yield {"oid": oid, "nspname": name, "nspowner": role_oid(catalog, owner), "nspacl": acl}
    for schema in catalog.schemas.values():
        if schema.name not in NAMESPACES:
            owner_oid = role_oid(catalog, schema.owner)
            yield {"oid": schema.oid, "nspname": schema.name, "nspowner": owner_oid, "nspacl": _acl(schema)}


def _acl(thing: object) -> list[str] | None:
    """An object's access control list as aclitem texts, None when it was never granted."""
    acl = getattr(thing, "acl", None)
    return None if acl is None else [str(item) for item in acl]


_CLASS: Final = {
    "reltype": 0, "reloftype": 0, "relam": 0, "relfilenode": 0, "reltablespace": 0, "relpages": 0,
    "reltuples": -1.0, "relallvisible": 0, "reltoastrelid": 0, "relhasindex": False, "relisshared": False,
    "relpersistence": "p", "relchecks": 0, "relhasrules": False, "relhastriggers": False,
    "relhassubclass": False, "relrowsecurity": False, "relforcerowsecurity": False, "relispopulated": True,
    "relreplident": "n", "relispartition": False, "relrewrite": 0, "relfrozenxid": 0, "relminmxid": 0,
}  # fmt: skip


def _pg_class(session: Session) -> Made:
    database = session.database
    catalog = database.catalog
    indexed = indexed_tables(catalog)
    for r in catalog.relations.values():
        kind = RELKINDS[r.kind]
        where = {"relnamespace": namespace_oid(catalog, r.schema), "relowner": role_oid(catalog, r.owner)}
        yield _CLASS | where | {
            "oid": r.oid, "relname": r.name, "relkind": kind, "relnatts": len(r.columns),
            "reltype": r.parts.get("type", 0), "reltuples": database.row_count(r.oid),
            "relam": _BTREE if kind == "i" else _HEAP if kind in "rm" else 0,
            "relfilenode": r.oid if kind in "rmiS" else 0,
            "relhasindex": r.oid in indexed, "relchecks": len(r.checks),
            "relhasrules": "rule" in r.parts,
            "relreplident": "d" if kind in "rm" else "n", "relacl": _acl(r),
        }  # fmt: skip
        if "key index" in r.parts:
            index = {"oid": r.parts["key index"], "relname": key_name(r), "relkind": "i", "relam": _BTREE}
            yield _CLASS | where | index | {"relnatts": len(r.primary_key), "relfilenode": index["oid"]}
    for t in catalog.types.values():
        if t.kind == "c":
            yield _CLASS | {
                "oid": t.relation, "relname": t.name, "relkind": "c", "relnatts": len(t.fields),
                "reltype": t.oid, "relnamespace": namespace_oid(catalog, t.schema),
                "relowner": role_oid(catalog, t.owner), "relacl": None, "reltuples": 0.0,
            }  # fmt: skip
    for s in database.system.by_oid.values():
        yield _CLASS | {
            "oid": s.oid, "relname": s.name, "relnamespace": NAMESPACES[s.schema], "relkind": s.kind,
            "relowner": SUPERUSER_OID, "relnatts": len(s.columns), "reltype": s.row_type,
            "relam": _HEAP if s.kind == "r" else 0, "relisshared": s.shared, "relhasrules": s.kind == "v",
            "relacl": [f"{SUPERUSER}=arwdDxt/{SUPERUSER}", f"=r/{SUPERUSER}"],
        }  # fmt: skip


def indexed_tables(catalog: Catalog) -> set[int]:
    """Relations with a primary key or another index."""
    owners = {r.owned_by[0] for r in catalog.relations.values() if r.kind == "index" and r.owned_by}
    return owners | {r.oid for r in catalog.relations.values() if "key index" in r.parts}


def key_name(relation: StoredRelation) -> str:
    """The primary key's name, as PostgreSQL would choose it."""
    return f"{relation.name[:58]}_pkey"


_ATTRIBUTE: Final = {
    "attstattarget": -1, "attndims": 0, "attcacheoff": -1, "atttypmod": -1, "attcompression": "",
    "atthasdef": False, "atthasmissing": False, "attidentity": "", "attgenerated": "",
    "attisdropped": False, "attislocal": True, "attinhcount": 0,
}  # fmt: skip
_PHYSICAL: Final = {c: c.replace("att", "typ") for c in ("attlen", "attbyval", "attalign", "attstorage")}


def _attribute(relation: int, attnum: int, name: str, oid: int) -> dict[str, Any]:
    fact = facts.types().get(oid)
    listed = oid in facts.type_rows() or (fact is not None and not fact.element)
    values = usertypes.base_row(oid) if listed else ARRAY_TYPE
    physical = {column: values[of] for column, of in _PHYSICAL.items()}
    # collations are the database's, names' C
    collation = {"attcollation": values["typcollation"], "attndims": int(values["typcategory"] == "A")}
    return _ATTRIBUTE | physical | collation | {
        "attrelid": relation, "attname": name, "atttypid": oid, "attnum": attnum,
    }  # fmt: skip


def _pg_attribute(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        for attnum, c in enumerate(r.columns, 1):
            generated = c.generated is not None
            yield _attribute(r.oid, attnum, c.name, c.type.oid) | {
                "atttypid": c.domain or c.type.oid, "atttypmod": c.type.typmod, "attnotnull": c.not_null,
                "atthasdef": (c.default is not None and not c.identity) or generated,
                "attgenerated": "s" if generated else "",
                "attidentity": c.identity,
            }  # fmt: skip
        if "key index" in r.parts:
            for place, attnum in enumerate(r.primary_key, 1):
                c = r.columns[attnum - 1]
                made = _attribute(r.parts["key index"], place, c.name, c.type.oid)
                yield made | {"atttypmod": c.type.typmod}
    for t in session.database.catalog.types.values():
        for attnum, (name, type_) in enumerate(t.fields, 1):
            yield _attribute(t.relation, attnum, name, type_.oid) | {
                "atttypmod": type_.typmod, "attnotnull": False,
            }  # fmt: skip
    for s in session.database.system.by_oid.values():
        for attnum, column in enumerate(s.columns, 1):
            made = _attribute(s.oid, attnum, column.name, column.type.oid)
            yield made | {"attnotnull": column.not_null, "atttypid": column.declared}


def _pg_attrdef(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        for attnum, c in enumerate(r.columns, 1):
            oid = r.parts.get(f"default {attnum}")
            if oid is not None and not c.identity:
                text = c.default if c.default is not None else c.generated
                yield {
                    "oid": oid,
                    "adrelid": r.oid,
                    "adnum": attnum,
                    "adbin": shown_default(text or "", c.type),
                }


def shown_default(text: str, type_: PgType) -> str:
    """An expression as PostgreSQL shows it: a string literal with its type."""
    literal = re.fullmatch(r"'(?:[^']|'')*'", text)
    if literal is None:
        return text
    # those that the parser would take for their type without quotes
    if type_.oid in (INT4, NUMERIC) and re.fullmatch(r"'\d+'" if type_.oid == INT4 else r"'\d*\.\d+'", text):
        return text[1:-1]
    return f"{text}::{oid_name(type_.oid)}"


def _pg_type(session: Session) -> Made:
    catalog = session.database.catalog
    for r in catalog.relations.values():
        if "type" in r.parts:
            where = {"typnamespace": namespace_oid(catalog, r.schema), "typowner": role_oid(catalog, r.owner)}
            own = {"oid": r.parts["type"], "typname": r.name, "typrelid": r.oid, "typarray": r.parts["array"]}
            yield ROW_TYPE | where | own
            array = {"oid": r.parts["array"], "typname": f"_{r.name}"[:63], "typelem": r.parts["type"]}
            yield ARRAY_TYPE | where | array
    for t in catalog.types.values():
        yield from usertypes.pg_type(catalog, _type_place(catalog, t), t)


def _type_place(catalog: Catalog, t: StoredType) -> dict[str, int]:
    return {"typnamespace": namespace_oid(catalog, t.schema), "typowner": role_oid(catalog, t.owner)}


def _pg_enum(session: Session) -> Made:
    for t in session.database.catalog.types.values():
        yield from usertypes.pg_enum(t)


def indexed_attnums(index: StoredRelation) -> list[int]:
    """The table's columns in an index."""
    return [int(attnum) for attnum in index.options["columns"].split(",")]


def _pg_index(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        if r.kind == "index" and r.owned_by is not None:
            table, key = r.owned_by[0], indexed_attnums(r)
            types, oid = [column.type.oid for column in r.columns], r.oid
        elif "key index" in r.parts:
            table, key, oid = r.oid, list(r.primary_key), r.parts["key index"]
            types = [r.columns[attnum - 1].type.oid for attnum in key]
        else:
            continue
        count, primary = len(key), r.kind != "index"
        unique = primary or r.options.get("unique") == "true"
        yield {
            "indexrelid": oid, "indrelid": table, "indnatts": count, "indnkeyatts": count,
            "indisunique": unique, "indnullsnotdistinct": False, "indisprimary": primary,
            "indisexclusion": False,
            "indimmediate": True, "indisclustered": False, "indisvalid": True, "indcheckxmin": False,
            "indisready": True, "indislive": True, "indisreplident": False, "indkey": key,
            "indcollation": [950 if oid == NAME else 100 if oid in (25, 1042, 1043) else 0 for oid in types],
            "indclass": [_OPCLASSES.get(oid, 0) for oid in types], "indoption": [0] * count,
        }  # fmt: skip


_CONSTRAINT: Final = {
    "condeferrable": False, "condeferred": False, "convalidated": True, "contypid": 0, "conindid": 0,
    "conparentid": 0, "confrelid": 0, "confupdtype": " ", "confdeltype": " ", "confmatchtype": " ",
    "conislocal": True, "coninhcount": 0,
}  # fmt: skip


def _pg_constraint(session: Session) -> Made:
    catalog = session.database.catalog
    for r in catalog.relations.values():
        where = {"connamespace": namespace_oid(catalog, r.schema), "conrelid": r.oid}
        if "key" in r.parts:
            yield _CONSTRAINT | where | {
                "oid": r.parts["key"], "conname": key_name(r), "contype": "p", "connoinherit": True,
                "conindid": r.parts["key index"], "conkey": list(r.primary_key),
            }  # fmt: skip
        if "constraint" in r.parts and r.owned_by is not None:
            yield _CONSTRAINT | where | {
                "oid": r.parts["constraint"], "conname": r.name, "contype": "u", "connoinherit": True,
                "conrelid": r.owned_by[0], "conindid": r.oid, "conkey": indexed_attnums(r),
            }  # fmt: skip
        for name, text in r.checks:
            check = {"oid": r.parts[f"check {name}"], "conname": name, "contype": "c", "connoinherit": False}
            yield _CONSTRAINT | where | check | {"conbin": text}
    for t in catalog.types.values():
        for name, text, oid in t.checks:
            yield _CONSTRAINT | {
                "oid": oid, "conname": name, "contype": "c", "connoinherit": False, "contypid": t.oid,
                "conrelid": 0, "connamespace": namespace_oid(catalog, t.schema), "conbin": text,
                "convalidated": name not in t.unvalidated,
            }  # fmt: skip


def _pg_rewrite(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        if "rule" in r.parts:
            yield {
                "oid": r.parts["rule"], "rulename": "_RETURN", "ev_class": r.oid, "ev_type": "1",
                "ev_enabled": "O", "is_instead": True, "ev_qual": "<>", "ev_action": r.query,
            }  # fmt: skip


def _depend(of: tuple[int, int, int], on: tuple[int, int, int], how: str) -> Mapping[str, Any]:
    return {
        "classid": of[0], "objid": of[1], "objsubid": of[2],
        "refclassid": on[0], "refobjid": on[1], "refobjsubid": on[2], "deptype": how,
    }  # fmt: skip


#: what comes with the server beside PostgreSQL's catalogs, as the extension that pg_dump leaves out
EXTENSION, EXTENSION_OID, PG_EXTENSION = "laminar", 15001, 3079


def _pg_extension(_session: Session) -> Made:
    yield {
        "oid": EXTENSION_OID, "extname": EXTENSION, "extowner": SUPERUSER_OID, "extversion": __version__,
        "extnamespace": LAMINAR_CATALOG, "extrelocatable": False,
    }  # fmt: skip


def _members(session: Session) -> Iterator[tuple[int, int]]:
    """(catalog, oid) of what the extension has."""
    yield PG_NAMESPACE, LAMINAR_CATALOG
    for s in session.database.system.by_oid.values():
        if NAMESPACES[s.schema] == LAMINAR_CATALOG:
            yield PG_CLASS, s.oid


def _pg_init_privs(session: Session) -> Made:
    """Privileges that nobody has granted."""
    for name, oid in NAMESPACES.items():
        if name != "public":
            yield _initial(PG_NAMESPACE, oid, [f"{SUPERUSER}=UC/{SUPERUSER}", f"=U/{SUPERUSER}"])
    for s in session.database.system.by_oid.values():
        yield _initial(PG_CLASS, s.oid, [f"{SUPERUSER}=arwdDxt/{SUPERUSER}", f"=r/{SUPERUSER}"])


def _initial(class_: int, oid: int, acl: list[str]) -> Mapping[str, Any]:
    return {"objoid": oid, "classoid": class_, "objsubid": 0, "privtype": "i", "initprivs": acl}


def _pg_depend(session: Session) -> Made:
    catalog = session.database.catalog
    #: (relation, attribute) -> the sequence that its default takes values of
    taken = {
        (relation.oid, i + 1): sequence.oid
        for sequence in catalog.relations.values()
        if sequence.kind == "sequence"
        for _, relation, i in catalog.defaults_of(sequence)
    }
    for class_, oid in _members(session):
        yield _depend((class_, oid, 0), (PG_EXTENSION, EXTENSION_OID, 0), "e")
    for r in catalog.relations.values():
        table = (PG_CLASS, r.oid, 0)
        yield _depend(table, (PG_NAMESPACE, namespace_oid(catalog, r.schema), 0), "n")
        if "type" in r.parts:
            yield _depend((PG_TYPE, r.parts["type"], 0), table, "i")
            yield _depend((PG_TYPE, r.parts["array"], 0), (PG_TYPE, r.parts["type"], 0), "i")
        if "key" in r.parts:
            key = (PG_CONSTRAINT, r.parts["key"], 0)
            for attnum in r.primary_key:
                yield _depend(key, (PG_CLASS, r.oid, attnum), "a")
            yield _depend((PG_CLASS, r.parts["key index"], 0), key, "i")
        for name, _ in r.checks:
            yield _depend((PG_CONSTRAINT, r.parts[f"check {name}"], 0), table, "a")
        for attnum, column in enumerate(r.columns, 1):
            if f"default {attnum}" in r.parts and not column.identity:
                default = (PG_ATTRDEF, r.parts[f"default {attnum}"], 0)
                yield _depend(default, (PG_CLASS, r.oid, attnum), "a")
                if (r.oid, attnum) in taken:
                    yield _depend(default, (PG_CLASS, taken[r.oid, attnum], 0), "n")
        if "constraint" in r.parts and r.owned_by is not None:
            constraint = (PG_CONSTRAINT, r.parts["constraint"], 0)
            for attnum in indexed_attnums(r):
                yield _depend(constraint, (PG_CLASS, r.owned_by[0], attnum), "a")
            yield _depend(table, constraint, "i")
        elif r.owned_by is not None:
            oid, attnum = r.owned_by
            identity = attnum and catalog.relations[oid].columns[attnum - 1].identity
            yield _depend(table, (PG_CLASS, oid, attnum), "i" if identity else "a")
        for oid in r.depends_on:
            if "rule" in r.parts:
                yield _depend((PG_REWRITE, r.parts["rule"], 0), (PG_CLASS, oid, 0), "n")
            else:
                yield _depend(table, (PG_CLASS, oid, 0), "n")
        if "rule" in r.parts:
            yield _depend((PG_REWRITE, r.parts["rule"], 0), table, "i")


def comments(session: Session) -> dict[tuple[int, int, int], str]:
    """Comments by (catalog, object, attribute or 0): the user's, and what a source or sink is."""
    found: dict[tuple[int, int, int], str] = {}
    for r in session.database.catalog.relations.values():
        if r.kind in ("source", "sink", "lookup"):
            from_ = f", connector {r.connector}" if r.connector else ""
            found[PG_CLASS, r.oid, 0] = f"{KIND_NAMES[r.kind]}{from_}"
    return found | session.database.catalog.comments


def _pg_description(session: Session) -> Made:
    for (class_, oid, attnum), text in comments(session).items():
        yield {"classoid": class_, "objoid": oid, "objsubid": attnum, "description": text}
    yield {
        "classoid": PG_NAMESPACE,
        "objoid": PUBLIC_OID,
        "objsubid": 0,
        "description": "standard public schema",
    }


def _pg_proc(session: Session) -> Made:
    catalog = session.database.catalog
    for f in catalog.functions.values():
        yield {
            "oid": f.oid, "proname": f.name, "pronamespace": namespace_oid(catalog, f.schema),
            "proowner": role_oid(catalog, f.owner), "prolang": 14 if f.language == "sql" else PYTHON,
            "procost": 100.0, "prorows": 0.0, "provariadic": 0, "prosupport": 0,
            "prokind": "a" if f.aggregate else "f",
            "prosecdef": False, "proleakproof": False, "proisstrict": f.strict, "proretset": False,
            "provolatile": f.volatility, "proparallel": "u", "pronargs": len(f.types),
            "pronargdefaults": len(f.defaults), "prorettype": f.result, "proargtypes": list(f.types),
            "proargnames": list(f.parameters) if any(f.parameters) else None, "prosrc": f.body,
            "proargdefaults": ", ".join(str(d) for d in f.defaults) or None, "proacl": _acl(f),
        }  # fmt: skip


def _pg_aggregate(session: Session) -> Made:
    """The functions that a Python aggregate is made of have no rows of their own in pg_proc."""
    nothing = dict.fromkeys(
        (
            "aggtransfn", "aggfinalfn", "aggcombinefn", "aggserialfn", "aggdeserialfn", "aggmtransfn",
            "aggminvtransfn", "aggmfinalfn", "aggsortop", "aggtransspace", "aggmtransspace", "aggmtranstype",
        ),
        0,
    )  # fmt: skip
    for f in session.database.catalog.functions.values():
        if f.aggregate:
            yield nothing | {
                "aggfnoid": f.oid, "aggkind": "n", "aggnumdirectargs": 0, "aggfinalextra": False,
                "aggmfinalextra": False, "aggfinalmodify": "r", "aggmfinalmodify": "r",
                "aggtranstype": INTERNAL, "agginitval": None, "aggminitval": None,
            }  # fmt: skip


def _pg_language(_session: Session) -> Made:
    yield {
        "oid": PYTHON, "lanname": "python", "lanowner": SUPERUSER_OID, "lanispl": True, "lanpltrusted": False,
        "lanplcallfoid": 0, "laninline": 0, "lanvalidator": 0,
    }  # fmt: skip


def _pg_authid(session: Session) -> Made:
    for role in session.database.catalog.roles.values():
        yield {
            "oid": role.oid, "rolname": role.name, "rolsuper": role.superuser,
            "rolinherit": role.inherit,
            "rolcreaterole": role.createrole or role.superuser,
            "rolcreatedb": role.createdb or role.superuser,
            "rolcanlogin": role.login, "rolreplication": role.replication or role.superuser,
            "rolbypassrls": role.bypassrls or role.superuser, "rolconnlimit": role.connection_limit,
            "rolvaliduntil": role.valid_until,
            # never the verifier: whoever may read it could try passwords against it
        }  # fmt: skip


def _pg_auth_members(session: Session) -> Made:
    catalog = session.database.catalog
    for role in catalog.roles.values():
        for membership in role.memberships:
            yield {
                "roleid": role_oid(catalog, membership.role), "member": role.oid,
                "grantor": role_oid(catalog, membership.grantor), "admin_option": membership.admin,
            }  # fmt: skip


def _pg_sequence(session: Session) -> Made:
    for r in session.database.catalog.relations.values():
        if r.kind == "sequence":
            d = definition_of(r)
            yield {
                "seqrelid": r.oid, "seqtypid": facts.types_by_name()[d.type].oid, "seqstart": d.start,
                "seqincrement": d.increment, "seqmax": d.maximum, "seqmin": d.minimum, "seqcache": d.cache,
                "seqcycle": d.cycle,
            }  # fmt: skip


def _pg_database(session: Session) -> Made:
    catalog = session.database.catalog
    for d in catalog.databases.values():
        yield {
            "oid": d.oid, "datname": d.name, "datdba": role_oid(catalog, d.owner), "encoding": 6,
            "datlocprovider": "c", "datistemplate": d.is_template, "datallowconn": d.allow_connections,
            "datconnlimit": d.connection_limit, "datfrozenxid": 0, "datminmxid": 0, "dattablespace": 1663,
            "datcollate": "C.UTF-8", "datctype": "C.UTF-8",
            "datacl": None if d.acl is None else [str(item) for item in d.acl],
        }  # fmt: skip


def _pg_db_role_setting(session: Session) -> Made:
    catalog = session.database.catalog
    for d in catalog.databases.values():
        if d.settings:
            yield {
                "setdatabase": d.oid,
                "setrole": 0,
                "setconfig": [f"{n}={v}" for n, v in d.settings.items()],
            }
    for r in catalog.roles.values():
        if r.settings:
            yield {
                "setdatabase": 0,
                "setrole": r.oid,
                "setconfig": [f"{n}={v}" for n, v in r.settings.items()],
            }


_TABLES: Final[dict[str, Rows]] = {
    "pg_namespace": _pg_namespace,
    "pg_class": _pg_class,
    "pg_attribute": _pg_attribute,
    "pg_attrdef": _pg_attrdef,
    "pg_type": _pg_type,
    "pg_enum": _pg_enum,
    "pg_index": _pg_index,
    "pg_constraint": _pg_constraint,
    "pg_rewrite": _pg_rewrite,
    "pg_depend": _pg_depend,
    "pg_extension": _pg_extension,
    "pg_init_privs": _pg_init_privs,
    "pg_description": _pg_description,
    "pg_proc": _pg_proc,
    "pg_aggregate": _pg_aggregate,
    "pg_language": _pg_language,
    "pg_authid": _pg_authid,
    "pg_auth_members": _pg_auth_members,
    "pg_database": _pg_database,
    "pg_db_role_setting": _pg_db_role_setting,
    "pg_sequence": _pg_sequence,
}
ROWS: Final[dict[tuple[str, str], Rows]] = {("pg_catalog", name): rows for name, rows in _TABLES.items()}
#: those whose rows are the same for all sessions and change with the catalog, or pg_class with rows' numbers
OF_CATALOG: Final = frozenset(_TABLES) - {"pg_authid"}
