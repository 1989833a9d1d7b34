"""Names of unnamed output columns (FigureColname)."""

from __future__ import annotations

from laminar.sql import ast


def target_name(node: ast.Expr) -> str:
    """The name that a select list item gets without AS."""
    return _figure(node)[0] or "?column?"


def _figure(node: ast.Expr | None) -> tuple[str, int]:
    """(name, strength): 2 a good name, 1 a type's or construct's, 0 none."""
    if isinstance(node, ast.Name):
        return node.parts[-1], 2
    if isinstance(node, ast.FuncCall):
        return node.names[-1], 2
    if isinstance(node, ast.FieldSelect):
        return (node.name, 2) if node.name != "*" else ("", 0)
    if isinstance(node, ast.Subscript | ast.Collate):
        return _figure(node.arg)
    if isinstance(node, ast.Special):
        return node.kind, 2
    if isinstance(node, ast.SqlValue):
        return node.name, 2
    if isinstance(node, ast.Array):
        return "array", 2
    if isinstance(node, ast.Row):
        return "row", 2
    if isinstance(node, ast.Cast):
        name, strength = _figure(node.arg)
        return (name, strength) if strength > 1 else (node.type.names[-1], 1)
    if isinstance(node, ast.Case):
        name, strength = _figure(node.default)
        return (name, strength) if strength > 1 else ("case", 1)
    if isinstance(node, ast.SubLink):
        return _sublink(node)
    return "", 0


def _sublink(node: ast.SubLink) -> tuple[str, int]:
    if node.kind == "exists":
        return "exists", 2
    if node.kind == "array":
        return "array", 2
    if node.kind == "scalar":
        query = node.query
        while isinstance(query, ast.SetOperation):
            query = query.left
        if isinstance(query, ast.Select) and query.targets:
            target = query.targets[0]
            return (target.name, 2) if target.name else _figure(target.expr)
        if isinstance(query, ast.ValuesQuery):
            return "column1", 2
    return "", 0
