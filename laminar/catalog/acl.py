"""Access control lists, as PostgreSQL keeps and evaluates them (PostgreSQL, section 5.7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from laminar.errors import DEPENDENT_OBJECTS, INVALID_TEXT_REPRESENTATION, PgError

if TYPE_CHECKING:
    from laminar.catalog.objects import Role

#: privilege -> its letter in an aclitem
LETTERS: Final[dict[str, str]] = {
    "INSERT": "a", "SELECT": "r", "UPDATE": "w", "DELETE": "d", "TRUNCATE": "D", "REFERENCES": "x",
    "TRIGGER": "t", "EXECUTE": "X", "USAGE": "U", "CREATE": "C", "TEMPORARY": "T", "TEMP": "T",
    "CONNECT": "c",
}  # fmt: skip
#: all privileges that there are on a kind of object, in the order in which aclitem writes them
ALL: Final[dict[str, str]] = {
    "table": "arwdDxt", "sequence": "rwU", "schema": "UC", "database": "CTc", "function": "X", "type": "U",
}  # fmt: skip
#: what everybody may do with an object whose ACL is null
PUBLIC_DEFAULT: Final[dict[str, str]] = {"database": "Tc", "function": "X", "type": "U"}
_ORDER: Final = "arwdDxtXUCTcsA"
_NAME: Final = r'((?:"(?:[^"]|"")*")|[^"=/]*)'
_ITEM: Final = re.compile(rf"{_NAME}=((?:[{_ORDER}]\*?)*)/{_NAME}")
_GRANTED: Final = re.compile(r"(\w)(\*?)")
_NAMES: Final = {letter: name for name, letter in LETTERS.items() if name != "TEMP"} | {
    "s": "SET",
    "A": "ALTER SYSTEM",
}
#: the grantee of GRANT … TO PUBLIC
PUBLIC: Final = ""


@dataclass(frozen=True, slots=True)
class AclItem:
    """Letters of privileges that ``grantor`` gave to ``grantee`` ("" is PUBLIC)."""

    grantee: str
    grantor: str
    privileges: str
    #: those of them that it was given WITH GRANT OPTION
    grantable: str = ""

    def __str__(self) -> str:
        letters = "".join(p + ("*" if p in self.grantable else "") for p in self.privileges)
        return f"{_quoted(self.grantee)}={letters}/{_quoted(self.grantor)}"


Acl = tuple[AclItem, ...]


def default_acl(kind: str, owner: str) -> Acl:
    """What a null ACL means: the owner may do everything, PUBLIC little."""
    everybody = PUBLIC_DEFAULT.get(kind, "")
    public = (AclItem(PUBLIC, owner, everybody),) if everybody else ()
    return (*public, AclItem(owner, owner, ALL[kind]))


def inherited(roles: Mapping[str, Role], name: str) -> set[str]:
    """The roles whose privileges a role has: itself and those it is a member of, as far as it inherits."""
    found = {name}
    left = [name]
    while left:
        role = roles.get(left.pop())
        if role is None or not role.inherit:
            continue
        new = {m.role for m in role.memberships} - found
        found |= new
        left += new
    return found


def member_of(roles: Mapping[str, Role], name: str, of: str) -> bool:
    """Whether a role is (directly or not) a member of another, or the same: it may SET ROLE to it."""
    found = {name}
    left = [name]
    while left:
        role = roles.get(left.pop())
        new = {m.role for m in role.memberships} - found if role is not None else set()
        found |= new
        left += new
    return of in found


def privileges(roles: Mapping[str, Role], name: str, kind: str, owner: str, acl: Acl | None) -> str:
    """The letters of what a role may do."""
    role = roles.get(name)
    if role is not None and role.superuser:
        return ALL[kind]
    grantees = {*inherited(roles, name), PUBLIC}
    items = acl if acl is not None else default_acl(kind, owner)
    return _sorted(p for item in items if item.grantee in grantees for p in item.privileges)


def grantable(roles: Mapping[str, Role], name: str, kind: str, owner: str, acl: Acl | None) -> str:
    """The letters of what a role may grant: the owner everything."""
    role = roles.get(name)
    mine = inherited(roles, name)
    if (role is not None and role.superuser) or owner in mine:
        return ALL[kind]
    items = acl if acl is not None else default_acl(kind, owner)
    return _sorted(p for item in items if item.grantee in mine for p in item.grantable)


def grantor_of(
    roles: Mapping[str, Role], name: str, kind: str, owner: str, acl: Acl | None, wanted: str
) -> tuple[str, str]:
    """Who grants when a role says GRANT, and which of the wanted privileges: the owner, or one who has the
    most grant options of them."""
    role = roles.get(name)
    mine = inherited(roles, name)
    if (role is not None and role.superuser) or owner in mine:
        return owner, wanted
    items = acl if acl is not None else default_acl(kind, owner)
    best, found = name, ""
    for candidate in sorted(mine, key=lambda r: r != name):
        held = {p for item in items if item.grantee == candidate for p in item.grantable}
        can = "".join(p for p in wanted if p in held)
        if len(can) > len(found):
            best, found = candidate, can
    return best, found


def grant(acl: Acl, grantee: str, grantor: str, letters: str, option: bool) -> Acl:
    """The list with privileges added."""
    found = next((i for i in acl if i.grantee == grantee and i.grantor == grantor), None)
    old = found or AclItem(grantee, grantor, "")
    new = AclItem(
        grantee,
        grantor,
        _sorted(old.privileges + letters),
        _sorted(old.grantable + letters) if option else old.grantable,
    )
    if found is None:
        return (*acl, new)
    return tuple(new if i is found else i for i in acl)


def revoke(
    acl: Acl, grantee: str, grantor: str, letters: str, owner: str, *, option_only: bool, cascade: bool
) -> Acl:
    """The list with privileges (or only their grant options) taken away.

    Raises:
        PgError: 2BP01 when the grantee has passed them on and ``cascade`` is not given.
    """
    found = next((i for i in acl if i.grantee == grantee and i.grantor == grantor), None)
    if found is None:
        return acl
    kept = found.privileges if option_only else _without(found.privileges, letters)
    options = _without(found.grantable, letters)
    new = AclItem(grantee, grantor, kept, options)
    result = tuple(i for i in (new if i is found else i for i in acl) if i.privileges)
    lost = "".join(p for p in found.grantable if p in letters)
    if grantee == owner or not lost:
        return result
    still = {p for i in result if i.grantee == grantee for p in i.grantable}
    lost = "".join(p for p in lost if p not in still)
    for item in [i for i in result if i.grantor == grantee and set(i.privileges) & set(lost)]:
        if not cascade:
            raise PgError(
                DEPENDENT_OBJECTS, "dependent privileges exist", hint="Use CASCADE to revoke them too."
            )
        result = revoke(result, item.grantee, grantee, lost, owner, option_only=False, cascade=True)
    return result


def without_role(acl: Acl | None, role: str) -> Acl | None:
    """The list without what a role was given or gave."""
    return None if acl is None else tuple(i for i in acl if role not in (i.grantee, i.grantor))


def mentions(acl: Acl | None, role: str) -> bool:
    """Whether a role was given or gave something."""
    return any(role in (i.grantee, i.grantor) for i in acl or ())


def with_owner(acl: Acl | None, old: str, new: str) -> Acl | None:
    """The list after a change of owner: what the old one had and gave, the new one has and gives."""
    if acl is None:
        return None
    merged: Acl = ()
    for item in acl:
        grantee = new if item.grantee == old else item.grantee
        grantor = new if item.grantor == old else item.grantor
        merged = grant(merged, grantee, grantor, item.privileges, False)
        merged = grant(merged, grantee, grantor, item.grantable, True)
    return merged


def _without(letters: str, gone: str) -> str:
    return "".join(p for p in letters if p not in gone)


def exploded(item: str) -> list[tuple[str, str, str, bool]]:
    """An aclitem's text as (grantor, grantee, privilege, grantable), in the letters' order; 22P02."""
    found = _ITEM.fullmatch(item)
    if found is None:
        raise PgError(INVALID_TEXT_REPRESENTATION, f"invalid aclitem: {item}")
    grantee, granted, grantor = _unquoted(found[1]), found[2], _unquoted(found[3])
    return [(grantor, grantee, _NAMES[letter], bool(star)) for letter, star in _GRANTED.findall(granted)]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _sorted(letters: Iterable[str]) -> str:
    return "".join(sorted(set(letters), key=_ORDER.index))


def _quoted(name: str) -> str:
    plain = all(c.isalnum() or c == "_" for c in name)
    return name if plain else '"' + name.replace('"', '""') + '"'
