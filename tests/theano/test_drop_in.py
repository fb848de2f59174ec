"""`import theano` in a process that has imported `tinygrad_mnist.theano`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist
from tinygrad_mnist.names import MODULES

pytestmark = pytest.mark.usefixtures("drop_in")


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(text, names)
    return names


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_imported_in_every_way(module: str) -> None:
    parent, _, name = module.rpartition(".")
    found = importlib.import_module(module)
    assert found is sys.modules[module]
    if parent:
        assert importlib.import_module(f"tinygrad_mnist.{module}") is found
        same = run(f"from {parent} import {name} as same")["same"]
        # A function of the module's name comes first, as in Theano: T.var, compile.function.
        assert same is found or callable(same)


PROGRAM = """
import theano
import theano.tensor as T
from theano import function, shared, tensor
from theano.tensor.nnet import conv, conv2d
from theano.tensor.signal import downsample, pool
from theano.tensor.shared_randomstreams import RandomStreams
from theano.compile.sharedvalue import SharedVariable
from theano.tensor.var import TensorVariable
from theano.tensor.sharedvar import TensorSharedVariable
import numpy as np

w = shared(np.zeros(3, theano.config.floatX), "w")
x = T.vector("x")
step = function([x], T.sum(x * w), updates=[(w, w + x)])
"""


def test_a_program_runs() -> None:
    names = run(PROGRAM)
    assert names["tensor"] is names["T"] is sys.modules["theano.tensor"]
    assert isinstance(names["w"], names["SharedVariable"])
    assert isinstance(names["w"], names["TensorSharedVariable"])
    assert isinstance(names["x"], names["TensorVariable"])
    for expected in (0, 14, 28):
        result = names["step"]([1, 2, 3])
        assert (result, result.dtype) == (expected, "float64")
    assert callable(run("from theano.tensor import *")["tanh"])
    assert callable(run("from theano.tensor.basic import *")["tensor"])
    assert callable(run("from theano import *")["function"])


def test_the_package_itself_is_theano(drop_in: Any) -> None:
    names = run("import theano, tinygrad_mnist.theano\nfrom tinygrad_mnist.theano import tensor")
    theano = names["theano"]
    assert drop_in.function is theano.function is tinygrad_mnist.function
    assert drop_in.tensor is theano.tensor is names["tensor"]
    assert theano.__version__ == theano.version.version == drop_in.__version__ == "1.0.5"
    assert importlib.util.find_spec("theano") is not None
    assert "OrderedUpdates" in dir(theano)
    assert "tensor" in dir(drop_in)
    assert {"sort", "dot", "nnet"} - set(dir(theano.tensor)) <= {"sort"}


ABSENT = [
    ("import theano.sparse", "theano has no 'sparse' here: there are no sparse matrices"),
    ("from theano import scan", "theano has no 'scan' here: there are no loops in graphs yet"),
    ("from theano.tensor import MPIRecv", "theano.tensor has no 'MPIRecv' here: graphs read no"),
    ("from theano.tensor.nnet import sigmoidd", "theano.tensor.nnet has no 'sigmoidd' here; docs"),
    ("import theano.tensor.nothing", "theano.tensor has no 'nothing' here; docs/theano.md lists"),
    ("import theano.nothing.at_all", "theano has no 'nothing' here; docs/theano.md lists"),
    ("import cPickle", "cPickle is a module of Python 2; `2to3 -w FILE`"),
]


@pytest.mark.parametrize(("line", "message"), ABSENT)
def test_imports_of_what_is_absent(line: str, message: str) -> None:
    with pytest.raises(ImportError) as error:
        run(line)
    assert str(error.value).startswith(message)


def test_a_use_of_what_is_absent() -> None:
    with pytest.raises(AttributeError, match="theano has no 'scan' here: there are no loops"):
        run("import theano\ntheano.scan(lambda x: x)")
    assert not hasattr(sys.modules["theano"], "sparse")


def test_a_module_beside_the_program_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = run("import network3, mnist_loader")
    assert ours["network3"] is tinygrad_mnist.network3  # type: ignore[attr-defined]
    vector = ours["mnist_loader"].vectorized_result(3)
    np.testing.assert_array_equal(vector, np.eye(10)[:, 3:4])
    for name in ("network3", "mnist_loader"):
        (tmp_path / f"{name}.py").write_text("mine = True\n")
        del sys.modules[name]
    # `syspath_prepend` would not undo what `drop_in` has done to the path.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    mine = run("import network3, mnist_loader")
    assert mine["network3"].mine
    assert mine["mnist_loader"].mine


BOOK = """
import theano
GPU = True
try:
    theano.config.device = 'gpu'
except:
    pass
theano.config.floatX = 'float32'
"""


def test_the_gpu_of_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU, setting the device is an error, which the book's file takes for what it
    expects: the program runs on the CPU."""
    monkeypatch.setattr("tinygrad_mnist.backends.BACKENDS", {})
    monkeypatch.setattr(
        "tinygrad_mnist.backends.cuda.cuda_backend", lambda name: (_ for _ in ()).throw(OSError)
    )
    run(BOOK)
    assert tinygrad_mnist.config.device == "cpu"
    assert tinygrad_mnist.config.floatX == "float32"


def test_another_theano_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "theano", ModuleType("theano"))
    with pytest.raises(
        ImportError, match=r"another theano .* import tinygrad_mnist\.theano before"
    ):
        importlib.import_module("tinygrad_mnist.theano.finder").begin()


def test_the_old_module_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    names = run("import theano.sandbox.cuda as cuda\nfrom theano.sandbox.cuda import dnn")
    cuda: Any = importlib.import_module("tinygrad_mnist.sandbox.cuda")
    for usable in (True, False):
        monkeypatch.setattr("tinygrad_mnist.backends.cuda.is_usable", lambda name, u=usable: u)
        assert cuda.cuda_available is usable
    assert not cuda.cuda_enabled
    assert not names["cuda"].cuda_enabled
    assert not names["dnn"].dnn_available()
    tinygrad_mnist.config.refuse_devices(lambda name: None)
    names["cuda"].use("gpu0")
    assert cuda.cuda_enabled
    assert names["cuda"].cuda_enabled
    with pytest.raises(AttributeError, match="no 'CudaNdarray' here: there are no arrays of a GPU"):
        names["cuda"].CudaNdarray  # noqa: B018


def test_a_reload_keeps_the_settings() -> None:
    import theano

    with theano.config.change_flags(floatX="float32"):
        assert importlib.reload(theano) is sys.modules["theano"]
        assert run("import theano\nfloatX = theano.config.floatX")["floatX"] == "float32"


def test_what_is_absent_of_a_module_is_said_when_it_is_used() -> None:
    """Keras 1 imports the module whether it needs it or not."""
    conv3d2d = run("from theano.tensor.nnet import conv3d2d")["conv3d2d"]
    with pytest.raises(AttributeError, match="no convolutions and poolings over three axes"):
        conv3d2d.conv3d  # noqa: B018
