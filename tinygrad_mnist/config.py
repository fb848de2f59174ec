"""Settings of the process: `config.floatX`, `config.device`, `config.threads`, `config.debug`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tinygrad_mnist.errors import EnvironmentVariableError

_FLOATS = ("float32", "float64")
DEVICES = ("cpu", "reference", "cuda", "cudasim", "auto")
_GPU = "gpu"  # Theano's name of "cuda"
_UNUSED = ("raise", "warn", "ignore")
_TEST_VALUES = ("off", "raise", "warn", "ignore")
# Settings of Theano that programs use, with the values that are accepted: they describe what
# happens here anyway, or only how to compile. The first value is the default.
_WITHOUT_EFFECT: dict[str, tuple[object, ...]] = {
    "allow_gc": (True, False),
    "exception_verbosity": ("low", "high"),
    "mode": ("FAST_RUN", "FAST_COMPILE", "Mode"),
    "optimizer": ("fast_run", "fast_compile", "o4", "o3", "o2", "o1", "None"),
    "profile": (False,),
    "warn_float64": ("ignore",),
}
MAX_THREADS = 256  # of the native team
MAX_DEBUG = 5
_COMMAND = "tinygrad-mnist"


class Config:
    """The settings, one object for the process; each is checked when it is set.

    floatX: dtype of `T.matrix()` and of Python floats, `'float32'` or `'float64'`.
    device: backend of functions made from now on: `'cpu'`; `'cuda'` (or `'gpu'`), which is refused
        where there is no usable GPU; `'auto'`, a GPU where one can be used, else the CPU;
        `'cudasim'`, the GPU's kernels in Numba's simulator; `'reference'`, NumPy.
    threads: threads of the cpu backend, or None for one per processor that is available.
    plan_cache_size: plans that a function keeps, the last used first.
    debug: what the engine prints on standard error, each level adding to those below: 0 nothing, 1
        a line for every plan made, 2 a line for every run, with the times of its kernels, 3 the
        rewrites, 4 the plan, 5 the generated code.
    allow_tf32: whether a GPU may round the factors of float32 products to 10 bits of mantissa, for
        its tensor cores.
    on_unused_input: what `function` does about an input that no result depends on: `'raise'`,
        `'warn'` or `'ignore'`.
    compute_test_value: whether expressions are computed for test values of their inputs as soon as
        they are written (`functions/test_values.py`), and what happens where one is missing:
        `'off'`, `'raise'`, `'warn'` or `'ignore'`.

    Theano's other settings are accepted if they have no effect here, such as
    `exception_verbosity = 'high'`. An unknown name or value is an error.

    The first three start from TINYGRAD_MNIST_FLOATX, TINYGRAD_MNIST_DEVICE and
    TINYGRAD_MNIST_THREADS where these are set, `debug` from TINYGRAD_MNIST_DEBUG. A wrong value is
    an EnvironmentVariableError at import. Without TINYGRAD_MNIST_DEBUG, `debug` starts from DEBUG
    if that is a number; other values of DEBUG are meant for other programs.
    """

    __slots__ = (
        "_allow_tf32",
        "_compute_test_value",
        "_debug",
        "_device",
        "_float_x",
        "_on_unused",
        "_plan_cache_size",
        "_refuse_device",
        "_theanos",
        "_threads",
    )

    def __init__(self) -> None:
        self._refuse_device: Callable[[str], None] | None = None
        self.floatX = _from_environment("TINYGRAD_MNIST_FLOATX", _FLOATS) or "float32"
        self.device = _from_environment("TINYGRAD_MNIST_DEVICE", (*DEVICES, _GPU)) or "cpu"
        counts = [str(n) for n in range(1, MAX_THREADS + 1)]
        threads = _from_environment("TINYGRAD_MNIST_THREADS", counts, f"from 1 to {MAX_THREADS}")
        self.threads = int(threads) if threads else None
        self.plan_cache_size = 16
        self.debug = _debug_level()
        self.on_unused_input = "raise"
        self.compute_test_value = "off"
        self.allow_tf32 = False
        self._theanos: dict[str, object] = {}

    if not TYPE_CHECKING:  # a checker knows the properties, and finds misspellings

        def __setattr__(self, name: str, value: object) -> None:
            if name in _WITHOUT_EFFECT:
                _check(name, value, _WITHOUT_EFFECT[name])
                self._theanos[name] = value
            elif hasattr(type(self), name):
                object.__setattr__(self, name, value)
            else:
                raise AttributeError(self._unknown(name))

        def __getattr__(self, name: str) -> object:
            if name in _WITHOUT_EFFECT:
                return self._theanos.get(name, _WITHOUT_EFFECT[name][0])
            raise AttributeError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        own = (n for n, member in vars(Config).items() if isinstance(member, property))
        return f"config has no {name!r}; it has {', '.join([*own, *_WITHOUT_EFFECT])}"

    @property
    def floatX(self) -> str:  # noqa: N802
        return self._float_x

    @floatX.setter
    def floatX(self, value: str) -> None:  # noqa: N802
        _check("floatX", value, _FLOATS)
        self._float_x = value

    @property
    def device(self) -> str:
        return self._device

    @device.setter
    def device(self, value: str) -> None:
        value = "cuda" if value == _GPU else value
        _check("device", value, DEVICES)
        if self._refuse_device is not None:
            self._refuse_device(value)
        self._device = value

    def refuse_devices(self, check: Callable[[str], None]) -> None:
        """From now on, `check(name)` is called before a device is set, and raises an error if it
        can't be used. The environment's device is checked when a function is made.
        """
        self._refuse_device = check

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

    @property
    def allow_tf32(self) -> bool:
        return self._allow_tf32

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        _check("allow_tf32", value, (False, True))
        self._allow_tf32 = value

    @property
    def on_unused_input(self) -> str:
        return self._on_unused

    @on_unused_input.setter
    def on_unused_input(self, value: str) -> None:
        _check("on_unused_input", value, _UNUSED)
        self._on_unused = value

    @property
    def compute_test_value(self) -> str:
        return self._compute_test_value

    @compute_test_value.setter
    def compute_test_value(self, value: str) -> None:
        _check("compute_test_value", value, _TEST_VALUES)
        self._compute_test_value = value


def _check(name: str, value: object, known: tuple[object, ...]) -> None:
    if not isinstance(value, Hashable) or value not in known:
        raise ValueError(f"{name} is {value!r}; here it can be {' or '.join(map(repr, known))}")


def _from_environment(name: str, allowed: Sequence[str], listed: str = "") -> str:
    """The value of an environment variable, '' if it is not set. listed: the allowed values in
    words."""
    text = os.environ.get(name, "").strip()
    if text and text not in allowed:
        refuse_environment(name, f"it can be {listed or ' or '.join(map(repr, allowed))}")
    return text


def refuse_environment(name: str, allowed: str) -> NoReturn:
    """Raises EnvironmentVariableError for the value of an environment variable. Where the command
    `tinygrad-mnist` is running, prints the message and exits instead: this happens at import, where
    the command itself can't catch errors yet."""
    message = f"{name} is {os.environ[name]!r}; {allowed}"
    if Path(sys.argv[0]).stem == _COMMAND or sys.orig_argv[1:3] == ["-m", "tinygrad_mnist"]:
        sys.exit(f"{_COMMAND}: {message}")
    raise EnvironmentVariableError(message)


def _debug_level() -> int:
    """The level that the environment asks for."""
    levels = [str(level) for level in range(MAX_DEBUG + 1)]
    listed = f"from 0 to {MAX_DEBUG}"
    chosen = _from_environment("TINYGRAD_MNIST_DEBUG", levels, listed)
    if not chosen and re.fullmatch(r"-?\d+", os.environ.get("DEBUG", "").strip()):
        hint = " (if it is meant for another program, set TINYGRAD_MNIST_DEBUG=0)"
        chosen = _from_environment("DEBUG", levels, listed + hint)
    return int(chosen or 0)


config = Config()
