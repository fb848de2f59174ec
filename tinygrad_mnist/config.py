"""Settings of the process: `config.floatX`, `config.device`, `config.threads`, `config.debug`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ContextDecorator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tinygrad_mnist.errors import EnvironmentVariableError
from tinygrad_mnist.settings import SETTINGS, check, from_text

_FLOATS = ("float32", "float64")
DEVICES = ("cpu", "reference", "cuda", "cudasim", "ptx", "auto")
_GPU = re.compile(r"(?:gpu|cuda)(\d*)")  # Theano's names of "cuda", with a GPU's number
_UNUSED = ("raise", "warn", "ignore")
_TEST_VALUES = ("off", "raise", "warn", "ignore")
MAX_THREADS = 256  # of the native team
MAX_DEBUG = 5
_COMMAND = "tinygrad-mnist"
# Settings that a text such as THEANO_FLAGS can set, and the types of their values.
_OWN: dict[str, type] = {
    "floatX": str,
    "device": str,
    "on_unused_input": str,
    "compute_test_value": str,
    "threads": int,
    "plan_cache_size": int,
    "debug": int,
    "allow_tf32": bool,
}


class Config:
    """The settings, one object for the process; each is checked when it is set.

    floatX: dtype of `T.matrix()` and of Python floats, `'float32'` or `'float64'`.
    device: backend of functions made from now on: `'cpu'`; `'cuda'`, which is refused where there
        is no usable GPU; `'auto'`, a GPU where one can be used, else the CPU; `'cudasim'`, the
        GPU's kernels in Numba's simulator; `'ptx'`, their PTX on the CPU; `'reference'`, NumPy.
        `'gpu'`, `'gpu0'` and `'cuda0'` are Theano's names of `'cuda'`. A number chooses a GPU where
        TINYGRAD_MNIST_GPU doesn't; a process keeps the GPU that it used first.
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

    Theano's other settings (`settings.py`), also those in sections such as `warn.round`, are
    accepted and have no effect here; a value that asks for one is a warning. An unknown name or
    value is an error. `change_flags` sets several for a while.

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
        "_gpu_number",
        "_on_unused",
        "_plan_cache_size",
        "_refuse_device",
        "_theanos",
        "_threads",
    )

    def __init__(self) -> None:
        self._refuse_device: Callable[[str], None] | None = None
        self.floatX = _from_environment("TINYGRAD_MNIST_FLOATX", _FLOATS) or "float32"
        self._gpu_number: int | None = None
        self.device = _device_from_environment() or "cpu"
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
            if name in SETTINGS:
                self._theanos[name] = check(name, value)
            elif hasattr(type(self), name):
                object.__setattr__(self, name, value)
            else:
                raise AttributeError(self._unknown(name))

        def __getattr__(self, name: str) -> object:
            if name in SETTINGS:
                return self.setting(name)
            if any(known.startswith(f"{name}.") for known in SETTINGS):
                return Section(self, name)
            raise AttributeError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        return f"config has no {name!r}; it has {', '.join(_OWN)} and Theano's other settings"

    def set_text(self, name: str, text: str) -> None:
        """Sets a setting to a value that is written as text, as in THEANO_FLAGS. Raises
        AttributeError for an unknown setting, ValueError for a wrong value."""
        if name in SETTINGS:
            setattr(self, name, from_text(text, SETTINGS[name].type))
        elif name in _OWN:
            setattr(self, name, from_text(text, _OWN[name]))
        else:
            raise AttributeError(self._unknown(name))

    def setting(self, name: str) -> object:
        """The value of one of Theano's settings, such as 'warn.round'; KeyError for others."""
        return self._theanos.get(name, SETTINGS[name].default)

    def change_flags(
        self, args: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), **flags: Any
    ) -> change_flags:
        """`change_flags` of this object."""
        return change_flags(args, **flags)

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
        gpu = _GPU.fullmatch(value) if isinstance(value, str) else None
        if gpu is None:
            _check("device", value, DEVICES)
        before = self._gpu_number
        try:
            if gpu is not None:
                value = "cuda"
                self._gpu_number = int(gpu[1]) if gpu[1] else before
            if self._refuse_device is not None:
                self._refuse_device(value)
        except Exception:
            self._gpu_number = before
            raise
        self._device = value

    @property
    def gpu_number(self) -> int | None:
        """The number in the name of a GPU that `device` was set to, such as 'gpu1'."""
        return self._gpu_number

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


class Section:
    """The settings whose names begin with a section's, such as those of `config.warn`."""

    __slots__ = ("_config", "_name")

    def __init__(self, config: Config, name: str) -> None:
        object.__setattr__(self, "_config", config)
        object.__setattr__(self, "_name", name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, f"{self._name}.{name}")

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._config, f"{self._name}.{name}", value)


class change_flags(ContextDecorator):  # noqa: N801
    """Settings that hold inside a `with` or in a decorated function:
    `change_flags(floatX="float64")`, `change_flags({"warn.round": False})`.

    Raises AttributeError for an unknown setting and ValueError for a wrong value, when they would
    be set; all are then as before.
    """

    def __init__(
        self, args: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), **flags: Any
    ) -> None:
        self._flags = {**dict(args), **flags}
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        before = {name: getattr(config, name) for name in self._flags}
        self._before.append(before)
        try:
            for name, value in self._flags.items():
                setattr(config, name, value)
        except Exception:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        for name, value in self._before.pop().items():
            setattr(config, name, value)


def _check(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}; here it can be {' or '.join(map(repr, known))}")


def _from_environment(name: str, allowed: Sequence[str], listed: str = "") -> str:
    """The value of an environment variable, '' if it is not set. listed: the allowed values in
    words."""
    text = os.environ.get(name, "").strip()
    if text and text not in allowed:
        refuse_environment(name, f"it can be {listed or ' or '.join(map(repr, allowed))}")
    return text


def device_of(name: str) -> str:
    """The device of that name: 'cuda' for Theano's names of a GPU, such as 'gpu0'."""
    return "cuda" if _GPU.fullmatch(name) else name


def _device_from_environment() -> str:
    name = "TINYGRAD_MNIST_DEVICE"
    text = os.environ.get(name, "").strip()
    return text if _GPU.fullmatch(text) else _from_environment(name, DEVICES)


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
