"""Theano's settings without an effect, sections of them, and `change_flags`."""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest

import tinygrad_mnist as theano
from tinygrad_mnist.config import change_flags
from tinygrad_mnist.settings import SETTINGS

CONFIG: Any = theano.config
OTHER = {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: 0.5, str: lambda v: "text"}


def owner(name: str) -> tuple[Any, str]:
    """The object that a setting is an attribute of, and the attribute."""
    *sections, last = name.split(".")
    found = CONFIG
    for section in sections:
        found = getattr(found, section)
    return found, last


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_accepted(name: str) -> None:
    setting = SETTINGS[name]
    holder, attribute = owner(name)
    assert getattr(holder, attribute) == setting.default
    values = setting.allowed or (setting.default, OTHER[setting.type](setting.default))
    for value in values:
        is_unheeded = bool(setting.instead) and value != setting.default
        for change in (partial(setattr, holder, attribute), partial(CONFIG.set_text, name)):
            text = value if change.func is setattr else str(value)
            with pytest.warns(match=re.escape(setting.instead)) if is_unheeded else nullcontext():
                change(text)
            assert getattr(holder, attribute) == value
    if setting.type is not str or setting.allowed:
        with pytest.raises(ValueError, match=f"{name} is 'wrong'; (here it can be|it is a)"):
            setattr(holder, attribute, "wrong")
        with pytest.raises(ValueError, match=f"{name} is"):
            setattr(holder, attribute, [])


def test_a_value_that_asks_for_what_is_not_here() -> None:
    message = r"warn_float64 = 'warn' has no effect here: look at x\.dtype"
    with pytest.warns(UserWarning, match=message) as record:
        CONFIG.warn_float64 = "warn"
    assert record[0].filename == __file__
    assert CONFIG.warn_float64 == "warn"


def test_values_as_programs_write_them() -> None:
    CONFIG.optimizer = None
    assert CONFIG.optimizer == "None"
    CONFIG.openmp = "True"
    CONFIG.allow_gc = 0
    CONFIG.lib.cnmem = 1
    assert (CONFIG.openmp, CONFIG.allow_gc, CONFIG.lib.cnmem) == (True, False, 1.0)
    with pytest.raises(AttributeError, match=r"config has no 'lib\.nothing'; it has floatX"):
        _ = CONFIG.lib.nothing
    with pytest.raises(AttributeError, match=r"config has no 'lib\.nothing'"):
        CONFIG.set_text("lib.nothing", "1")


def test_flags_that_are_changed_for_a_while() -> None:
    before = theano.config.floatX
    other = "float64" if before == "float32" else "float32"
    with change_flags(floatX=other), theano.config.change_flags({"warn.round": True}):
        assert (theano.config.floatX, CONFIG.warn.round) == (other, True)
    assert (theano.config.floatX, CONFIG.warn.round) == (before, False)

    @change_flags([("floatX", other)], on_unused_input="ignore")
    def inside(depth: int) -> list[str]:
        return [theano.config.floatX, *(inside(depth - 1) if depth else [])]

    assert inside(2) == [other] * 3
    assert (theano.config.floatX, theano.config.on_unused_input) == (before, "raise")


def test_flags_that_are_wrong_change_nothing() -> None:
    before = theano.config.floatX
    other = "float64" if before == "float32" else "float32"
    with (
        pytest.raises(ValueError, match="device is 'tpu'"),
        change_flags(floatX=other, device="tpu"),
    ):
        pass
    assert theano.config.floatX == before
    with pytest.raises(AttributeError, match="nothing"), change_flags(nothing=1):
        pass
    with pytest.raises(ZeroDivisionError), change_flags(floatX=other):
        _ = 1 / 0
    assert theano.config.floatX == before
