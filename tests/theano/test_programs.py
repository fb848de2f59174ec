"""The programs examples/theano_*.py run through the drop-in, and learn.

The bounds are a few percent above what the programs reach. With the gradient of one matrix zero,
reversed, or reversed in half of its rows, none reaches them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOAT32 = {"THEANO_FLAGS": "floatX=float32"}


def run(name: str, options: str, **environment: str) -> str:
    """What the program prints."""
    kept = {k: v for k, v in os.environ.items() if k not in ("THEANO_FLAGS", "PYTHONPATH")}
    start = [sys.executable, "-W", "error", "-m", "tinygrad_mnist.theano"]
    done = subprocess.run(
        [*start, EXAMPLES / f"theano_{name}.py", *options.split()],
        env={**kept, "THEANORC": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def last(text: str, label: str) -> float:
    """The number that follows the label where it is printed last."""
    return float(re.findall(rf"{re.escape(label)} (-?\d+(?:\.\d+)?(?:e-\d+)?)", text)[-1])


DIGITS = "--data digits --images 2000"
PROGRAMS: dict[str, tuple[str, dict[str, str], dict[str, float]]] = {
    "mlp": ("--epochs 8 --hidden 100", {}, {"cost": 0.64, "test error": 28}),
    "lenet": ("--epochs 3 --maps 8 --batch 20", FLOAT32, {"cost": 0.415, "test error": 18}),
    "autoencoder": ("--epochs 5 --hidden 100", {}, {"cost": 106, "pixels,": 18.5}),
    "stacked_autoencoder": (
        "--epochs 5 --hidden 100 --pretraining 2 --layers 2 --pretraining_rate 0.02",
        FLOAT32,
        {"layer 1, epoch 2: cost": 142, "layer 2, epoch 2: cost": 49, "cost": 0.76},
    ),
    "rmsprop_dropout": (
        "--epochs 6 --hidden 200 --batch 50",
        FLOAT32,
        {"cost": 1.03, "test error": 25},
    ),
    "vae": ("--epochs 5 --hidden 128 --code 8 --batch 20", {}, {"images: -ELBO": 147}),
}
RULES = {
    "sgd": 0.66,
    "momentum": 0.54,
    "nesterov": 0.46,
    "adagrad": 0.51,
    "rmsprop": 0.64,
    "adadelta": 0.66,
    "adam": 0.6,
    "adamax": 0.66,
    "norm_constraint": 0.69,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    options, environment, bounds = PROGRAMS[name]
    text = run(name, f"{DIGITS} {options}", **environment)
    for label, bound in bounds.items():
        assert last(text, label) < bound, (label, text)


def test_rbm() -> None:
    text = run("rbm", f"{DIGITS} --epochs 5 --hidden 100")
    assert last(text, "pseudo-likelihood") > -140
    assert last(text, "pixels by") > 270


@pytest.mark.skipif(find_spec("scipy") is None, reason="needs SciPy, which searches the minimum")
def test_conjugate_gradient() -> None:
    text = run("conjugate_gradient", f"{DIGITS} --iterations 15 --batch 500")
    assert "15 iterations" in text
    assert last(text, "cost") < 0.65
    assert last(text, "test error") < 28


def test_updates() -> None:
    text = run("updates", f"{DIGITS} --epochs 3 --hidden 64", **FLOAT32)
    costs = {line.split()[0]: last(line, "cost") for line in text.splitlines()}
    assert costs.keys() == RULES.keys()
    assert [rule for rule in RULES if costs[rule] > RULES[rule]] == [], text


def test_newton_converges_quadratically() -> None:
    text = run("newton", f"{DIGITS} --steps 9")
    slopes = [float(slope) for slope in re.findall(r"gradient (\S+)", text)]
    assert slopes[0] > 0.1
    assert slopes[8] < 1e-15
    close = [slope for slope in slopes if 1e-14 < slope < 1e-2]
    assert len(close) >= 4
    assert all(after < 200 * before**2 for before, after in pairwise(close)), text
    assert last(text, "test error") < 18


def test_logistic() -> None:
    lines = run("logistic", "").splitlines()
    assert [line.split(":")[0] for line in lines] == ["float32", "float64"]
    for line in lines:
        assert last(line, "cost") > 100
        assert last(line, "after 500 steps") < 1
        assert line.endswith("all costs finite: True; accuracy 100.0%")
