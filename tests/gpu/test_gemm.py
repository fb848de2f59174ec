"""Every way that gemm can be cut, on matrices that fill no tile, and the choice between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.gpu import BACKEND
from helpers.gpu_cases.gemm import matrix, product
from helpers.native import assert_near, expect

from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.backends.cuda.make import make
from tinygrad_mnist.backends.cuda.simulator import enable_simulator
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.plan import SHARED, Buffer, KernelCall, Plan, View
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import contiguous

pytestmark = pytest.mark.sim


@pytest.fixture(autouse=True)
def simulator() -> None:
    """Numba's CUDA is the simulator before a test imports a kernel."""
    enable_simulator()


# rows, columns, row_threads, column_threads, parts; m, n, k; epilogue; layouts; dtype. No two have
# the same shapes: kernels of equal calls are made once.
TILINGS = [
    ((8, 8, 2, 3, 1), (19, 27, 21), "bias_relu", ("rows", "rows"), "float32"),
    ((8, 8, 2, 1, 1), (19, 8, 16), "update", ("columns", "rows"), "float32"),
    ((4, 4, 2, 3, 1), (12, 12, 17), "two_extras", ("rows", "columns"), "float32"),
    ((4, 4, 1, 3, 1), (7, 11, 29), "identity", ("any", "any"), "float64"),
    ((4, 4, 2, 2, 3), (7, 11, 30), "update", ("any", "columns"), "float32"),
    ((4, 4, 2, 2, 5), (8, 12, 31), "bias_relu", ("columns", "any"), "float64"),
    ((4, 8, 2, 2, 1), (8, 12, 0), "bias_relu", ("columns", "any"), "float32"),
]


@pytest.mark.parametrize(("tiling", "size", "kind", "layouts", "dtype"), TILINGS)
def test_tilings(tiling, size, kind, layouts, dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_mnist.kernels.gemm.tiled import Tiling, tiled_gemm

    force(monkeypatch, lambda call: tiled_gemm(call, Tiling(*tiling)))
    m, n, k = size
    inputs, outputs, params = product(m, n, k, kind, layouts, dtype)(np.random.default_rng(k))
    [exact] = expect("gemm", inputs, [ArraySpec(dtype, (m, n))], params)
    [result] = OneCall("gemm", inputs, outputs, params).run(BACKEND)
    assert_near(result, exact)


# row_warps, column_warps, m_tiles, n_tiles, parts.
TENSOR_TILINGS = [
    ((1, 1, 1, 1, 1), (19, 9, 21), "bias_relu", ("rows", "rows")),
    ((2, 1, 1, 1, 1), (12, 8, 16), "update", ("columns", "columns")),
    ((1, 1, 1, 2, 2), (12, 11, 33), "two_extras", ("any", "columns")),
]


@pytest.mark.parametrize(("tiling", "size", "kind", "layouts"), TENSOR_TILINGS)
def test_tensor_tilings(tiling, size, kind, layouts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the rounding of factors, and not the product of unrounded ones."""
    from tinygrad_mnist.kernels.gemm.tensor import TensorTiling, tensor_gemm

    force(monkeypatch, lambda call: tensor_gemm(call, TensorTiling(*tiling)))
    m, n, k = size
    inputs, outputs, params = product(m, n, k, kind, layouts)(np.random.default_rng(k))
    [exact] = expect("gemm", inputs, [ArraySpec("float32", (m, n))], params)
    [result] = OneCall("gemm", inputs, outputs, params).run(BACKEND)
    assert_near(result, exact, 2**-10)
    assert np.linalg.norm(result - exact) > 2**-17 * np.linalg.norm(exact)


def test_rounding_to_tf32() -> None:
    from tinygrad_mnist.kernels.gemm.tensor_core import tf32

    ulp = 2.0**-10
    for value, rounded in [
        (1 + 0.49 * ulp, 1),
        (1 + 0.5 * ulp, 1 + ulp),  # a tie goes away from zero
        (-1 - 0.5 * ulp, -1 - ulp),
        (2 - 2.0**-23, 2),
        (0.0, 0),
        (np.inf, np.inf),
    ]:
        assert tf32(np.float32(value)) == rounded
    assert np.isnan(tf32(np.float32(np.nan)))


@pytest.mark.parametrize("parts", [1, 3])
def test_strides_do_not_change_a_bit_of_tiles(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_mnist.kernels.gemm.tiled import Tiling, tiled_gemm

    force(monkeypatch, lambda call: tiled_gemm(call, Tiling(4, 4, 2, 2, parts)))
    same_for_all_layouts(9, 8, 35 + parts)


@pytest.mark.parametrize("size", [(3, 4, 9), (2, 4, 33)])
def test_strides_do_not_change_a_bit_of_shared_sums(size) -> None:
    same_for_all_layouts(*size)


def same_for_all_layouts(m: int, n: int, k: int) -> None:
    """The product's bits don't depend on how its factors lie."""
    results = []
    params, spec = {"epilogue": Tape.identity("float32")}, ArraySpec("float32", (m, n))
    for left, right in (("rows", "rows"), ("columns", "columns"), ("any", "rows")):
        rng = np.random.default_rng(5)
        a = rng.standard_normal((m, k)).astype(np.float32)
        b = rng.standard_normal((k, n)).astype(np.float32)
        a, b = matrix_of(a, left, rng), matrix_of(b, right, rng)
        results += OneCall("gemm", [a, b], [spec], params).run(BACKEND)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def matrix_of(values: Any, layout: str, rng: np.random.Generator) -> Any:
    """The same values, as `helpers.gpu_cases.gemm.matrix` lays them out."""
    laid = matrix(rng, layout, values.shape, values.dtype.name)
    laid[...] = values
    return laid


def force(monkeypatch: pytest.MonkeyPatch, factory: Any) -> None:
    """gemm is made by another factory."""
    from tinygrad_mnist.backends.cuda.make import load_families

    monkeypatch.setitem(load_families(), "gemm", factory)


def test_the_model_shares_out_k_where_work_is_small_and_tiles_where_it_is_large() -> None:
    from tinygrad_mnist.kernels.gemm.choice import best
    from tinygrad_mnist.kernels.gemm.operands import Problem
    from tinygrad_mnist.kernels.gemm.split import Split
    from tinygrad_mnist.kernels.gemm.tiled import Tiling

    layer = best(Problem(10, 100, 640, "float32"))
    assert isinstance(layer, Split)
    assert layer.slices >= 40  # a chain of about ten multiply-adds
    weights = best(Problem(1000, 1000, 10, "float32"))
    assert isinstance(weights, Split)
    assert weights.slices == 1
    assert weights.columns == 4
    large = best(Problem(640, 100, 10000, "float32"))
    assert isinstance(large, Tiling)
    assert large.parts > 8  # ten tiles would leave most of the GPU idle
    assert isinstance(best(Problem(4096, 4096, 4096, "float64"), allow_tf32=True), Tiling)


def test_tensor_cores_are_used_where_they_pay_and_may_be() -> None:
    from tinygrad_mnist.kernels.gemm.choice import best
    from tinygrad_mnist.kernels.gemm.operands import Problem
    from tinygrad_mnist.kernels.gemm.tensor import TensorTiling

    large, small = Problem(10000, 100, 640, "float32"), Problem(10, 100, 640, "float32")
    assert isinstance(best(large, allow_tf32=True), TensorTiling)
    assert not isinstance(best(large), TensorTiling)
    assert not isinstance(best(small, allow_tf32=True), TensorTiling)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_choice_covers_the_result_and_fits(dtype) -> None:
    from tinygrad_mnist.kernels.gemm.choice import best
    from tinygrad_mnist.kernels.gemm.operands import Problem
    from tinygrad_mnist.kernels.gemm.split import Split

    for m, n, k in [(1, 1, 0), (1, 1, 10**6), (10**6, 1, 1), (3, 10**5, 70), (129, 65, 4097)]:
        shape = Problem(m, n, k, dtype)
        chosen = best(shape)
        cut = chosen if isinstance(chosen, Split) else chosen.cut
        along, down = cut.tiles(shape)
        assert along * cut.tile[1] >= n
        assert down * cut.tile[0] >= m
        assert 0 < cut.threads <= 1024
        if isinstance(cut, Split):
            assert cut.fits(shape)
        else:
            assert cut.parts * cut.terms(shape) >= k


@pytest.mark.parametrize(
    ("size", "dtype", "tf32"),
    [
        ((4_000_000, 10, 10), "float64", False),
        ((20_000_000, 1, 10), "float32", False),
        ((20_000_000, 10, 10), "float32", True),
        ((10, 4_000_000, 10), "float32", False),
    ],
)
def test_grids_of_long_matrices(size, dtype, tf32, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the grid's x may be longer than 65,535."""
    monkeypatch.setattr(config, "allow_tf32", tf32)
    m, n, k = size
    shapes = [(m, k), (k, n), (m, n)]
    views = [View(b, dtype, contiguous(shape)) for b, shape in enumerate(shapes)]
    call = KernelCall("gemm", tuple(views[:2]), (views[2],), {"epilogue": Tape.identity(dtype)})
    buffers = tuple(Buffer(SHARED, dtype, shape, "b") for shape in shapes)
    host = HostProgram((), lambda: ((), ()), (), 0, "")
    plan = Plan("cuda", buffers, (call,), ((),), (), 0, host)
    for kernel in make(design_plan(plan, (9, 0))[0].design).kernels:
        assert kernel.shape.grid[0] > 1000
        assert max(kernel.shape.grid[1:]) < 65536
