"""jsonb_path_exists, jsonb_path_match, jsonb_path_query and the operators @? and @@."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from laminar.sql import jsonpath
from laminar.sql.kernels.jsontext import dump, load
from laminar.sql.kernels.registry import Kernel, Run, Signature, add
from laminar.sql.kernels.rowwise import apply, python


@python("jsonb_path_exists", "jsonb_path_exists_tz")
def _exists(value: str, path: str, variables: str, silent: bool) -> bool | None:
    return jsonpath.exists(jsonpath.parse(path), load(value), load(variables), silent)


@python("jsonb_path_match", "jsonb_path_match_tz")
def _match(value: str, path: str, variables: str, silent: bool) -> bool | None:
    return jsonpath.match(jsonpath.parse(path), load(value), load(variables), silent)


@python("jsonb_path_exists_opr")
def _exists_operator(value: str, path: str) -> bool | None:
    return jsonpath.exists(jsonpath.parse(path), load(value), {}, True)


@python("jsonb_path_match_opr")
def _match_operator(value: str, path: str) -> bool | None:
    return jsonpath.match(jsonpath.parse(path), load(value), {}, True)


def _found(value: str, path: str, variables: str, silent: bool) -> list[Any]:
    return jsonpath.query(jsonpath.parse(path), load(value), load(variables), silent) or []


@python("jsonb_path_query_array", "jsonb_path_query_array_tz")
def _array(value: str, path: str, variables: str, silent: bool) -> str:
    return dump(_found(value, path, variables, silent))


@python("jsonb_path_query_first", "jsonb_path_query_first_tz")
def _first(value: str, path: str, variables: str, silent: bool) -> str | None:
    found = _found(value, path, variables, silent)
    return dump(found[0]) if found else None


def _texts(value: str, path: str, variables: str, silent: bool) -> list[str]:
    return [dump(item) for item in _found(value, path, variables, silent)]


def _query(_signature: Signature) -> Run:
    return lambda _env, *columns: apply(_texts, columns, pa.list_(pa.string()))


for _symbol in ("jsonb_path_query", "jsonb_path_query_tz"):
    add(_symbol, Kernel(_query, sets=True))
