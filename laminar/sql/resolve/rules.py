"""Which conversions exist, which overload wins: PostgreSQL's chapter 10 on type oids alone.

Functions here know nothing of expressions; :mod:`.expressions` builds on them.
Sources: PostgreSQL 15 documentation, "Type Conversion"; pg_cast, pg_type.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

from laminar.errors import DATATYPE_MISMATCH, UNDEFINED_OBJECT, PgError
from laminar.sql import facts
from laminar.sql.resolve.names import oid_name
from laminar.types import ARRAY_OF, RANGES, RECORD, TEXT, UNKNOWN

Context = Literal["implicit", "assignment", "explicit"]
#: how a conversion is made; ``array`` converts element by element, ``row`` field by field
Pathway = Literal["relabel", "function", "io", "array", "row"]

ANY, ANYARRAY, ANYELEMENT, ANYNONARRAY, ANYENUM = 2276, 2277, 2283, 2776, 3500
ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLENONARRAY = 5077, 5078, 5079
ANYRANGE: Final = 3831
#: anymultirange and the anycompatible twins: no such types are stored
_REFUSED: Final = frozenset({4537, 5080, 4538})
_ELEMENTS: Final = frozenset({ANYELEMENT, ANYNONARRAY, ANYENUM})
_COMPATIBLES: Final = frozenset({ANYCOMPATIBLE, ANYCOMPATIBLENONARRAY})
POLYMORPHIC: Final = _ELEMENTS | _COMPATIBLES | {ANYARRAY, ANYCOMPATIBLEARRAY, ANYRANGE} | _REFUSED
_RANK: Final = {"i": 0, "a": 1, "e": 2, "implicit": 0, "assignment": 1, "explicit": 2}
#: int2vector and oidvector are arrays that nothing converts to
_VECTORS: Final = frozenset({22, 30})


def category(oid: int) -> str:
    """pg_type.typcategory ('X' for unknown and undefined types)."""
    fact = facts.types().get(oid)
    return fact.category if fact else "X"


def preferred(oid: int) -> bool:
    fact = facts.types().get(oid)
    return fact is not None and fact.preferred


def element_type(oid: int) -> int:
    """The element type of a true array type, else 0."""
    fact = facts.types().get(oid)
    if fact is None or fact.length != -1:
        return 0
    # record[] is a pseudo-type, in a category of its own
    return fact.element if fact.category == "A" or oid == ARRAY_OF[RECORD] else 0


def array_type(oid: int) -> int:
    fact = facts.types().get(oid)
    return fact.array if fact else 0


@lru_cache(maxsize=4096)
def pathway(source: int, target: int, context: Context) -> tuple[Pathway, int] | None:
    """How to get from one type to another: (way, cast function oid or 0), None if there is none."""
    if source == target:
        return "relabel", 0
    cast = facts.casts().get((source, target))
    if cast is not None:
        if _RANK[context] < _RANK[cast.context]:
            return None
        if cast.method == "f":
            return "function", cast.function
        return ("io", 0) if cast.method == "i" else ("relabel", 0)
    if (source == RECORD and category(target) == "C") or (target == RECORD and category(source) == "C"):
        return "row", 0
    source_element, target_element = element_type(source), element_type(target)
    if source_element and target_element and target not in _VECTORS:
        inner = pathway(source_element, target_element, context)
        return ("array", inner[1]) if inner is not None else None
    if _RANK[context] >= 1 and category(target) == "S":
        return "io", 0
    if _RANK[context] >= 2 and category(source) == "S":
        return "io", 0
    return None


def can_coerce(sources: Sequence[int], targets: Sequence[int], context: Context) -> bool:
    """Whether arguments of these types are accepted for parameters of those types."""
    generic = False
    for source, target in zip(sources, targets, strict=True):
        if target in (source, ANY):
            continue
        if target in POLYMORPHIC:
            generic = True
            continue
        if source == UNKNOWN or pathway(source, target, context) is not None:
            continue
        return False
    return not generic or _generic_consistent(sources, targets)


def _generic_consistent(actual: Sequence[int], declared: Sequence[int]) -> bool:
    """check_generic_type_consistency: can the polymorphic parameters be settled?"""
    element = array = range_ = 0
    compatible: list[int] = []
    for have, want in zip(actual, declared, strict=True):
        if have == UNKNOWN:
            continue
        if want in _REFUSED:
            return False
        if want == ANYRANGE:
            if have not in RANGES or (range_ and range_ != have):
                return False
            range_ = have
            continue
        if want in _ELEMENTS:
            if element and element != have:
                return False
            element = have
        elif want == ANYARRAY:
            if array and array != have:
                return False
            array = have
        elif want in _COMPATIBLES:
            compatible.append(have)
        elif want == ANYCOMPATIBLEARRAY:
            if not element_type(have):
                return False
            compatible.append(element_type(have))
    if array:
        inner = element_type(array)
        if not inner or (element and element != inner):
            return False
        element = inner
    if range_ and element and element != RANGES[range_]:
        return False
    if ANYNONARRAY in declared and element_type(element):
        return False
    if ANYENUM in declared and category(element) != "E":
        return False
    if compatible:
        common = _verified_common(compatible)
        if common is None or (ANYCOMPATIBLENONARRAY in declared and element_type(common)):
            return False
    return True


def _verified_common(oids: Sequence[int]) -> int | None:
    common = common_oid(oids)
    return common if common and all(pathway(oid, common, "implicit") for oid in oids) else None


def settle_generic(
    actual: Sequence[int], declared: Sequence[int], result: int, position: int | None
) -> tuple[list[int], int]:
    """enforce_generic_type_consistency: parameter types and result with polymorphic ones replaced.

    Raises:
        PgError: 42804 when the actual types do not determine them.
    """
    if not any(t in POLYMORPHIC for t in (*declared, result)):
        return list(declared), result
    element = array = range_ = 0
    compatible: list[int] = []
    for have, want in zip(actual, declared, strict=True):
        if have == UNKNOWN:
            continue
        if want == ANYRANGE:
            range_ = _alike(range_, have, "anyrange", position)
            if range_ not in RANGES:
                message = f"argument declared anyrange is not a range type but type {oid_name(have)}"
                raise PgError(DATATYPE_MISMATCH, message, position=position)
        elif want in _ELEMENTS:
            element = _alike(element, have, "anyelement", position)
        elif want == ANYARRAY:
            array = _alike(array, have, "anyarray", position)
        elif want in _COMPATIBLES:
            compatible.append(have)
        elif want == ANYCOMPATIBLEARRAY:
            compatible.append(_element_or_error(have, "anycompatiblearray", position))
    if array:
        element = _alike(element, _element_or_error(array, "anyarray", position), "anyelement", position)
    if range_:
        element = _alike(element, RANGES[range_], "anyelement", position)
    first_family = any(t in _ELEMENTS or t in (ANYARRAY, ANYRANGE) for t in declared)
    if first_family and not element:
        message = "could not determine polymorphic type because input has type unknown"
        raise PgError(DATATYPE_MISMATCH, message, position=position)
    common = _verified_common(compatible) if compatible else TEXT
    if common is None:
        message = "arguments of anycompatible family cannot be cast to a common type"
        raise PgError(DATATYPE_MISMATCH, message, position=position)
    replace = dict.fromkeys(_ELEMENTS, element) | dict.fromkeys(_COMPATIBLES, common)
    if ANYRANGE in declared or result == ANYRANGE:
        if not range_:
            message = "could not determine polymorphic type anyrange because input has type unknown"
            raise PgError(DATATYPE_MISMATCH, message, position=position)
        replace[ANYRANGE] = range_
    for generic, inner in ((ANYARRAY, element), (ANYCOMPATIBLEARRAY, common)):
        if generic in declared or generic == result:
            # int2vector and oidvector stay what they are
            replace[generic] = array if generic == ANYARRAY and array else array_type(inner)
            if not replace[generic]:
                message = f"could not find array type for data type {oid_name(inner)}"
                raise PgError(UNDEFINED_OBJECT, message, position=position)
    return [replace.get(t, t) for t in declared], replace.get(result, result)


def _alike(known: int, have: int, family: str, position: int | None) -> int:
    if known and known != have:
        raise PgError(
            DATATYPE_MISMATCH,
            f'arguments declared "{family}" are not all alike',
            detail=f"{oid_name(known)} versus {oid_name(have)}",
            position=position,
        )
    return have


def _element_or_error(array: int, family: str, position: int | None) -> int:
    element = element_type(array)
    if not element:
        message = f"argument declared {family} is not an array but type {oid_name(array)}"
        raise PgError(DATATYPE_MISMATCH, message, position=position)
    return element


def common_oid(oids: Sequence[int]) -> int | None:
    """select_common_type: the type of UNION columns, CASE results, ARRAY items; None if there is none."""
    chosen = oids[0]
    for oid in oids[1:]:
        if oid in (UNKNOWN, chosen):
            continue
        if chosen == UNKNOWN:
            chosen = oid
        elif category(oid) != category(chosen):
            return None
        elif (
            not preferred(chosen)
            and can_coerce([chosen], [oid], "implicit")
            and not can_coerce([oid], [chosen], "implicit")
        ):
            chosen = oid
    return TEXT if chosen == UNKNOWN else chosen


def select_candidate(actual: Sequence[int], candidates: Sequence[Sequence[int]]) -> int | None:
    """func_select_candidate: the index of the best of several acceptable signatures, None if ambiguous."""
    alive = list(range(len(candidates)))
    alive = _best(alive, candidates, lambda i, t: actual[i] != UNKNOWN and t == actual[i], len(actual))
    if len(alive) == 1:
        return alive[0]
    alive = _best(
        alive,
        candidates,
        lambda i, t: (
            actual[i] != UNKNOWN and (t == actual[i] or (category(t) == category(actual[i]) and preferred(t)))
        ),
        len(actual),
    )
    if len(alive) == 1:
        return alive[0]
    unknown = [i for i, oid in enumerate(actual) if oid == UNKNOWN]
    if not unknown:
        return None
    alive = _by_unknown_category(alive, candidates, unknown)
    if len(alive) == 1:
        return alive[0]
    known = {oid for oid in actual if oid != UNKNOWN}
    if len(known) == 1:
        same = [known.copy().pop()] * len(actual)
        fitting = [c for c in alive if can_coerce(same, candidates[c], "implicit")]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _best(alive: list[int], candidates: Sequence[Sequence[int]], matches: object, count: int) -> list[int]:
    assert callable(matches)
    scores = {c: sum(1 for i in range(count) if matches(i, candidates[c][i])) for c in alive}
    best = max(scores.values())
    return [c for c in alive if scores[c] == best]


def _by_unknown_category(
    alive: list[int], candidates: Sequence[Sequence[int]], unknown: Sequence[int]
) -> list[int]:
    """Keeps the candidates whose parameters at unknown literals are of the category agreed on (or string)."""
    wanted: dict[int, tuple[str, bool]] = {}
    for i in unknown:
        slot, has_preferred, conflict = "", False, False
        for c in alive:
            this, is_preferred = category(candidates[c][i]), preferred(candidates[c][i])
            if not slot:
                slot, has_preferred = this, is_preferred
            elif this == slot:
                has_preferred |= is_preferred
            elif this == "S":
                slot, has_preferred = this, is_preferred
            else:
                conflict = True
        if conflict and slot != "S":
            return alive
        wanted[i] = (slot, has_preferred)
    kept = [
        c
        for c in alive
        if all(
            category(candidates[c][i]) == slot and (preferred(candidates[c][i]) or not has_preferred)
            for i, (slot, has_preferred) in wanted.items()
        )
    ]
    return kept or alive
