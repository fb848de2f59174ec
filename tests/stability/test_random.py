"""Random expressions against mpmath, in short; `tests/random_expressions.py` is the long form."""

from __future__ import annotations

from collections import Counter

import pytest
from helpers.random_stable import KINDS, Generator, compare, kinds_of
from helpers.stable import DTYPES

COUNT = 150


def test_every_op_is_in_many_expressions() -> None:
    kinds = Counter(kind for seed in range(1000) for kind in kinds_of(Generator(seed).make()))
    assert min(kinds[kind] for kind in KINDS) >= 1000 * 0.05


@pytest.mark.parametrize("dtype", DTYPES)
def test_almost_all_are_right(dtype: str) -> None:
    outcomes = [compare(seed, dtype) for seed in range(COUNT)]
    cases = [outcome for outcome in outcomes if outcome.claims]
    assert len(cases) > 0.7 * COUNT
    wrong = [seed for seed, outcome in enumerate(outcomes) if outcome.wrong]
    assert len(wrong) <= 0.01 * len(cases), wrong
