"""What reaches the gradients of a convolution behind a pool, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.convolutions import Case as Convolution
from helpers.gpu import BACKEND, OneCall
from helpers.gpu_cases.conv2d_grad import WHICH, kernel_name, problem

pytestmark = [pytest.mark.sim, pytest.mark.gpu]


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_reach_what_they_should(bad, which):
    conv = Convolution(2, 1, (6, 7), 2, (3, 3), pool=(2, 2))
    rng = np.random.default_rng(8)
    inputs, outputs, params = problem(conv, which, "identity", False, False, rng)
    inputs[1][...] = 0
    inputs[1][0, 1, 1, 1] = bad
    inputs[2][0, 1, 1, 1] = 0b0010
    [result] = OneCall(kernel_name(conv, which), inputs, outputs, params).run(BACKEND)
    hit = np.zeros(result.shape, bool)
    if which == "filter":
        hit[1] = True
    else:
        hit[0, :, 2:5, 3:6] = True  # the patch of position (2, 3)
    assert not np.isfinite(result[hit]).any()
    np.testing.assert_array_equal(result[~hit], 0)


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("other", [np.nan, np.inf])
def test_a_zero_gradient_adds_nothing(other, which):
    conv = Convolution(2, 2, (6, 5), 3, (2, 2), pool=(2, 2))
    rng = np.random.default_rng(9)
    inputs, outputs, params = problem(conv, which, "identity", False, False, rng)
    inputs[1][...] = 0
    inputs[0][...] = 1
    if which == "filter":
        inputs[1][0, 1, 1, 0] = 2
        inputs[0][1] = other
    else:
        inputs[1][1, 1, 1, 0] = 2
        inputs[0][0] = inputs[0][2] = other
    inputs[2][...] = 0b0101
    [result] = OneCall(kernel_name(conv, which), inputs, outputs, params).run(BACKEND)
    wanted = np.zeros(result.shape)
    if which == "filter":
        wanted[1] = 4  # two winners
    else:
        wanted[1, :, 2, 0:2] += 2
        wanted[1, :, 3, 0:2] += 4
        wanted[1, :, 4, 0:2] += 2
    np.testing.assert_array_equal(result, wanted)
