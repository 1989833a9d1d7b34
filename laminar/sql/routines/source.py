"""Python source of a user's function to a callable."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from laminar.errors import SYNTAX_ERROR, PgError
from laminar.sql.plan import Routine

#: what a user's code may raise that is the function's failure rather than the process's end
FAILURES = (Exception, SystemExit, GeneratorExit)


def file_name(name: str) -> str:
    """What tracebacks call a function's source."""
    return f"<function {name}>"


@lru_cache(maxsize=1024)
def compile_routine(name: str, routine: Routine) -> Callable[..., Any]:
    """The function that ``routine.body`` defines.

    The body is either the inside of a function, its parameters being names there, or a module that
    defines a function of the routine's name.

    Raises:
        PgError: 42601 for what is not Python, with the line; 38000 when the module's code raises.
    """

    def shaped(tree: ast.Module) -> ast.Module:
        if any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body):
            return tree
        return _as_function(name, routine.parameters, tree)

    defined: Callable[..., Any] = run_module(name, routine.body, shaped)[name]
    return defined


def run_module(
    name: str, body: str, shaped: Callable[[ast.Module], ast.Module] = lambda tree: tree
) -> dict[str, Any]:
    """The names that a routine's source defines, ``shaped`` before it is compiled.

    Raises:
        PgError: 42601 for what is not Python, with the line; 38000 when the module's code raises.
    """
    try:
        tree = shaped(ast.parse(textwrap.dedent(body), file_name(name)))
        code = compile(tree, file_name(name), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise PgError(SYNTAX_ERROR, f"function {name}{where}: {getattr(error, 'msg', error)}") from None
    namespace: dict[str, Any] = {"__name__": name}
    try:
        exec(code, namespace)  # superusers may run what they like
    except Exception as error:
        raise failure(name, error) from None
    return namespace


def _as_function(name: str, parameters: tuple[str, ...], tree: ast.Module) -> ast.Module:
    """``def name(parameters):`` around the module's statements, which keep their lines."""
    arguments = ast.arguments([], [ast.arg(p) for p in parameters], None, [], [], None, [])
    body: list[ast.stmt] = tree.body or [ast.Pass()]
    function = ast.FunctionDef(name, arguments, body, [], None, None)
    return ast.fix_missing_locations(ast.Module([function], []))


def failure(name: str, error: BaseException) -> PgError:
    """An exception of the user's code as SQL sees it: 38000 with the innermost line of the function."""
    if isinstance(error, PgError):
        return error
    line = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file_name(name):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    where = f", line {line}" if line is not None else ""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return PgError("38000", f"function {name}{where}: {said}")
