"""How arrays are cut into batches, pass after pass."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist.keras.training.array_source import ArraySource
from tinygrad_mnist.keras.training.samples import Samples


class Resident:
    """Notes the order in which samples are loaded."""

    order: Any = None

    def load(self, samples: Samples, order: Any) -> None:
        self.order = np.arange(len(samples)) if order is None else order


def passes(source: ArraySource, resident: Resident, n: int, single: bool) -> list[list[Any]]:
    """The samples of each batch, for `n` passes."""
    found = []
    for _ in range(n):
        batches = []
        for run in source.runs(single):
            number, size = run.arguments
            for i, count in zip([number] if single else number, run.sizes, strict=True):
                chosen = resident.order[i * size : (i + 1) * size]
                assert len(chosen) == count
                batches.append(chosen.tolist())
        found.append(batches)
    return found


def in_keras(n: int, size: int, steps: int | None, n_passes: int) -> list[list[Any]]:
    """The samples of each batch as Keras's EpochIterator takes them: it goes on where it stopped,
    and a pass ends early where the data do."""
    every = [list(range(i, min(n, i + size))) for i in range(0, n, size)]
    found, left = [], list(every)
    for _ in range(n_passes):
        if steps is None or not left:
            left = list(every)
        taken = left[: steps or len(left)]
        left = left[len(taken) :]
        found.append(taken)
    return found


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    steps=st.none() | st.integers(1, 12),
    single=st.booleans(),
    equal=st.booleans(),
)
def test_batches_are_keras_own(
    n: int, size: int, steps: int | None, single: bool, equal: bool
) -> None:
    samples, resident = Samples(np.zeros((n, 1)), None, None), Resident()
    step: Any = SimpleNamespace(resident=resident, on_resident=None)
    source = ArraySource(step, samples, size, steps, False, equal)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert passes(source, resident, 4, single) == in_keras(n, size, steps, 4)


@given(n=st.integers(1, 40), size=st.integers(1, 45), shuffle=st.sampled_from([True, "batch"]))
def test_a_shuffled_pass_has_each_sample_once(n: int, size: int, shuffle: bool | str) -> None:
    samples, resident = Samples(np.zeros((n, 1)), None, None), Resident()
    step: Any = SimpleNamespace(resident=resident, on_resident=None)
    for batches in passes(ArraySource(step, samples, size, None, shuffle), resident, 2, False):
        assert sorted(sample for batch in batches for sample in batch) == list(range(n))
        if shuffle == "batch":
            assert [sorted(b) for b in batches] == in_keras(n, size, None, 1)[0]


@pytest.mark.parametrize(
    ("size", "steps", "expected"), [(None, None, 32), (None, 7, math.ceil(100 / 7)), (10, 7, 10)]
)
def test_the_size_of_a_batch(size: int | None, steps: int | None, expected: int) -> None:
    resident = Resident()
    step: Any = SimpleNamespace(resident=resident, on_resident=None)
    source = ArraySource(step, Samples(np.zeros((100, 1)), None, None), size, steps)
    assert len(passes(source, resident, 1, False)[0][0]) == expected


def test_the_end_of_the_data_is_said() -> None:
    resident = Resident()
    step: Any = SimpleNamespace(resident=resident, on_resident=None)
    source = ArraySource(step, Samples(np.zeros((10, 1)), None, None), 3, 3)
    assert len(passes(source, resident, 1, False)[0]) == 3
    with pytest.warns(UserWarning, match="ran out of data"):
        assert len(passes(source, resident, 1, False)[0]) == 1
