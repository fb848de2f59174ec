"""Small programs as text, whose lines have names: `conv = conv2d(x, w)  # conv`."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import numpy as np
from helpers.gpu_plans import planning_for_cuda

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import config, network3
from tinygrad_mnist.compile.plan import KernelCall, Plan
from tinygrad_mnist.tensor.nnet import bn, conv2d
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams
from tinygrad_mnist.tensor.signal import pool

FILE = "/somewhere/model.py"


def _floats(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def run_script(text: str, device: str) -> dict[str, Any]:
    """The names of a script after it has run as the file `FILE`; on `cuda` it only plans."""
    names: dict[str, Any] = {
        **{"np": np, "theano": theano, "T": T, "conv2d": conv2d, "bn": bn, "pool": pool},
        **{"RandomStreams": RandomStreams, "network3": network3, "floats": _floats},
    }
    before = config.device
    with planning_for_cuda() if device == "cuda" else nullcontext():
        config.device = device
        try:
            exec(compile(text, FILE, "exec"), names)
        finally:
            config.device = before
    return names


def named_lines(text: str) -> dict[int, str]:
    """The numbers of the lines that end with a comment of one word, with these words."""
    found = ((n, re.search(r"# (\w+)$", line)) for n, line in enumerate(text.splitlines(), 1))
    return {n: match[1] for n, match in found if match}


def origins_of(call: KernelCall, lines: dict[int, str]) -> list[str]:
    """The origins of a call by the names of the lines: `['conv', 'pool', 'grad mean']`."""
    return [
        ("grad " if origin.gradient else "") + lines.get(origin.line, str(origin.line))
        for origin in call.origins
        if origin.file == FILE
    ]


def calls_by_lines(plan: Plan, text: str) -> list[str]:
    """Each call as its kernel and the names of the lines it comes from: `gemm: dot, bias`."""
    lines = named_lines(text)
    return [f"{call.kernel}: {', '.join(origins_of(call, lines))}" for call in plan.calls]
