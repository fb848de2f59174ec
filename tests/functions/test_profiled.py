"""Functions made with `profile=True`."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812


def test_calls_are_recorded(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(0.0)
    function: Any = theano.function([x], T.exp(x), updates=[(w, w + x.sum())], profile=True)
    recorded = function.profile
    assert (recorded.fct_callcount, recorded.fct_call_time, recorded.profiles) == (0, 0, [])
    began = time.perf_counter()
    for n in (2, 3, 2):
        np.testing.assert_allclose(function(np.ones(n)), np.full(n, np.e))
    assert w.get_value() == 7
    assert recorded.fct_callcount == 3
    assert 0 < recorded.fct_call_time < time.perf_counter() - began
    assert [profile.steps for profile in recorded.profiles] == [2, 1]
    assert recorded.profiles[0].plan is not recorded.profiles[1].plan
    text = io.StringIO()
    recorded.summary(text)
    assert "3 calls in" in text.getvalue()
    assert "elementwise" in text.getvalue()


def test_a_profile_can_still_be_measured(device: str) -> None:
    x = T.dvector("x")
    function: Any = theano.function([x], T.exp(x), profile=True)
    measured = function.profile(np.ones(3), repeats=4)
    assert measured.steps == 4
    assert function.profile.fct_callcount == 0


def test_sweeps_and_errors(device: str) -> None:
    i, x = T.lscalar("i"), theano.shared(np.arange(3.0))
    function: Any = theano.function([i], x[i] * 2, profile=True)
    assert function.sweep(range(3)).tolist() == [0, 2, 4]
    assert function.profile.fct_callcount == 1
    with pytest.raises(IndexError):
        function(3)
    assert function(2, output_subset=None) == 4
    copied: Any = function.copy()
    copied(1)
    assert (copied.profile.fct_callcount, function.profile.fct_callcount) == (1, 2)


def test_a_long_training_keeps_its_last_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    x = T.dscalar("x")
    f = theano.function([x], x * 2, profile=True)
    for _ in range(1005):
        f(1)
    assert f.profile.fct_callcount == 1005
    (profile,) = f.profile.profiles
    assert len(profile.timings.begins) == 1000
