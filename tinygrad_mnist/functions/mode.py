"""Theano's modes: what programs make and hand to `function`.

In Theano a mode chooses how much to optimise and what runs the code. Here there is one way to make
a plan, so a mode is its name.
"""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.settings import MODES, NAN_GUARD


class Mode(str):
    """A mode, which is its name.

    linker, optimizer: what Theano would run, and how it would optimise; they have no effect.
    Neither have the tags of optimisations in `including`, `excluding` and `requiring`.
    """

    linker: Any
    optimizer: Any

    def __new__(
        cls, linker: Any = None, optimizer: Any = "default", name: str = "FAST_RUN"
    ) -> Mode:
        mode = super().__new__(cls, name)
        mode.linker, mode.optimizer = linker, optimizer
        return mode

    def including(self, *tags: str) -> Mode:
        """The same mode: there are no optimisations to choose."""
        return self

    excluding = requiring = including

    def clone(self, link_kwargs: Any = None, optimizer: Any = "", **options: Any) -> Mode:
        """A copy of the mode."""
        return Mode(self.linker, optimizer or self.optimizer, str(self))


FAST_RUN = Mode("cvm", "fast_run", "FAST_RUN")
FAST_COMPILE = Mode("vm", "fast_compile", "FAST_COMPILE")
predefined_modes = {str(mode): mode for mode in (FAST_RUN, FAST_COMPILE)}


def get_mode(orig_string: str | None) -> Mode:
    """The mode of that name; None is `config.mode`. Raises GraphTypeError for an unknown name."""
    name: Any = config.setting("mode") if orig_string is None else orig_string
    if isinstance(name, Mode):
        return name
    if name == "Mode":
        return FAST_RUN
    if not isinstance(name, str) or name not in (*MODES, *NAN_GUARD):
        raise GraphTypeError(
            f"there is no mode {name!r}; there are {', '.join((*MODES, *NAN_GUARD))}"
        )
    return predefined_modes.get(name) or Mode(name=name)


def get_default_mode() -> Mode:
    """The mode of functions that are made without one."""
    return get_mode(None)


__all__ = [
    "FAST_COMPILE",
    "FAST_RUN",
    "Mode",
    "get_default_mode",
    "get_mode",
    "predefined_modes",
]
