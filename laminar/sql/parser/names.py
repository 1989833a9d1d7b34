"""Changing names in stored text."""

from __future__ import annotations

from laminar.sql.lexer import tokenize


def rename_column(text: str, old: str, new: str) -> str:
    """An expression over one relation's columns with a column called differently.

    Every word that is the name and is not called as a function counts, so that nothing is missed.
    """
    quoted = '"' + new.replace('"', '""') + '"'
    plain = new.replace("_", "a").isalnum() and new == new.lower() and not new[:1].isdigit()
    tokens, _ = tokenize(text)
    result, at = [], 0
    for i, token in enumerate(tokens):
        called = i + 1 < len(tokens) and tokens[i + 1].kind == "("
        if token.value == old and token.kind in ("IDENT", old) and not called:
            result += [text[at : token.start], new if plain else quoted]
            at = token.end
    return "".join(result) + text[at:]
