"""Theano's modes, which are names here."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.functions.mode import (
    FAST_COMPILE,
    FAST_RUN,
    Mode,
    get_default_mode,
    get_mode,
    predefined_modes,
)

MODES = [
    None,
    "FAST_RUN",
    FAST_RUN,
    FAST_COMPILE,
    Mode(),
    Mode(linker="py", optimizer="fast_compile"),
    Mode("py").including("fusion").excluding("inplace", "gpu").requiring("cudnn"),
    FAST_RUN.clone(optimizer="None"),
    get_mode("FAST_COMPILE").excluding("fusion"),
]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_functions_take_modes(mode: Any) -> None:
    x = T.dscalar("x")
    assert theano.function([x], x * 2, mode=mode)(3) == 6


def test_names_of_modes() -> None:
    config: Any = theano.config
    assert get_default_mode() is get_mode(None) is get_mode("FAST_RUN") is FAST_RUN
    assert get_mode(FAST_COMPILE) is predefined_modes["FAST_COMPILE"] is FAST_COMPILE
    assert str(get_mode("Mode")) == "FAST_RUN"
    config.mode = "FAST_COMPILE"
    assert get_default_mode() is FAST_COMPILE
    for wrong in ("no mode", 3):
        with pytest.raises(GraphTypeError, match=f"there is no mode {wrong!r}; there are FAST_RUN"):
            get_mode(wrong)  # type: ignore[arg-type]
    assert FAST_RUN.clone(optimizer="None").optimizer == "None"
