"""Checks of kernels against NumPy in float64: the function and the command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import cli
from tinygrad_mnist.checking import KERNELS, LAYOUTS, check_kernel, kernels_of
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.checking.problems import dtypes_of
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.errors import DeviceError, MissingKernelError


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", kernels_of("cpu"))
def test_every_kernel_passes(kernel: str, layout: str) -> None:
    shape = (2, 3, 12, 11) if "2d" in kernel else None  # small, for the tests' time
    filters = (4, 3, 5, 3) if "conv2d" in kernel else None
    for dtype in dtypes_of(kernel):
        checks = check_kernel(
            kernel, shape=shape, filters=filters, dtype=dtype, layout=layout, seed=1
        )
        assert checks
        assert not [str(c) for c in checks if not c.passes]


def test_every_kernel_of_the_package_can_be_checked() -> None:
    own = {
        c.name for c in CONTRACTS.values() if c.reference.__module__.startswith("tinygrad_mnist")
    }
    assert own == set(KERNELS)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_reference_backend_is_exact(kernel: str) -> None:
    if CONTRACTS[kernel].base:
        assert all(c.error.norm < 1e-6 for c in check_kernel(kernel, device="reference"))


@pytest.mark.parametrize("kernel", [k for k in kernels_of("cpu") if not CONTRACTS[k].checks])
def test_a_wrong_result_is_seen(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest element of every output is off by a hundredth, or is another integer."""
    run = OneCall.run

    def spoilt(self: OneCall, device: str) -> list[np.ndarray[Any, Any]]:
        results = run(self, device)
        for result in results:
            size = np.where(np.isfinite(result), np.abs(result), -1)
            worst = np.unravel_index(np.argmax(size), result.shape)
            value = result[worst]
            result[worst] = value * 1.01 if value.dtype.kind == "f" and value else value == 0
        return results

    monkeypatch.setattr(OneCall, "run", spoilt)
    assert not [str(c) for c in check_kernel(kernel, whole=True) if c.passes]


def test_shapes_and_options_reach_the_kernel() -> None:
    (check,) = check_kernel(
        "conv2d",
        shape=(2, 3, 12, 10),
        filters=(4, 3, 5, 3),
        stride=(2, 1),
        padding=(1, 2),
        flip=False,
        dtype="float64",
        layout="channels-last",
    )
    assert check.passes
    assert check.shapes == ((2, 3, 12, 10), (4, 3, 5, 3))
    assert "float64, channels-last, of 2x3x12x10 4x3x5x3" in str(check)
    assert 0 < check.error.norm < 1e-15
    (whole,) = check_kernel("reduce", shape=(7, 5, 3), axis=(0, -1), op="sum", whole=True)
    assert whole.error.norm == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "conv3d"}, "no kernel 'conv3d' can be checked; there are"),
        ({"kernel": "gemm", "shape": (3, 4), "filters": (5, 6)}, "the inner lengths differ"),
        ({"kernel": "conv2d", "shape": (3, 4)}, "conv2d: shape is N,C,H,W, not 3,4"),
        ({"kernel": "conv2d", "shape": (1, 2, 8, 8)}, "conv2d: 2 channels, filters for 20"),
        ({"kernel": "softmax", "shape": (3, -4)}, "has a negative length"),
        ({"kernel": "reduce", "op": "mean"}, "op is one of sum, prod, max, min, not mean"),
        ({"kernel": "cumsum", "axis": (5,)}, "out of range for 2 dimensions"),
        ({"kernel": "elementwise", "op": "uniform"}, "there is no instruction 'uniform'"),
        ({"kernel": "elementwise", "op": "exp", "dtype": "int64"}, "not defined for int64"),
        ({"kernel": "gemm", "layout": "diagonal"}, "layout is one of contiguous"),
    ],
)
def test_wrong_requests(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_kernel(**options)


def test_a_kernel_that_a_device_lacks() -> None:
    with pytest.raises(MissingKernelError, match="'cpu' has no kernel 'softmax_layer'"):
        check_kernel("softmax_layer")
    assert set(KERNELS) - set(kernels_of("cpu")) == {"softmax_layer"}


def test_a_device_that_cannot_be_used() -> None:
    with pytest.raises((DeviceError, ValueError)):
        check_kernel("gemm", device="tpu")


# --- the command --------------------------------------------------------------------------------


def command(*arguments: str) -> int:
    return cli.main(["check", *arguments])


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert command("conv2d", "--shape", "2,1,28,28", "--filters", "4,1,5,5", "--threads", "1") == 0
    head, row, last = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "kernel",
        "out",
        "dtype",
        "layout",
        "ulp",
        "error",
        "bound",
        "used",
        "shapes",
    ]
    assert row.split()[:4] == ["conv2d", "0", "float32", "contiguous"]
    assert row.endswith("ok  2x1x28x28 4x1x5x5")
    assert last == "1 result, all right"


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_narrow_terminals_keep_the_figures(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert command("elementwise", "--op", "log", "--target", "baseline") == 0
    head, row, _ = capsys.readouterr().out.splitlines()
    assert {"kernel", "ulp", "error"} <= set(head.split())
    assert max(len(head), len(row)) <= width
    assert "ok" in row.split()


def test_a_wrong_result_is_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OneCall, "run", lambda self, device: [np.zeros((10, 100), np.float32)])
    assert command("gemm") == 1
    out = capsys.readouterr().out
    assert "WRONG" in out
    assert out.splitlines()[-1] == "1 result, 1 wrong"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gemm", "--shape", "3,4", "--by", "5,6"], "the inner lengths differ"),
        (["gemm", "--shape", "3,x"], "'3,x' is not integers such as 10,1,28,28"),
        (["pool2d", "--pool", "1,2,3"], "'1,2,3' is not a height and a width"),
        (["conv3d"], "invalid choice: 'conv3d'"),
        ([], "one of the arguments KERNEL --all is required"),
    ],
)
def test_wrong_usage(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*arguments) in (1, 2)
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""
