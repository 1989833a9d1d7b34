"""to_date and to_timestamp by template, against PostgreSQL."""

from __future__ import annotations

import itertools
import time

import pytest

from laminar.sql.evaluator import Env
from tests.harness.postgres import Postgres
from tests.sql import kernel_probe

FORMS = [
    "YYYY-MM-DD", "YYYYMMDD", "DD Mon YYYY", "YYYY-MM-DD HH24:MI:SS", "Month DD, YYYY", "FMMonth FMDD, YYYY",
    "HH12:MI AM", "HH24MISS", "YYYY-DDD", "YYYY/MM/DD HH:MI:SS.MS PM", "MM/DD/YYYY HH24:MI:SS.US", "YYYY  MM",
    "DD",
    "Dy, DD Mon YYYY HH24:MI:SS", "YYYYxMM", "HHMI pm", "YYYY-MM-DD YYYY", "",
]  # fmt: skip
TEXTS = [
    "2024-02-29", "2023-02-29", "20240229", "2024 2 3", "05 Dec 2000", "5 dec 2000",
    "05Dec2000",
    "2024-02-29 13:14:15", "2024-02-29T13:14:15", "December 05, 2000", "december 5, 2000",
    "Thursday 1", "1:30 pm",
    "13:30 PM", "01:30 AM", "12:00 AM", "131415", "2024-060", "2023-366", "2024/02/29 01:02:03.5 PM",
    "2/3/2024 13:14:15.25", "2024  07", "  2024-07-01", "2024--07--01", "Thu, 29 Feb 2024 13:14:15",
    "abc", "",
    "2024", "99999999999-01-01", "0000-01-01", "2024-13-01", "25:61:61", "2024-01-01 2025", "-5", "+7",
    "2024T07",
]  # fmt: skip


@pytest.mark.parametrize("name", ["to_date", "to_timestamp"])
def test_templates(postgres: Postgres, name: str) -> None:
    pairs = list(itertools.product(TEXTS, FORMS))
    case = kernel_probe.by_name(name, "text", "text")
    with postgres.connect() as session:
        session.execute("set timezone = 'UTC'")
        calls = [f"{name}('{text}', '{form}')" for text, form in pairs]
        theirs = kernel_probe.expected(session, calls)
    ours = kernel_probe.actual(case, pairs, Env(now=time.time_ns() // 1000))
    differences = [
        f"{call}: PostgreSQL {a!r}, here {b!r}"
        for call, a, b in zip(calls, theirs, ours, strict=True)
        if a != b and not str(b).startswith("ERROR 0A000")
    ]
    refused = sum(str(b).startswith("ERROR 0A000") for b in ours)
    assert refused < len(ours) // 20
    assert not differences, f"{len(differences)} of {len(calls)}\n" + "\n".join(differences[:40])
