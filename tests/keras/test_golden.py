"""What Keras computes, kept in golden/rules.json, for the cases of tests/helpers/keras_cases.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import keras_cases as cases

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.keras import initializers, losses, metrics, optimizers, regularizers

GOLDEN = json.loads((Path(__file__).parent / "golden" / "rules.json").read_text())


def numbered(names: list[Any]) -> list[Any]:
    return [pytest.param(i, id=f"{i}-{name[0]}") for i, name in enumerate(names)]


@pytest.fixture(autouse=True)
def _float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theano.config, "floatX", "float64")


@pytest.mark.parametrize("i", numbered(cases.OPTIMIZERS))
def test_parameters_after_steps(i: int) -> None:
    name, options = cases.OPTIMIZERS[i]
    params = [theano.shared(value, f"w{i}") for i, value in enumerate(cases.parameters())]
    g = [T.dmatrix("g0"), T.dvector("g1")]
    train = theano.function(g, updates=getattr(optimizers, name)(**options).updates(g, params))
    expected = iter(GOLDEN["optimizers"][i])
    for step, gradients in enumerate(cases.gradients(), 1):
        train(*gradients)
        if step in cases.KEPT:
            for w, value in zip(params, next(expected), strict=True):
                np.testing.assert_allclose(w.get_value(), value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("i", numbered(cases.SCHEDULES))
def test_rates_of_steps(i: int) -> None:
    name, options = cases.SCHEDULES[i]
    schedule = getattr(optimizers.schedules, name)(**options)
    step = T.lscalar("step")
    rate = theano.function([step], schedule(step))
    for at, expected in zip(cases.SCHEDULE_STEPS, GOLDEN["schedules"][i], strict=True):
        assert schedule(at) == pytest.approx(expected, rel=2e-6, abs=1e-7)  # Keras's are of float32
        assert rate(at) == pytest.approx(schedule(at), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("i", numbered(cases.LOSSES))
def test_losses(i: int) -> None:
    name, options, true, pred = cases.LOSSES[i]
    data = cases.predictions()
    expected = iter(GOLDEN["losses"][i])
    exact = "Categorical" in name  # Keras takes the others' means over the last axis in float32
    for reduction in cases.REDUCTIONS:
        loss = getattr(losses, name)(**options, reduction=reduction)
        for weights in (None, data["weights"]):
            value = next(expected)
            for y_pred in forms(pred):
                found = loss(data[true], y_pred, weights)
                np.testing.assert_allclose(found.eval(), value, rtol=1e-12 if exact else 1e-7)


def forms(name: str) -> list[Any]:
    """Predictions as an array and, of a softmax or a sigmoid, as an expression."""
    data = cases.predictions()
    made = {"softmax": T.nnet.softmax, "sigmoid": T.nnet.sigmoid}
    return [data[name], *([made[name](data["logits"])] if name in made else [])]


@pytest.mark.parametrize("i", numbered(cases.METRICS))
def test_metrics(i: int) -> None:
    name, options, true, pred = cases.METRICS[i]
    data = cases.predictions()
    metric = getattr(metrics, name)(**options)
    for weights, expected in zip((None, data["weights"]), GOLDEN["metrics"][i], strict=True):
        found = metric(data[true], data[pred], weights)
        assert float(found.eval()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", cases.SCALED)
def test_scales_of_initializers(name: str) -> None:
    """The largest value of a uniform distribution, the deviation of a truncated normal one."""
    for shape, expected in zip(cases.SHAPES, GOLDEN["scales"][name], strict=True):
        values = getattr(initializers, name)(seed=3)(shape)
        assert values.dtype == "float64"
        assert values.shape == shape
        if "Normal" in name:
            assert np.abs(values).max() <= 2 * expected
            if values.size > 1000:
                assert values.std() == pytest.approx(0.87962566 * expected, rel=0.03)
        elif values.size > 1000:
            assert np.abs(values).max() == pytest.approx(expected, rel=0.01)
        assert np.abs(values).max() <= 2 * expected


@pytest.mark.parametrize("i", numbered(cases.REGULARIZERS))
def test_regularizers(i: int) -> None:
    name, options = cases.REGULARIZERS[i]
    penalty = getattr(regularizers, name)(**options)(theano.shared(cases.parameters()[0]))
    assert float(penalty.eval()) == pytest.approx(GOLDEN["regularizers"][i], rel=1e-7)
