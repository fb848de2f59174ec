"""Settings at the start: THEANO_FLAGS, .theanorc, OMP_NUM_THREADS, and which comes first."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tinygrad_mnist import config

pytestmark = pytest.mark.usefixtures("drop_in")


def start() -> None:
    import_module("tinygrad_mnist.theano.flags").start(config)


def value(name: str) -> Any:
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part)
    return found


FLAGS = [
    ("", {"floatX": "float64", "device": "cpu"}),
    ("floatX=float32", {"floatX": "float32"}),
    (" floatX = float32 , device=cpu,", {"floatX": "float32", "device": "cpu"}),
    ("floatX=float32,floatX=float64", {"floatX": "float64"}),
    ("device=reference,threads=2", {"device": "reference", "threads": 2}),
    ("allow_gc=False,openmp=true,linker=py", {"allow_gc": False, "openmp": True, "linker": "py"}),
    ("blas.ldflags='-lopenblas -lm',lib.cnmem=0.8", {"lib.cnmem": 0.8}),
    ("gcc.cxxflags=-O3 -march=native", {"gcc.cxxflags": "-O3 -march=native"}),
    ("optimizer_including=cudnn,dnn.enabled=True", {"dnn.enabled": "True"}),
    ("optimizer=None,on_unused_input=ignore", {"optimizer": "None", "on_unused_input": "ignore"}),
    ("dnn.conv.algo_fwd=time_once,traceback.limit=20", {"traceback.limit": 20}),
    ("warn.round=1,warn.ignore_bug_before=all", {"warn.round": True}),
    ("base_compiledir=/tmp/x=y", {"base_compiledir": "/tmp/x=y"}),
]


@pytest.mark.parametrize(("flags", "expected"), FLAGS)
def test_flags(flags: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEANO_FLAGS", flags)
    start()
    assert {name: value(name) for name in expected} == expected


def test_quotes_in_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEANO_FLAGS", "blas.ldflags='-la, -lb',floatX=float32")
    start()
    assert value("blas.ldflags") == "-la, -lb"
    assert config.floatX == "float32"


WRONG = [
    ("floatX=float16", "THEANO_FLAGS: floatX is 'float16'; here it can be 'float32' or"),
    ("device=tpu", "THEANO_FLAGS: device is 'tpu'; here it can be"),
    ("on_unused_input=no", "THEANO_FLAGS: on_unused_input is 'no'"),
    ("threads=many", "THEANO_FLAGS: threads is 'many'"),
    ("openmp=perhaps", "THEANO_FLAGS: openmp is 'perhaps'; it is a bool"),
    ("compute_test_value=maybe", "THEANO_FLAGS: compute_test_value is 'maybe'; here it can be"),
    ("linker=gcc", "THEANO_FLAGS: linker is 'gcc'; here it can be 'cvm' or"),
]


@pytest.mark.parametrize(("flags", "message"), WRONG)
def test_wrong_values(flags: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEANO_FLAGS", flags)
    with pytest.raises(ValueError, match=message):
        start()


@pytest.mark.parametrize(
    ("flags", "message"),
    [("nothing=1", "an unknown setting: nothing"), ("floatX", "gives no value to floatX")],
)
def test_warnings(flags: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEANO_FLAGS", flags)
    with pytest.warns(UserWarning, match=message):
        start()


def test_files_and_what_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(
        "[global]\nfloatX = float32\nallow_gc = False\nnobody.knows = 1\n"
        "[blas]\nldflags = -l%(USER)s\n[warn]\nround = True\n[gcc]\ncxxflags = -O3 100%\n"
    )
    second.write_text("[global]\nallow_gc = True\ndevice = reference\n[nvcc]\nfastmath = True\n")
    monkeypatch.setenv("THEANORC", f"{first}:{tmp_path / 'absent'}:{second}")
    monkeypatch.setenv("USER", "me")
    start()
    assert (config.floatX, value("allow_gc"), config.device) == ("float32", True, "reference")
    assert (value("blas.ldflags"), value("warn.round")) == ("-lme", True)
    assert (value("gcc.cxxflags"), value("nvcc.fastmath")) == ("-O3 100%", True)

    monkeypatch.setenv("THEANO_FLAGS", "floatX=float64,device=cpu")
    start()
    assert (config.floatX, config.device) == ("float64", "cpu")

    config.floatX = "float32"
    monkeypatch.setenv("TINYGRAD_MNIST_FLOATX", "float32")
    start()
    assert config.floatX == "float32"


def test_a_file_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".theanorc").write_text("[global]\nfloatX = float32\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("THEANORC")
    start()
    assert config.floatX == "float32"


def test_files_that_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rc"
    monkeypatch.setenv("THEANORC", str(file))
    file.write_text("[global]\nfloatX = float8\n")
    with pytest.raises(ValueError, match=f"{file}: floatX is 'float8'"):
        start()
    file.write_text("floatX = float32\n")
    with pytest.raises(ValueError, match=f"{file} can't be read"):
        start()


def test_threads_of_openmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    start()
    assert config.threads == 3
    monkeypatch.setenv("THEANO_FLAGS", "threads=2")
    start()
    assert config.threads == 2
    config.threads = 1
    monkeypatch.setenv("TINYGRAD_MNIST_THREADS", "1")
    start()
    assert config.threads == 1
