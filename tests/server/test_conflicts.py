"""The write guard's memory of keys against a dictionary, small and large transactions mixed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laminar.engine.serving.layout import digests
from laminar.server import conflicts

KEYS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), unique=True, max_size=8)


def arrays(keys: list[tuple[int, str]]) -> list[pa.Array] | None:
    if not keys:
        return None
    return [pa.array([k for k, _ in keys], pa.int32()), pa.array([w for _, w in keys], pa.string())]


@pytest.mark.parametrize("small", [0, 2, 100])
@settings(max_examples=60, deadline=None)
@given(transactions=st.lists(st.tuples(KEYS, KEYS), max_size=6))
def test_the_newest_word_on_a_key_counts(
    small: int, transactions: list[tuple[list[tuple[int, str]], list[tuple[int, str]]]]
) -> None:
    model: dict[tuple[int, str], bool] = {}
    #: the transaction that inserted a key last
    newest: dict[tuple[int, str], int] = {}
    touched = conflicts._Touched()
    everything = [(n, w) for n in range(13) for w in "abc"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conflicts, "_SMALL", small)
        for number, (deleted, inserted) in enumerate(transactions):
            keys, rows = arrays(inserted), None
            if keys is not None:
                rows = pa.RecordBatch.from_arrays(
                    [*keys, pa.array([number] * len(inserted))], ["k", "w", "n"]
                )
            touched.note(arrays(deleted), keys, rows)
            newest |= dict.fromkeys(inserted, number)
            model |= dict.fromkeys(deleted, False)
            model |= dict.fromkeys(inserted, True)
            for asked in (everything, everything[:1], everything[5:7]):
                keys = arrays(asked)
                assert keys is not None
                known, there = touched.look(keys)
                assert list(known) == [key in model for key in asked]
                assert list(np.asarray(there)) == [model.get(key, False) for key in asked]
            for key in everything[:8]:
                keys = arrays([key])
                assert keys is not None
                is_known, row = touched.newest(digests(*keys)[0], lambda keys=keys: keys)
                assert is_known == (key in model)
                assert (row is not None) == model.get(key, False)
                if row is not None:
                    assert tuple(c[0].as_py() for c in row.single()) == (*key, newest[key])
