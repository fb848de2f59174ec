"""A kernel that is registered from outside runs on a GPU: values, failed checks, machine code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.gpu import BACKEND
from helpers.gpu_plans import plan_of, planning_for_cuda

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends.cuda.code import Code, Recipe, compile_here, kernel_names, machine_code
from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.errors import IndexOutOfRangeError

NAME = "take_scaled"


@pytest.fixture(autouse=True)
def _take_scaled_is_registered() -> Iterator[None]:
    from helpers.take_scaled_cuda import registered_with_kernel  # it imports Numba

    with registered_with_kernel():
        assert NAME in kernel_names()
        yield
    assert NAME not in kernel_names()


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_a_failed_check(dtype: str) -> None:
    from helpers.take_scaled import take_scaled

    theano.config.device = BACKEND
    rng = np.random.default_rng(0)
    x, b = T.matrix("x", dtype), T.vector("b", dtype)
    index = T.lvector("index")
    w = theano.shared(rng.normal(size=(3, 4)).astype(dtype), "w")
    before = w.get_value()
    data, bias = rng.normal(size=(5, 4)).astype(dtype), rng.normal(size=4).astype(dtype)
    first = theano.function([x, index, b], T.tanh(take_scaled(x, index, 2) - b))
    taken = take_scaled(x, index, 3)
    step = theano.function([x, index], [], updates=[(w, w - 0.5 * taken)])

    result = first(data, [4, 0, -5], bias)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(result, np.tanh(2 * data[[4, 0, 0]] - bias), rtol=tolerance)
    step(data, [4, 0, -5])
    np.testing.assert_allclose(w.get_value(), before - 1.5 * data[[4, 0, 0]], rtol=tolerance)
    for function in (first, step):
        kernels = [call.kernel for call in function.plan.calls]
        assert kernels == ["check_range", NAME]  # what follows is the epilogue

    before = w.get_value()
    for wrong in ([1, 5, 0], [-6, 0, 0], [0, 0, 10**6]):
        with pytest.raises(IndexOutOfRangeError, match=r"the index index .* between -5 and 4"):
            step(data, wrong)
        with pytest.raises(IndexOutOfRangeError, match="the index index"):
            first(data, wrong, bias)
    np.testing.assert_array_equal(w.get_value(), before)


@pytest.mark.compile
def test_its_machine_code_is_made_here_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it depends on besides its design is not known."""
    from helpers.take_scaled import take_scaled

    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(tmp_path))
    x, index = T.fmatrix("x"), T.lvector("index")
    with planning_for_cuda():
        function = theano.function([x, index], T.tanh(take_scaled(x, index, 2)))
        plan = plan_of(function, np.zeros((5, 4), np.float32), [0, 1])
    design = design_plan(plan, (9, 0))[1].design
    handed_on = []

    def elsewhere(recipes: Sequence[Recipe]) -> Iterable[tuple[Recipe, Code]]:
        handed_on.extend(recipes)
        return compile_here(recipes)

    code = machine_code([design], elsewhere)[design]
    assert code.kernels[0].cubin
    assert handed_on == []
    assert not list(tmp_path.glob(f"{NAME}-*"))
