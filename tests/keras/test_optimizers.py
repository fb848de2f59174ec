"""`keras.optimizers`: by name, by object."""

from typing import Any

import pytest

from tinygrad_mnist import optimizers as rules
from tinygrad_mnist.keras import optimizers

NAMES = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam"]


@pytest.mark.parametrize("name", NAMES)
def test_by_name_in_any_case(name: str) -> None:
    cls = getattr(optimizers, name)
    assert cls is getattr(rules, name)
    for spelling in (name, name.lower(), name.upper()):
        assert type(optimizers.get(spelling)) is cls
    assert type(optimizers.get(cls)) is cls
    assert optimizers.get(spelling) is not optimizers.get(spelling)


def test_objects_and_dicts() -> None:
    optimizer = optimizers.SGD(0.5)
    assert optimizers.get(optimizer) is optimizer
    made = optimizers.get({"class_name": "Adam", "config": {"learning_rate": 0.25, "beta_1": 0.5}})
    assert isinstance(made, optimizers.Adam)
    assert (float(made.learning_rate), made.beta_1) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("adamm", "there is no optimizer 'adamm'; it can be sgd, rmsprop, adagrad, adadelta, adam"),
        (None, "None is no optimizer"),
        (0.1, "0.1 is no optimizer"),
        ({"class_name": 3}, "class_name"),
        ({"class_name": "SGD", "config": {"rate": 1}}, "no argument 'rate'"),
    ],
)
def test_unknown(identifier: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        optimizers.get(identifier)


def test_defaults_are_keras() -> None:
    adam = optimizers.Adam()
    assert float(adam.learning_rate) == pytest.approx(0.001)
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.9, 0.999, 1e-7)
    assert float(optimizers.SGD().learning_rate) == pytest.approx(0.01)
    assert optimizers.AdamW().weight_decay == 0.004
