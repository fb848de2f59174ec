"""Settings: which values they accept, and what a change of floatX does not affect."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends.cuda.api import Device, chosen_device
from tinygrad_mnist.errors import DeviceError, UnusedInputError


def test_values_that_are_refused() -> None:
    with pytest.raises(ValueError, match="floatX is 'float16'; here it can be 'float32' or"):
        theano.config.floatX = "float16"
    with pytest.raises(ValueError, match="device is 'tpu'; here it can be 'cpu' or"):
        theano.config.device = "tpu"
    with pytest.raises(ValueError, match="on_unused_input is 'no'"):
        theano.config.on_unused_input = "no"
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="threads is"):
            theano.config.threads = wrong  # type: ignore[assignment]
        with pytest.raises(ValueError, match="plan_cache_size is"):
            theano.config.plan_cache_size = wrong  # type: ignore[assignment]


def test_an_unusable_gpu_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(name: str) -> None:
        raise DeviceError(f"no {name} here")

    monkeypatch.setattr("tinygrad_mnist.backends.BACKENDS", {})
    monkeypatch.setattr("tinygrad_mnist.backends.cuda.cuda_backend", none_here)
    for wish in ("cuda", "gpu", "gpu0", "cuda1"):  # Theano's programs try these
        with pytest.raises(DeviceError, match=r"^no cuda here$"):
            theano.config.device = wish
    assert theano.config.device == "cpu"
    assert theano.config.gpu_number is None
    for wrong in ("gpus", "gpu-1", "cuda:0", "GPU", "0", 0, ["gpu"]):
        with pytest.raises(ValueError, match="device is"):
            theano.config.device = wrong  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["gpu", "gpu0", "gpu1", "cuda", "cuda0", "cuda1"])
def test_names_of_the_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theano.config.refuse_devices(lambda name: None)
    theano.config.device = "gpu3"
    theano.config.device = name
    assert theano.config.device == "cuda"
    assert theano.config.gpu_number == (int(name[-1]) if name[-1].isdigit() else 3)
    known = [Device(n, f"GPU {n}", (9, 0), 1, 1, 1.0, 1.0, 1, 2) for n in range(3)]
    if name[-1].isdigit():
        assert chosen_device(known).number == int(name[-1])
        monkeypatch.setenv("TINYGRAD_MNIST_GPU", "2")
        assert chosen_device(known).number == 2
    else:
        with pytest.raises(
            DeviceError, match=r"the number in config\.device is '3'; the GPUs here"
        ):
            chosen_device(known)
    monkeypatch.setenv("TINYGRAD_MNIST_DEVICE", name)
    assert type(theano.config)().device == "cuda"


def test_unknown_settings() -> None:
    config: Any = theano.config
    with pytest.raises(AttributeError, match="config has no 'floatx'; it has floatX, device, "):
        config.floatx = "float32"
    with pytest.raises(AttributeError, match=r"config has no 'warn\.nothing'"):
        config.warn.nothing = True
    with pytest.raises(AttributeError, match="config has no 'libs'"):
        _ = config.libs
    assert not hasattr(config, "dnn_conv")


@pytest.mark.parametrize(
    ("name", "before", "value", "refused"),
    [
        ("mode", "FAST_RUN", "FAST_COMPILE", "SLOW_RUN"),
        ("optimizer", "fast_run", "fast_compile", "fast"),
        ("exception_verbosity", "low", "high", "none"),
        ("profile", False, False, "on"),
    ],
)
def test_settings_of_theano_without_an_effect(
    name: str, before: Any, value: Any, refused: Any
) -> None:
    assert getattr(theano.config, name) == before
    try:
        setattr(theano.config, name, value)
        assert getattr(theano.config, name) == value
    finally:
        setattr(theano.config, name, before)
    with pytest.raises(ValueError, match=f"{name} is {refused!r}; here it can be"):
        setattr(theano.config, name, refused)


def test_unused_inputs_as_configured() -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    theano.config.on_unused_input = "ignore"
    assert theano.function([x, y], x)(1, 2) == 1
    with pytest.raises(UnusedInputError):
        theano.function([x, y], x, on_unused_input="raise")
    theano.config.on_unused_input = "warn"
    with pytest.warns(UserWarning, match="depends on the input y"):
        theano.function([x, y], x)


def test_functions_keep_the_floats_that_they_were_made_with(device: str) -> None:
    def make() -> tuple[theano.Function, Any]:
        x = T.matrix("x")
        w = theano.shared(np.ones((2, 2), theano.config.floatX))
        return theano.function([x], T.dot(x, w) * 0.1 + 1 / 3, updates=[(w, w * 0.5)]), w

    value = np.arange(4, dtype="float32").reshape(2, 2)
    theano.config.floatX = "float64"
    wide, w = make()
    theano.config.floatX = "float32"
    narrow, v = make()
    for _ in range(2):
        exact = value @ w.get_value() * 0.1 + 1 / 3
        for function, dtype, tolerance in ((wide, "float64", 1e-14), (narrow, "float32", 1e-6)):
            result = function(value)
            assert result.dtype == dtype
            np.testing.assert_allclose(result, exact, rtol=tolerance)
        theano.config.floatX = "float64"
        wide(value[:1])  # a new plan under either setting
        narrow(value[:1])
    assert (w.get_value().dtype, v.get_value().dtype) == ("float64", "float32")


WRONG_ENVIRONMENT = [
    ("TINYGRAD_MNIST_FLOATX", "float16", "it can be 'float32' or 'float64'"),
    ("TINYGRAD_MNIST_FLOATX", "32", "it can be 'float32' or 'float64'"),
    ("TINYGRAD_MNIST_DEVICE", "tpu", "it can be 'cpu' or 'reference' or 'cuda'"),
    ("TINYGRAD_MNIST_DEVICE", "cuda:0", "it can be 'cpu' or "),
    ("TINYGRAD_MNIST_THREADS", "0", "it can be from 1 to 256"),
    ("TINYGRAD_MNIST_THREADS", "many", "it can be from 1 to 256"),
    ("TINYGRAD_MNIST_THREADS", "1.5", "it can be from 1 to 256"),
    ("TINYGRAD_MNIST_DEBUG", "true", "it can be from 0 to 5"),
    ("TINYGRAD_MNIST_SIMD", "sse", "this processor has: baseline"),
]
COMMANDS = [["-m", "tinygrad_mnist", "devices"], ["-c", "import tinygrad_mnist"]]


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if "DEBUG" not in k}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("variable", "value", "allowed"), WRONG_ENVIRONMENT)
def test_wrong_environment_variables(variable: str, value: str, allowed: str) -> None:
    command, library = (run(arguments, **{variable: value}) for arguments in COMMANDS)
    assert command.returncode == library.returncode == 1
    (line,) = command.stderr.splitlines()
    assert line.startswith(f"tinygrad-mnist: {variable} is {value!r}; ")
    assert allowed in line
    last = library.stderr.splitlines()[-1]
    assert last == f"tinygrad_mnist.errors.EnvironmentVariableError: {line.partition(': ')[2]}"


def test_an_empty_variable_is_as_if_it_were_not_set() -> None:
    names = ("FLOATX", "DEVICE", "THREADS", "DEBUG", "SIMD")
    done = run(COMMANDS[1], **{f"TINYGRAD_MNIST_{name}": "" for name in names})
    assert (done.returncode, done.stderr) == (0, "")
