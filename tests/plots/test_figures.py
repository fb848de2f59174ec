"""Figures: files, formats, and what is left behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import plots
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.plots import figures

SIGNATURES = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
RATES = [0.1, 0.05, 0.025]
IMAGES = np.zeros((3, 4, 4))
DRAWERS: dict[str, Any] = {
    "history": lambda path=None: plots.plot_history({"loss": [1.0, 0.5]}, path),
    "learning_rate": lambda path=None: plots.plot_learning_rate(RATES, path=path),
    "digits": lambda path=None: plots.plot_digits(IMAGES, [0, 1, 2], [0, 2, 2], path),
    "confusion": lambda path=None: plots.plot_confusion_matrix([0, 1], [1, 1], path),
    "filters": lambda path=None: plots.plot_filters(np.ones((3, 3, 1, 4)), path),
    "maps": lambda path=None: plots.plot_feature_maps(np.ones((5, 5, 3)), path=path),
}


@pytest.mark.parametrize("kind", SIGNATURES)
@pytest.mark.parametrize("draw", DRAWERS.values(), ids=DRAWERS)
def test_files_by_their_ending_are_the_same_each_time(draw: Any, kind: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"a.{kind}", tmp_path / f"b.{kind.upper()}"]
    for path in paths:
        draw(path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(SIGNATURES[kind])
    assert first == second
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_has_the_users_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    DRAWERS["filters"](str(tmp_path / "a.png"))
    assert os.stat(tmp_path / "a.png").st_mode == os.stat(tmp_path / "plain").st_mode


@pytest.mark.parametrize(("path", "error"), [("a.bmp", ArgumentError), (3, GraphTypeError)])
def test_a_wrong_path(path: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="path is"):
        DRAWERS["history"](path)


def test_an_older_file_stays_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(fd: int) -> None:
        raise OSError("disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk is full"):
        DRAWERS["history"](path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_figures_are_freed() -> None:
    figure = weakref.ref(DRAWERS["history"]())
    gc.collect()
    assert figure() is None


def test_a_notebook_can_show_one() -> None:
    assert DRAWERS["filters"]()._repr_png_().startswith(SIGNATURES["png"])


PROGRAM = """
import sys
import tinygrad_mnist
from tinygrad_mnist import keras, network3, plots
assert "matplotlib" not in sys.modules
figure = plots.plot_learning_rate([0.1, 0.05])
figure.savefig("a.png")
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
before = dict.__getitem__(matplotlib.rcParams, "backend")
plots.plot_history({"loss": [1.0, 0.5]}, "b.svg")
assert dict.__getitem__(matplotlib.rcParams, "backend") is before
"""


def test_the_users_backend_and_the_start_stay_as_they_are(tmp_path: Path) -> None:
    """matplotlib is loaded with the first picture, never with the package; no display is needed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.svg"]


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.mark.usefixtures("without_matplotlib")
@pytest.mark.parametrize("draw", DRAWERS.values(), ids=DRAWERS)
def test_the_error_without_matplotlib_names_the_extra(draw: Any) -> None:
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_mnist\[plot\]'"):
        draw()


@pytest.mark.usefixtures("without_matplotlib")
def test_nothing_else_needs_matplotlib() -> None:
    assert plots.confusion_matrix([0, 1], [1, 1]).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ImportError, match="matplotlib"):
        figures.figure_class()
