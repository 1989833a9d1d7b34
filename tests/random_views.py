"""Draws schemas, queries and changes: joins, aggregates, subqueries, set operations, windows, nested.

Every query has one answer in SQL: no ties that LIMIT or a frame would have to settle, no floats, no
expression that can fail. Values are few, so that keys meet, with nulls and duplicates.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

#: i: integers of any width, n: numeric, s: text, b: boolean, d: date
KINDS = {"i": "int", "n": "numeric(8,2)", "s": "text", "b": "boolean", "d": "date"}
LITERALS = {
    "i": ("0", "1", "2", "3", "-1"),
    "n": ("0.00", "1.50", "2.00", "-3.25"),
    "s": ("'a'", "'b'", "'ab'", "''"),
    "b": ("true", "false"),
    "d": ("date '2026-01-01'", "date '2026-01-02'", "date '2026-02-01'"),
}
Columns = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: a key column ``id`` first if ``keyed``, then the drawn ones."""

    name: str
    columns: tuple[tuple[str, str], ...]
    keyed: bool

    @property
    def ddl(self) -> str:
        parts = ["id int PRIMARY KEY"] if self.keyed else []
        parts += [f"{name} {KINDS[kind]}" for name, kind in self.columns]
        return f"CREATE TABLE {self.name} ({', '.join(parts)})"

    @property
    def all(self) -> Columns:
        return [("id", "i"), *self.columns] if self.keyed else list(self.columns)


def schema(r: random.Random) -> list[Table]:
    """Three tables that share some column kinds."""
    tables = []
    for name in ("x", "y", "z"):
        kinds = ["i", *r.choices("iinssbd", k=r.randint(2, 4))]
        columns = tuple((f"c{i}", kind) for i, kind in enumerate(kinds))
        tables.append(Table(name, columns, r.random() < 0.6))
    return tables


class Changes:
    """Draws statements that change the tables."""

    def __init__(self, r: random.Random, tables: list[Table]) -> None:
        self.r, self.tables, self.next_id = r, tables, 0

    def value(self, kind: str) -> str:
        return "NULL" if self.r.random() < 0.2 else self.r.choice(LITERALS[kind])

    def row(self, table: Table) -> str:
        values = [self.value(kind) for _, kind in table.columns]
        if table.keyed:
            self.next_id += 1
            values.insert(0, str(self.next_id))
        return f"({', '.join(values)})"

    def statement(self) -> str:
        r, table = self.r, self.r.choice(self.tables)
        column, kind = r.choice(table.columns)
        where = f"{column} IS NULL" if r.random() < 0.3 else f"{column} = {r.choice(LITERALS[kind])}"
        match r.random():
            case x if x < 0.55:
                rows = ", ".join(self.row(table) for _ in range(r.randint(1, 8)))
                return f"INSERT INTO {table.name} VALUES {rows}"
            case x if x < 0.8:
                target, to = r.choice(table.columns)
                return f"UPDATE {table.name} SET {target} = {self.value(to)} WHERE {where}"
            case x if x < 0.97:
                return f"DELETE FROM {table.name} WHERE {where}"
            case _:
                return f"DELETE FROM {table.name}"


class Queries:
    """Draws SELECTs over the tables."""

    def __init__(self, r: random.Random, tables: list[Table]) -> None:
        self.r, self.tables = r, tables
        self._names = 0

    def name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    # --- expressions ------------------------------------------------------------------

    def column(self, columns: Columns, kind: str) -> str | None:
        found = [name for name, k in columns if k == kind]
        return self.r.choice(found) if found else None

    def scalar(self, columns: Columns, kind: str, depth: int = 2) -> str:
        r = self.r
        column = self.column(columns, kind)
        if column is None or (depth and r.random() < 0.08):
            return r.choice(LITERALS[kind])
        if not depth or r.random() < 0.5:
            return column
        inner = self.scalar(columns, kind, depth - 1)
        choices = [f"coalesce({inner}, {r.choice(LITERALS[kind])})"]
        choices.append(f"CASE WHEN {self.condition(columns, 0)} THEN {inner} ELSE {column} END")
        match kind:
            case "i":
                choices += [f"({inner} + 1)", f"({inner} % 3)", f"abs({inner})", f"(-({inner}))"]
            case "n":
                choices += [f"({inner} + 0.5)", f"round({inner}, 1)", f"(-({inner}))"]
            case "s":
                choices += [f"upper({inner})", f"({inner} || 'x')", f"left({inner}, 1)"]
            case "b":
                choices += [f"(NOT {inner})", f"({inner} IS NULL)"]
            case _:
                choices += [f"({inner} + 1)"]
        return r.choice(choices)

    def condition(self, columns: Columns, depth: int) -> str:
        """A predicate; with subqueries when ``depth`` is not 0."""
        r = self.r
        kind = r.choice([k for _, k in columns])
        a = self.scalar(columns, kind, 1)
        match r.random():
            case x if x < 0.4:
                other = self.scalar(columns, kind, 1) if r.random() < 0.4 else r.choice(LITERALS[kind])
                return f"{a} {r.choice(['=', '<>', '<', '>=', '<=', 'IS NOT DISTINCT FROM'])} {other}"
            case x if x < 0.5:
                return f"{a} IS {r.choice(['', 'NOT '])}NULL"
            case x if x < 0.6:
                return f"{a} IN ({', '.join(r.sample(LITERALS[kind], 2))})"
            case x if x < 0.75 or not depth:
                op = r.choice(["AND", "OR"])
                return (
                    f"({self.condition(columns, 0)} {op} {self.condition(columns, 0)})"
                    if depth
                    else f"{a} = {a}"
                )
            case _:
                return self.subquery(columns, kind, a)

    def subquery(self, columns: Columns, kind: str, a: str) -> str:
        r, table = self.r, self.r.choice(self.tables)
        alias = self.name("q")
        own = [(f"{alias}.{name}", k) for name, k in table.all]
        links = [f"{mine} = {theirs}" for mine, k in own for theirs, j in columns if k == j and k != "b"]
        where = [r.choice(links)] if links and r.random() < 0.7 else []
        if r.random() < 0.4:
            where.append(self.condition(own, 0))
        tail = f"FROM {table.name} {alias}" + (f" WHERE {' AND '.join(where)}" if where else "")
        column = self.column(own, kind)
        options = [
            f"{r.choice(['', 'NOT '])}EXISTS (SELECT 1 {tail})",
            f"(SELECT count(*) {tail}) > {r.randint(0, 2)}",
        ]
        if column is not None:
            options.append(f"{a} {r.choice(['IN', 'NOT IN', '<> ALL', '= ANY'])} (SELECT {column} {tail})")
            if kind in "ind":
                options.append(f"{a} >= (SELECT {r.choice(['min', 'max'])}({column}) {tail})")
                options.append(
                    f"{a} {r.choice(['>', '<='])} {r.choice(['ANY', 'ALL'])} (SELECT {column} {tail})"
                )
        return r.choice(options)

    # --- relations --------------------------------------------------------------------

    def item(self, depth: int) -> tuple[str, Columns]:
        """A FROM item under a new alias, and its columns."""
        alias = self.name("r")
        if depth and self.r.random() < 0.4:
            query, kinds = self.select(depth - 1)
            return f"({query}) {alias}", [(f"{alias}.{name}", kind) for name, kind in kinds]
        table = self.r.choice(self.tables)
        return f"{table.name} {alias}", [(f"{alias}.{name}", kind) for name, kind in table.all]

    def source(self, depth: int) -> tuple[str, Columns]:
        text, columns = self.item(depth)
        for _ in range(self.r.choice([0, 0, 1, 1, 2])):
            text, columns = self.joined(text, columns, depth)
        if self.r.random() < 0.12:
            return self.lateral(text, columns)
        return text, columns

    def joined(self, text: str, columns: Columns, depth: int) -> tuple[str, Columns]:
        r = self.r
        other, added = self.item(depth)
        pairs = [(a, b) for a, k in columns for b, j in added if k == j and k != "b"]
        if not pairs:
            return f"{text} CROSS JOIN {other}", columns + added
        on = ["{} = {}".format(*r.choice(pairs))]
        kind = r.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        if r.random() < 0.25:
            on.append(self.condition(columns + added, 0))
        return f"{text} {kind} {other} ON {' AND '.join(on)}", columns + added

    def lateral(self, text: str, columns: Columns) -> tuple[str, Columns]:
        alias, number = self.name("l"), self.column(columns, "i") or "2"
        if self.r.random() < 0.5:
            return f"{text}, generate_series(1, ({number} % 4)::int) AS {alias} (v)", [
                *columns,
                (f"{alias}.v", "i"),
            ]
        array = f"ARRAY[{number}, {self.scalar(columns, 'i', 1)}]"
        added = [(f"{alias}.v", "i"), (f"{alias}.o", "i")]
        return f"{text}, unnest({array}) WITH ORDINALITY AS {alias} (v, o)", columns + added

    # --- queries ----------------------------------------------------------------------

    def select(self, depth: int) -> tuple[str, Columns]:
        """A query and its output columns o0, o1, …"""
        forms = [self.plain, self.plain, self.grouped, self.grouped, self.windowed, self.top]
        if depth:
            forms += [self.combined, self.combined]
        return self.r.choice(forms)(depth)

    def output(self, exprs: list[tuple[str, str]]) -> tuple[str, Columns]:
        named = [f"{expr} AS o{i}" for i, (expr, _) in enumerate(exprs)]
        return ", ".join(named), [(f"o{i}", kind) for i, (_, kind) in enumerate(exprs)]

    def where(self, columns: Columns, depth: int) -> str:
        count = self.r.choice([0, 1, 1, 2])
        return f" WHERE {' AND '.join(self.condition(columns, 1) for _ in range(count))}" if count else ""

    def some(self, columns: Columns) -> list[tuple[str, str]]:
        kinds = [k for _, k in self.r.sample(columns, min(len(columns), self.r.randint(1, 3)))]
        return [(self.scalar(columns, k), k) for k in kinds]

    def plain(self, depth: int) -> tuple[str, Columns]:
        text, columns = self.source(depth)
        listed, out = self.output(self.some(columns))
        distinct = self.r.choice(["", "", "DISTINCT "])
        return f"SELECT {distinct}{listed} FROM {text}{self.where(columns, depth)}", out

    def aggregate(self, columns: Columns) -> tuple[str, str]:
        r = self.r
        kind = r.choice([k for _, k in columns])
        a = self.scalar(columns, kind, 1)
        options = [("count(*)", "i"), (f"count({a})", "i"), (f"count(DISTINCT {a})", "i")]
        if kind in "in":
            options += [(f"sum({a})", kind), (f"avg({a})", "n"), (f"min({a})", kind), (f"var_samp({a})", "n")]
            options += [(f"sum(DISTINCT {a})", kind), (f"stddev_pop({a})", "n")]
        elif kind == "b":
            options += [(f"bool_and({a})", "b"), (f"bool_or({a})", "b")]
        else:
            options += [(f"max({a})", kind), (f"min({a})", kind)]
        if kind == "s":
            options.append((f"string_agg({a}, ',' ORDER BY {a})", "s"))
        text, result = r.choice(options)
        return (f"{text} FILTER (WHERE {self.condition(columns, 0)})" if r.random() < 0.2 else text), result

    def grouped(self, depth: int) -> tuple[str, Columns]:
        r = self.r
        text, columns = self.source(depth)
        keys = r.sample(columns, min(len(columns), r.choice([0, 1, 1, 2])))
        calls = [self.aggregate(columns) for _ in range(r.randint(1, 3))]
        names = [name for name, _ in keys]
        by = ""
        if keys:
            forms = [", ".join(names)] * 4 + [f"ROLLUP ({', '.join(names)})", f"CUBE ({', '.join(names)})"]
            by = f" GROUP BY {r.choice(forms)}"
        having = f" HAVING count(*) > {r.randint(0, 2)}" if r.random() < 0.3 else ""
        listed, out = self.output([*keys, *calls])
        return f"SELECT {listed} FROM {text}{self.where(columns, depth)}{by}{having}", out

    def windowed(self, depth: int) -> tuple[str, Columns]:
        r = self.r
        text, columns = self.source(depth)
        everything = ", ".join(name for name, _ in r.sample(columns, len(columns)))
        part = f"PARTITION BY {r.choice(columns)[0]} " if r.random() < 0.8 else ""
        number = self.column(columns, "i") or "1"
        call = r.choice(
            [
                f"row_number() OVER ({part}ORDER BY {everything})",
                f"rank() OVER ({part}ORDER BY {r.choice(columns)[0]})",
                f"dense_rank() OVER ({part}ORDER BY {r.choice(columns)[0]} DESC)",
                f"sum({number}) OVER ({part}ORDER BY {r.choice(columns)[0]})",
                f"count(*) OVER ({part.strip()})",
                f"lag({number}) OVER ({part}ORDER BY {everything})",
                f"max({number}) OVER ({part}ORDER BY {everything} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            ]
        )
        listed, out = self.output([*r.sample(columns, min(2, len(columns))), (call, "i")])
        query = f"SELECT {listed} FROM {text}{self.where(columns, depth)}"
        if r.random() < 0.4:
            return f"SELECT * FROM ({query}) {self.name('w')} WHERE {out[-1][0]} <= 2", out
        return query, out

    def top(self, depth: int) -> tuple[str, Columns]:
        """The first rows by all columns, so that only equal rows tie."""
        query, out = self.plain(0)
        order = ", ".join(f"{name}{self.r.choice(['', ' DESC', ' NULLS FIRST'])}" for name, _ in out)
        offset = f" OFFSET {self.r.randint(1, 2)}" if self.r.random() < 0.3 else ""
        return (
            f"SELECT * FROM ({query}) {self.name('w')} ORDER BY {order} LIMIT {self.r.randint(1, 5)}{offset}",
            out,
        )

    def combined(self, depth: int) -> tuple[str, Columns]:
        left, right = self.select(depth - 1), self.select(depth - 1)
        kinds = [kind for _, kind in left[1]]
        picked = [self.column(right[1], kind) or "NULL" for kind in kinds]
        alias = self.name("w")
        listed, _ = self.output([(p, k) for p, k in zip(picked, kinds, strict=True)])
        op = self.r.choice(["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"])
        return f"({left[0]}) {op} (SELECT {listed} FROM ({right[0]}) {alias})", left[1]
