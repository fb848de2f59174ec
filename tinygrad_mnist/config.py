"""Settings of the process: `config.floatX`, `config.device`, `config.threads`, `config.debug`."""

from __future__ import annotations

import os

_FLOATS = ("float32", "float64")
DEVICES = ("cpu", "reference")
MAX_THREADS = 256  # of the native team
MAX_DEBUG = 5


class Config:
    """The settings, one object for the process; each is checked when it is set.

    floatX: dtype of `T.matrix()` and of Python floats, `'float32'` or `'float64'`.
    device: backend of functions made from now on, `'cpu'` or `'reference'` (NumPy).
    threads: threads of the cpu backend, or None for one per processor that is available.
    plan_cache_size: plans that a function keeps, the last used first.
    debug: what the engine tells on standard error, each level with those below: 0 nothing, 1 a line
        for every plan made, 2 a line for every run, with the times of its kernels, 3 the rewrites,
        4 the plan, 5 the generated code.

    A name that is none of these is an error. The first three start from TINYGRAD_MNIST_FLOATX,
    TINYGRAD_MNIST_DEVICE and TINYGRAD_MNIST_THREADS where these are set, `debug` from
    TINYGRAD_MNIST_DEBUG or else from DEBUG.
    """

    __slots__ = ("_debug", "_device", "_float_x", "_plan_cache_size", "_threads")

    def __init__(self) -> None:
        self.floatX = os.environ.get("TINYGRAD_MNIST_FLOATX", "float32")
        self.device = os.environ.get("TINYGRAD_MNIST_DEVICE", "cpu")
        threads = os.environ.get("TINYGRAD_MNIST_THREADS")
        self.threads = None if threads is None else _integer("TINYGRAD_MNIST_THREADS", threads)
        self.plan_cache_size = 16
        self.debug = _debug_level()

    @property
    def floatX(self) -> str:  # noqa: N802
        return self._float_x

    @floatX.setter
    def floatX(self, value: str) -> None:  # noqa: N802
        if value not in _FLOATS:
            raise ValueError(f"floatX is {value!r}; it can be {' or '.join(map(repr, _FLOATS))}")
        self._float_x = value

    @property
    def device(self) -> str:
        return self._device

    @device.setter
    def device(self, value: str) -> None:
        if value not in DEVICES:
            known = " or ".join(map(repr, DEVICES))
            raise ValueError(f"device is {value!r}; this version has {known}")
        self._device = value

    @property
    def threads(self) -> int | None:
        return self._threads

    @threads.setter
    def threads(self, value: int | None) -> None:
        if value is not None and (type(value) is not int or not 1 <= value <= MAX_THREADS):
            raise ValueError(f"threads is {value!r}; it can be None or from 1 to {MAX_THREADS}")
        self._threads = value

    @property
    def plan_cache_size(self) -> int:
        return self._plan_cache_size

    @plan_cache_size.setter
    def plan_cache_size(self, value: int) -> None:
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"plan_cache_size is {value!r}; it must be a positive integer")
        self._plan_cache_size = value

    @property
    def debug(self) -> int:
        return self._debug

    @debug.setter
    def debug(self, value: int) -> None:
        if type(value) is not int or not 0 <= value <= MAX_DEBUG:
            raise ValueError(f"debug is {value!r}; it can be from 0 to {MAX_DEBUG}")
        self._debug = value


def _debug_level() -> int:
    """The level that the environment asks for."""
    for name in ("TINYGRAD_MNIST_DEBUG", "DEBUG"):
        text = os.environ.get(name)
        if text:
            if text not in map(str, range(MAX_DEBUG + 1)):
                hint = ""
                if name == "DEBUG":
                    hint = " (if it is meant for another program, set TINYGRAD_MNIST_DEBUG=0)"
                raise ValueError(f"{name} is {text!r}; it can be from 0 to {MAX_DEBUG}{hint}")
            return int(text)
    return 0


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} is {text!r}, not an integer") from None


config = Config()
