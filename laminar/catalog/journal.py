"""What a transaction block has changed in the catalog: in memory already, durable all at once at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from laminar.catalog.catalog import Catalog

#: argument of CatalogStore.write -> (what it is about, what gives its items' keys)
_KINDS: Final = {
    "put": "relations", "remove": "relations", "put_functions": "functions", "drop_functions": "functions",
    "put_types": "types", "drop_types": "types",
    "put_schemas": "schemas", "drop_schemas": "schemas", "put_roles": "roles", "drop_roles": "roles",
    "put_notes": "notes", "drop_notes": "notes", "put_databases": "databases",
}  # fmt: skip


def _key(kind: str, item: Any) -> int | str:
    """Of an object or of the key that a removal names."""
    if isinstance(item, int | str):
        return item
    if kind == "notes":
        name: str = item[0]
        return name
    key: int | str = item.oid if kind in ("relations", "functions", "types", "databases") else item.name
    return key


class Journal:
    """Values before each change, the newest last."""

    def __init__(self) -> None:
        self._before: list[tuple[str, int | str, Any]] = []

    def __len__(self) -> int:
        return len(self._before)

    def note(self, catalog: Catalog, changes: Mapping[str, Iterable[Any]]) -> None:
        """The catalog is about to change so (arguments of CatalogStore.write)."""
        for name, items in changes.items():
            kind = _KINDS[name]
            for item in items:
                key = _key(kind, item)
                self._before.append((kind, key, catalog.value(kind, key)))

    def undo_to(self, catalog: Catalog, mark: int) -> set[int]:
        """Go back to when there were ``mark`` entries; returns the oids of relations that changed."""
        undone = self._before[mark:]
        del self._before[mark:]
        for kind, key, value in reversed(undone):
            catalog.set_value(kind, key, value)
        return {key for kind, key, _ in undone if kind == "relations" and isinstance(key, int)}

    def net(self, catalog: Catalog) -> dict[str, tuple[Any, ...]]:
        """The changes as arguments of CatalogStore.write."""
        put = {"relations": "put", "notes": "put_notes"}
        drop = {"relations": "remove", "notes": "drop_notes"}
        found: dict[str, list[Any]] = {}
        for kind, key in dict.fromkeys((kind, key) for kind, key, _ in self._before):
            value = catalog.value(kind, key)
            if value is None:
                found.setdefault(drop.get(kind, f"drop_{kind}"), []).append(key)
            else:
                item = (key, value) if kind == "notes" else value
                found.setdefault(put.get(kind, f"put_{kind}"), []).append(item)
        return {name: tuple(items) for name, items in found.items()}
