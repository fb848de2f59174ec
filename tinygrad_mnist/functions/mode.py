"""Theano's modes: objects that programs make and hand to `function`.

In Theano a mode chooses how much to optimise and what runs the code. Here there is one way to make
a plan, so modes are names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import GraphTypeError

MODES = ("FAST_RUN", "FAST_COMPILE")


@dataclass(frozen=True)
class Mode:
    """A mode. linker, optimizer: what Theano would run and how it would optimise; they have no
    effect. Neither have the tags of optimisations in `including`, `excluding` and `requiring`."""

    linker: Any = None
    optimizer: Any = "default"
    name: str = "FAST_RUN"

    def including(self, *tags: str) -> Mode:
        """The same mode: there are no optimisations to choose."""
        return self

    excluding = requiring = including

    def clone(self, link_kwargs: Any = None, optimizer: Any = "", **options: Any) -> Mode:
        """A copy of the mode."""
        return replace(self, optimizer=optimizer or self.optimizer)

    def __str__(self) -> str:
        return self.name


FAST_RUN = Mode("cvm", "fast_run", "FAST_RUN")
FAST_COMPILE = Mode("vm", "fast_compile", "FAST_COMPILE")
predefined_modes = {mode.name: mode for mode in (FAST_RUN, FAST_COMPILE)}


def get_mode(orig_string: str | Mode | None) -> Mode:
    """The mode of that name; None is `config.mode`. Raises GraphTypeError for an unknown name."""
    name: Any = config.setting("mode") if orig_string is None else orig_string
    if isinstance(name, Mode):
        return name
    if name == "Mode":
        return FAST_RUN
    if name not in predefined_modes:
        raise GraphTypeError(
            f"there is no mode {name!r}; there are None, {' and '.join(map(repr, MODES))}, all the "
            "same (config.device = 'reference' makes functions that run in plain NumPy)"
        )
    return predefined_modes[name]


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
