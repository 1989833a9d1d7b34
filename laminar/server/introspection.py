"""Functions about catalog objects, by their pg_proc.prosrc (PostgreSQL, section 9.26)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from laminar.catalog import acl
from laminar.catalog.objects import StoredFunction, StoredRelation
from laminar.catalog.system.pg_catalog import NAMESPACES, PG_CLASS, comments, key_name
from laminar.errors import INVALID_PARAMETER_VALUE, UNDEFINED_OBJECT, WRONG_OBJECT_TYPE, PgError
from laminar.server import names, privileges
from laminar.server.viewtext import shown_query
from laminar.sql import facts
from laminar.sql.resolve import oid_name
from laminar.types import REGCLASS

if TYPE_CHECKING:
    from laminar.server.session import Session

Answer = Callable[..., Any]
ANSWERS: Final[dict[str, Answer]] = {}


def answers(*symbols: str) -> Callable[[Answer], Answer]:
    """Registers a function of the session and the arguments under these symbols."""

    def register(function: Answer) -> Answer:
        for symbol in symbols:
            ANSWERS[symbol] = function
        return function

    return register


# --- definitions ----------------------------------------------------------------------


@answers("pg_get_expr", "pg_get_expr_ext")
def _expr(session: Session, text: str, _relation: int, _pretty: bool = False) -> str:
    """Expressions are kept as SQL text; relations are shown as the search path wants them."""
    return _REGCLASS.sub(lambda found: _shown_relation(session, found), text)


_REGCLASS: Final = re.compile(r"'((?:[^']|'')+)'::regclass")


def _shown_relation(session: Session, found: re.Match[str]) -> str:
    try:
        oid = names.parse(session, found[1].replace("''", "'"), REGCLASS)
    except PgError:
        return found[0]
    shown = names.display(session, oid, REGCLASS).replace("'", "''")
    return f"'{shown}'::regclass"


def _view(session: Session, oid: int) -> str | None:
    stored = session.database.catalog.relations.get(oid)
    if stored is None or stored.kind not in ("view", "mview", "stream"):
        return None if oid not in session.database.system.by_oid else "Not a view"
    return f" {shown_query(session, stored)};"


@answers("pg_get_viewdef", "pg_get_viewdef_ext", "pg_get_viewdef_wrap")
def _viewdef(session: Session, oid: int, _pretty: object = None) -> str | None:
    return _view(session, oid)


@answers("pg_get_viewdef_name", "pg_get_viewdef_name_ext")
def _viewdef_name(session: Session, name: str, _pretty: object = None) -> str | None:
    return _view(session, names.parse(session, name, REGCLASS))


@answers("pg_get_ruledef", "pg_get_ruledef_ext", "pg_get_triggerdef", "pg_get_triggerdef_ext")
@answers("pg_get_partkeydef", "pg_get_partition_constraintdef", "pg_get_statisticsobjdef_columns")
def _nothing(_session: Session, *_args: object) -> None:
    """Of things that Laminar does not have."""


def _key(session: Session, part: str, oid: int) -> StoredRelation | None:
    return next((r for r in session.database.catalog.relations.values() if r.parts.get(part) == oid), None)


def _key_columns(relation: StoredRelation) -> list[str]:
    return [names.quoted(relation.columns[attnum - 1].name) for attnum in relation.primary_key]


@answers("pg_get_indexdef", "pg_get_indexdef_ext")
def _indexdef(session: Session, oid: int, column: int = 0, _pretty: bool = False) -> str | None:
    stored = session.database.catalog.relations.get(oid)
    if stored is not None and stored.kind == "index":
        if column:
            return names.quoted(stored.columns[column - 1].name) if column <= len(stored.columns) else ""
        return stored.sql
    table = _key(session, "key index", oid)
    if table is None:
        return None
    listed = _key_columns(table)
    if column:
        return listed[column - 1] if column <= len(listed) else ""
    on = f"{names.quoted(table.schema)}.{names.quoted(table.name)}"
    return f"CREATE UNIQUE INDEX {names.quoted(key_name(table))} ON {on} USING btree ({', '.join(listed)})"


@answers("pg_get_constraintdef", "pg_get_constraintdef_ext")
def _constraintdef(session: Session, oid: int, pretty: bool = False) -> str | None:
    for r in session.database.catalog.relations.values():
        if r.parts.get("key") == oid:
            return f"PRIMARY KEY ({', '.join(_key_columns(r))})"
        for name, text in r.checks:
            if r.parts.get(f"check {name}") == oid:
                return f"CHECK ({text})" if pretty else f"CHECK (({text}))"
        if r.kind == "index" and r.parts.get("constraint") == oid:
            return f"UNIQUE ({', '.join(names.quoted(c.name) for c in r.columns)})"
    for t in session.database.catalog.types.values():
        for name, text, number in t.checks:
            if number == oid:
                valid = " NOT VALID" if name in t.unvalidated else ""
                return (f"CHECK ({text})" if pretty else f"CHECK (({text}))") + valid
    return None


# --- functions ------------------------------------------------------------------------


def _stored_arguments(f: StoredFunction, defaults: bool) -> str:
    first = len(f.types) - len(f.defaults)
    shown = []
    for i, (name, oid) in enumerate(zip(f.parameters, f.types, strict=True)):
        mode = "VARIADIC " if f.variadic and i == len(f.types) - 1 else ""
        text = f"{mode}{names.quoted(name) + ' ' if name else ''}{oid_name(oid)}"
        if defaults and i >= first:
            value = f.defaults[i - first]
            text += f" DEFAULT {'NULL' if value is None else value}"
        shown.append(text)
    return ", ".join(shown)


def _fact_arguments(fact: facts.ProcFact, defaults: bool) -> str:
    modes = fact.all_modes or ("i",) * len(fact.args)
    types = fact.all_types or fact.args
    words = {"i": "", "o": "OUT ", "b": "INOUT ", "v": "VARIADIC "}
    inputs = [i for i, mode in enumerate(modes) if mode in "ibv"]
    with_default = dict(zip(inputs[len(inputs) - len(fact.defaults) :], fact.defaults, strict=True))
    shown = []
    for i, (mode, oid) in enumerate(zip(modes, types, strict=True)):
        if mode == "t" or (mode == "o" and not defaults):
            continue
        name = fact.all_names[i] if i < len(fact.all_names) else ""
        text = f"{words[mode]}{names.quoted(name) + ' ' if name else ''}{oid_name(oid)}"
        if defaults and i in with_default:
            text += f" DEFAULT {with_default[i]}"
        shown.append(text)
    if fact.kind == "a":
        ordered = _ordered(fact.oid)
        if ordered is not None:
            # a variadic parameter stands for the direct arguments and for the ordered ones
            direct, rest = shown[:ordered], shown if "v" in modes else shown[ordered:]
            return f"{', '.join(direct)}{' ' if direct else ''}ORDER BY {', '.join(rest)}"
    return ", ".join(shown)


def _ordered(oid: int) -> int | None:
    """Direct arguments of an ordered-set aggregate; None for others."""
    columns, rows = facts.raw("aggregates")
    kind, direct = columns.index("aggkind"), columns.index("aggnumdirectargs")
    return next((row[direct] for row in rows if row[0] == oid and row[kind] != "n"), None)


def _fact(oid: int) -> facts.ProcFact | None:
    try:
        return facts.function(oid)
    except (KeyError, StopIteration):
        return None


def _arguments(session: Session, oid: int, defaults: bool) -> str | None:
    stored = session.database.catalog.functions.get(oid)
    if stored is not None:
        return _stored_arguments(stored, defaults)
    fact = _fact(oid)
    return None if fact is None else _fact_arguments(fact, defaults)


@answers("pg_get_function_arguments")
def _function_arguments(session: Session, oid: int) -> str | None:
    return _arguments(session, oid, True)


@answers("pg_get_function_identity_arguments")
def _identity_arguments(session: Session, oid: int) -> str | None:
    return _arguments(session, oid, False)


@answers("pg_get_function_result")
def _function_result(session: Session, oid: int) -> str | None:
    stored = session.database.catalog.functions.get(oid)
    if stored is not None:
        return oid_name(stored.result)
    fact = _fact(oid)
    if fact is None or fact.kind == "p":
        return None
    table = [
        f"{names.quoted(name)} {oid_name(type_)}"
        for name, mode, type_ in zip(fact.all_names, fact.all_modes, fact.all_types, strict=False)
        if mode == "t"
    ]
    if table:
        return f"TABLE({', '.join(table)})"
    return f"{'SETOF ' if fact.retset else ''}{oid_name(fact.result)}"


@answers("pg_get_functiondef")
def _functiondef(session: Session, oid: int) -> str | None:
    stored = session.database.catalog.functions.get(oid)
    if stored is None:
        fact = _fact(oid)
        if fact is None:
            return None
        if fact.kind == "a":
            raise _is_aggregate(fact.name)
        source = f" LANGUAGE internal\n{_word(fact.volatility)}{' STRICT' if fact.strict else ''}"
        head = (
            f"CREATE OR REPLACE FUNCTION pg_catalog.{names.quoted(fact.name)}({_fact_arguments(fact, True)})"
        )
        result = f" RETURNS {_function_result(session, oid)}\n"
        return f"{head}\n{result}{source}\nAS $function${fact.symbol}$function$\n"
    if stored.aggregate:
        raise _is_aggregate(stored.name)
    name = f"{names.quoted(stored.schema)}.{names.quoted(stored.name)}"
    attributes = f"{_word(stored.volatility)}{' STRICT' if stored.strict else ''}"
    return (
        f"CREATE OR REPLACE FUNCTION {name}({_stored_arguments(stored, True)})\n"
        f" RETURNS {oid_name(stored.result)}\n LANGUAGE {stored.language}\n"
        + (f"{attributes}\n" if attributes else "")
        + f"AS $function${stored.body}$function$\n"
    )


def _is_aggregate(name: str) -> PgError:
    return PgError(WRONG_OBJECT_TYPE, f'"{name}" is an aggregate function')


def _word(volatility: str) -> str:
    return {"i": " IMMUTABLE", "s": " STABLE", "v": ""}[volatility]


@answers("pg_get_function_arg_default")
def _arg_default(session: Session, oid: int, place: int) -> str | None:
    stored = session.database.catalog.functions.get(oid)
    fact = None if stored is not None else _fact(oid)
    found = stored.defaults if stored is not None else fact.defaults if fact is not None else ()
    count = len(stored.types) if stored is not None else len(fact.args) if fact is not None else 0
    at = place - 1 - (count - len(found))
    return found[at] if 0 <= at < len(found) else None


@answers("pg_get_function_sqlbody")
def _sqlbody(_session: Session, _oid: int) -> None:
    """Bodies are kept as text, none as a parsed query."""


@answers("format_type")
def _format_type(session: Session, oid: int, typmod: int) -> str:
    """For types that are not PostgreSQL's own; typmods are of no meaning to them."""
    return names.named_type(session, oid) or "???"


# --- comments -------------------------------------------------------------------------


def _comment(session: Session, class_: int, oid: int, attnum: int = 0) -> str | None:
    found = comments(session).get((class_, oid, attnum))
    if found is not None or attnum:
        return found
    return _built_in_comments().get((class_, oid))


def _built_in_comments() -> dict[tuple[int, int], str]:
    if not _COMMENTS:
        _COMMENTS.update({(c, o): text for c, o, text in facts.raw("descriptions")[1]})
        _COMMENTS[2615, NAMESPACES["public"]] = "standard public schema"
    return _COMMENTS


_COMMENTS: dict[tuple[int, int], str] = {}


@answers("obj_description(oid,name)", "shobj_description(oid,name)")
def _obj_description(session: Session, oid: int, catalog: str) -> str | None:
    system = session.database.system.by_name.get(("pg_catalog", catalog))
    return None if system is None else _comment(session, system.oid, oid)


@answers("obj_description(oid)")
def _any_description(session: Session, oid: int) -> str | None:
    classes = {class_ for class_, _ in _built_in_comments()} | {key[0] for key in comments(session)}
    return next((text for class_ in classes if (text := _comment(session, class_, oid)) is not None), None)


@answers("col_description(oid,int4)")
def _col_description(session: Session, oid: int, attnum: int) -> str | None:
    return _comment(session, PG_CLASS, oid, attnum) if attnum else None


# --- visibility -----------------------------------------------------------------------


@answers("pg_table_is_visible")
def _table_visible(session: Session, oid: int) -> bool | None:
    database = session.database
    found = database.catalog.relations.get(oid) or database.system.by_oid.get(oid)
    if found is None:
        table = _key(session, "key index", oid)
        return None if table is None else table.schema in session.catalog.search_path
    path = session.catalog.usable_path()
    if found.schema not in path:
        return False
    before = path[: path.index(found.schema)]
    return not any(
        (schema, found.name) in database.system.by_name or database.catalog.find(schema, found.name)
        for schema in before
    )


@answers("pg_type_is_visible")
def _type_visible(session: Session, oid: int) -> bool | None:
    name = names.named_type(session, oid)
    return None if name is None else "." not in name


@answers("pg_function_is_visible")
def _function_visible(session: Session, oid: int) -> bool | None:
    stored = session.database.catalog.functions.get(oid)
    if stored is not None:
        return stored.schema in session.catalog.search_path
    return None if _fact(oid) is None else True


@answers(
    "pg_collation_is_visible", "pg_conversion_is_visible", "pg_opclass_is_visible", "pg_operator_is_visible",
    "pg_opfamily_is_visible", "pg_statistics_obj_is_visible", "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible", "pg_ts_parser_is_visible", "pg_ts_template_is_visible",
)  # fmt: skip
def _system_visible(_session: Session, _oid: int) -> bool:
    """All there are stand in pg_catalog, which every search path has."""
    return True


# --- sizes ----------------------------------------------------------------------------


@answers("pg_relation_size", "pg_relation_size(regclass)", "pg_table_size", "pg_total_relation_size")
def _relation_size(session: Session, oid: int, _fork: str = "main") -> int | None:
    """Bytes of the rows that readers see, as they lie in memory."""
    snapshot = session.database.coordinator.read().snapshots.get(oid)
    if snapshot is None:
        return None if session.catalog.relation_by_oid(oid) is None else 0
    return sum(chunk.batch.nbytes for chunk in snapshot.chunks)


@answers("pg_indexes_size")
def _indexes_size(_session: Session, _oid: int) -> int:
    return 0


@answers("pg_database_size_oid", "pg_database_size_name", "pg_tablespace_size_oid", "pg_tablespace_size_name")
def _database_size(session: Session, _which: object) -> int:
    return sum(_relation_size(session, oid) or 0 for oid in session.database.catalog.relations)


@answers("pg_tablespace_location")
def _tablespace_location(_session: Session, _oid: int) -> str:
    return ""


@answers("pg_relation_filenode", "pg_relation_filepath")
def _no_file(_session: Session, _oid: int) -> None:
    """Relations have no files of their own."""


# --- the rest -------------------------------------------------------------------------

#: PostgreSQL's numbers of encodings
_ENCODINGS: Final = {0: "SQL_ASCII", 6: "UTF8", 8: "LATIN1"}


@answers("PG_encoding_to_char")
def _encoding_name(_session: Session, number: int) -> str:
    return _ENCODINGS.get(number, "")


@answers("PG_char_to_encoding")
def _encoding_number(_session: Session, name: str) -> int:
    wanted = name.upper().replace("-", "").replace("_", "")
    return next((n for n, known in _ENCODINGS.items() if known.replace("_", "") == wanted), -1)


@answers("pg_relation_is_publishable", "pg_is_other_temp_schema", "row_security_active")
def _no(_session: Session, _oid: int) -> bool:
    return False


@answers("pg_relation_is_updatable")
def _updatable(session: Session, oid: int, _columns: bool) -> int:
    """Bits of the commands that it takes: UPDATE 4, INSERT 8, DELETE 16."""
    stored = session.database.catalog.relations.get(oid)
    if stored is None or stored.connector or stored.kind not in ("table", "source"):
        return 0
    return 28 if stored.kind == "table" and not stored.append_only else 8


@answers("pg_sequence_last_value")
def _sequence_value(session: Session, oid: int) -> int | None:
    """The newest value given out, null before the first."""
    stored = session.database.catalog.relations.get(oid)
    if stored is None or stored.kind != "sequence":
        return None
    last, called = session.database.catalog.sequences.last(stored)
    return last if called else None


@answers("pg_describe_object")
def _describe(session: Session, class_: int, oid: int, _sub: int) -> str | None:
    from laminar.catalog.catalog import describe

    stored = session.database.catalog.relations.get(oid)
    return describe(stored, session.search_path) if class_ == PG_CLASS and stored is not None else None


@answers("pg_my_temp_schema")
def _temp_schema(session: Session) -> int:
    name = session.temp_schema
    return 0 if name is None else names.schema_oid(session, name) or 0


@answers("inet_server_addr", "inet_client_addr", "inet_server_port", "inet_client_port")
def _unknown_address(_session: Session) -> None:
    """As for a connection by a Unix socket."""


@answers("pg_postmaster_start_time", "pg_conf_load_time")
def _started(session: Session) -> int:
    return session.database.started


# --- privileges -----------------------------------------------------------------------


def _role(session: Session, who: str | int) -> str:
    """A role by name or oid; "public" is everybody."""
    roles = session.database.catalog.roles
    if isinstance(who, str):
        if who != "public" and who not in roles:
            raise PgError(UNDEFINED_OBJECT, f'role "{who}" does not exist')
        return acl.PUBLIC if who == "public" else who
    found = next((role.name for role in roles.values() if role.oid == who), None)
    if found is None:
        raise PgError(UNDEFINED_OBJECT, f"role with OID {who} does not exist")
    return found


def _has(held: str, grantable: str, wanted: str) -> bool:
    """Whether one of the privileges, listed by commas, is held."""
    for word in wanted.split(","):
        name = " ".join(word.upper().split())
        option = name.endswith(" WITH GRANT OPTION")
        letter = acl.LETTERS.get(name.removesuffix(" WITH GRANT OPTION"))
        if letter is None:
            raise PgError(INVALID_PARAMETER_VALUE, f'unrecognized privilege type: "{word.strip()}"')
        if letter in (grantable if option else held):
            return True
    return False


def _table_letters(session: Session, role: str, oid: int) -> tuple[str, str] | None:
    catalog = session.database.catalog
    stored = catalog.relations.get(oid)
    if stored is None:
        if oid not in session.database.system.by_oid:
            return None
        known = catalog.roles.get(role)
        return ("arwdDxt", "arwdDxt") if known is not None and known.superuser else ("r", "")
    kind = privileges.acl_kind(stored)
    held = privileges.relation_letters(catalog, role, stored)
    return held, acl.grantable(catalog.roles, role, kind, stored.owner, stored.acl)


def _schema_letters(session: Session, role: str, oid: int) -> tuple[str, str] | None:
    name = names.schema_name(session, oid)
    if name is None:
        return None
    letters = privileges.schema_letters(session.database.catalog, role, name)
    return letters, ""


def _database_letters(session: Session, role: str, oid: int) -> tuple[str, str] | None:
    catalog = session.database.catalog
    if oid not in catalog.databases:
        return None
    return privileges.database_letters(catalog, role, catalog.databases[oid]), ""


def _function_letters(session: Session, role: str, oid: int) -> tuple[str, str] | None:
    stored = session.database.catalog.functions.get(oid)
    if stored is None:
        return None if _fact(oid) is None else ("X", "")
    roles = session.database.catalog.roles
    return acl.privileges(roles, role, "function", stored.owner, getattr(stored, "acl", None)), ""


@answers("pg_blocking_pids")
def _blocking_pids(session: Session, process_id: int) -> list[int]:
    return session.database.instance.locks.blocking(process_id)


@answers("aclexplode")
def _acl_exploded(session: Session, items: list[str | None]) -> list[tuple[int, int, str, bool]]:
    """(grantor, grantee or 0 for everybody, privilege, whether it may be granted on)."""
    roles = session.database.catalog.roles
    if any(item is None for item in items):
        raise PgError("22004", "ACL arrays must not contain null values")
    return [
        (roles[grantor].oid, roles[grantee].oid if grantee else 0, privilege, grantable)
        for item in items
        for grantor, grantee, privilege, grantable in acl.exploded(item or "")
    ]


#: acldefault()'s letters
_ACL_KINDS: Final = {
    "r": "table", "s": "sequence", "d": "database", "f": "function", "n": "schema", "T": "type",
}  # fmt: skip


@answers("acldefault_sql")
def _acl_default(session: Session, kind: str, owner: int) -> list[str] | None:
    """What an object's ACL means while it is null; languages and tablespaces are the superuser's."""
    if kind not in _ACL_KINDS:
        return None
    return [str(item) for item in acl.default_acl(_ACL_KINDS[kind], _role(session, owner))]


def _everybody(letters: str) -> Callable[[Session, str, int], tuple[str, str]]:
    return lambda _session, _role, _oid: (letters, "")


def _database_oid(session: Session, name: str) -> int:
    found = session.database.instance.cluster.find(name)
    if found is None:
        raise PgError("3D000", f'database "{name}" does not exist')
    return found.oid


_KINDS: Final[dict[str, tuple[Callable[[Session, str], int], Callable[..., tuple[str, str] | None]]]] = {
    "table": (lambda s, n: names.parse(s, n, 2205), _table_letters),
    "any_column": (lambda s, n: names.parse(s, n, 2205), _table_letters),
    "sequence": (lambda s, n: names.parse(s, n, 2205), _table_letters),
    "schema": (lambda s, n: names.parse(s, n, 4089), _schema_letters),
    "database": (_database_oid, _database_letters),
    "function": (lambda s, n: names.parse(s, n, 2202), _function_letters),
    "type": (lambda s, n: names.parse(s, n, 2206), _everybody("U")),
    "language": (lambda _s, _n: 0, _everybody("U")),
    "tablespace": (lambda _s, _n: 0, _everybody("C")),
}


def _privilege(kind: str, asked: bool, column: bool) -> Answer:
    """has_*_privilege([role,] object, [column,] privilege)."""
    find, letters = _KINDS[kind]

    def answer(session: Session, *args: Any) -> bool | None:
        rest = list(args)
        role = _role(session, rest.pop(0)) if asked else session.role.name
        thing = rest.pop(0)
        oid = find(session, thing) if isinstance(thing, str) else thing
        if column:
            rest.pop(0)
        found = letters(session, role, oid)
        return None if found is None else _has(*found, rest[0])

    return answer


for _kind in _KINDS:
    for _who in ("", "name_", "id_"):
        for _by in ("name", "id"):
            ANSWERS[f"has_{_kind}_privilege_{_who}{_by}"] = _privilege(_kind, bool(_who), False)
for _who in ("", "name_", "id_"):
    for _by in ("name", "id"):
        for _column in ("name", "attnum"):
            ANSWERS[f"has_column_privilege_{_who}{_by}_{_column}"] = _privilege("table", bool(_who), True)


def _has_role(asked: bool) -> Answer:
    """pg_has_role([member,] role, USAGE | MEMBER)."""

    def answer(session: Session, *args: Any) -> bool:
        rest = list(args)
        roles = session.database.catalog.roles
        member = _role(session, rest.pop(0)) if asked else session.role.name
        of, wanted = _role(session, rest[0]), rest[1].strip().upper()
        if member in roles and roles[member].superuser:
            return True
        if wanted == "USAGE":
            return of in acl.inherited(roles, member)
        return acl.member_of(roles, member, of)

    return answer


for _who in ("", "name_", "id_"):
    for _by in ("name", "id"):
        ANSWERS[f"pg_has_role_{_who}{_by}"] = _has_role(bool(_who))
