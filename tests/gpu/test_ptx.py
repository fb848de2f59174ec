"""The device `ptx`: functions, and training from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.small_mnist import small_arrays, write_idx_folder

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import cli, config
from tinygrad_mnist.errors import IndexOutOfRangeError

pytestmark = pytest.mark.ptx


def test_functions_run_on_the_device() -> None:
    """Shared variables stay there from call to call; a failed check changes nothing."""
    results = []
    for name in ("ptx", "cpu"):
        config.device = name
        w = theano.shared(np.ones((4, 3), np.float32))
        labels, i = T.ivector("labels"), T.lscalar("i")
        step = theano.function([labels, i], w[labels].sum(), updates=[(w, w + T.exp(w[i]) / 8)])
        costs = [step([0, 3], 1), *step.sweep(np.array([[1, 2], [3, 3]]), np.array([0, 1]))]
        with pytest.raises(IndexOutOfRangeError):
            step([0, 4], 1)
        results.append((np.array(costs), w.get_value()))
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_training_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All lines that the book's program prints are the same as on the CPU."""
    write_idx_folder(tmp_path, small_arrays(training=120, test=20))
    printed = []
    for device in ("ptx", "cpu"):
        arguments = ["train", "--device", device, "--net", "fc", "--epochs", "2"]
        assert cli.main([*arguments, "--data", str(tmp_path)]) == 0
        out, err = capsys.readouterr()
        printed.append(out.splitlines())
        assert "100 training images, 2 epochs" in err
    assert printed[0] == printed[1]
    assert printed[0][0] == "Training mini-batch number 0"
    assert printed[0][-1].endswith(" %")
