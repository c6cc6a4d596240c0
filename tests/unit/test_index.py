"""An index holds the same as a set for each key, whatever is added and discarded."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from reconciler.index import Index

STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 2)), min_size=20, max_size=60
)


@given(STEPS)
def test_an_index_agrees_with_sets(steps):
    index: Index[int, int] = Index()
    sets: defaultdict[int, set[int]] = defaultdict(set)
    for is_added, key, value in steps:
        if is_added:
            index.add(key, value)
            sets[key].add(value)
        else:
            index.discard(key, value)
            sets[key].discard(value)
        assert {each: sorted(index[each]) for each in range(3)} == {
            each: sorted(sets[each]) for each in range(3)
        }
        assert set(index) == {each for each, values in sets.items() if values}
        assert len(index) == len(set(index))
