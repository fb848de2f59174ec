"""`tinygrad-mnist expand`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist import cli
from tinygrad_mnist.cli.expand import AMOUNTS
from tinygrad_mnist.datasets import EXPANDED_PLACE, expand_augmented, expand_mnist, load_mnist

pytestmark = pytest.mark.usefixtures("small_mnist")


def test_the_book_s_file_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["expand"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{EXPANDED_PLACE}: 250 training, 10 validation and 20 test images, 0.")
    assert err == "tinygrad-mnist: 250 training images of 50\n"
    found, small = load_mnist(EXPANDED_PLACE), load_mnist()
    np.testing.assert_array_equal(found.training[0], expand_mnist(small.training).images)
    np.testing.assert_array_equal(found.validation[0], small.validation[0])


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["--format", "idx"], "../data/mnist_expanded"),
        (["--format", "npz", "--out", "new/set.npz"], "new/set.npz"),
        (["--out", "set.pkl.gz"], "set.pkl.gz"),
    ],
)
def test_distorted_images_in_every_format(arguments: list[str], place: str) -> None:
    more = ["--augment", "--count", "120", "--seed", "3", "--rotation", "30", "--scale", "0"]
    assert cli.main(["expand", *more, *arguments]) == 0
    amounts = {**AMOUNTS, "rotation": 30, "scale": 0}
    expected = expand_augmented(load_mnist().training, 120, 3, **amounts)
    found = load_mnist(place)
    np.testing.assert_array_equal(found.training.images, expected.images)
    np.testing.assert_array_equal(found.training.labels, expected.labels)
    np.testing.assert_array_equal(found.validation.images, load_mnist().validation.images)


def test_fewer_shifts() -> None:
    assert (
        cli.main(["expand", "--shifts", "--count", "70", "--out", "x.npz", "--format", "npz"]) == 0
    )
    expected = expand_mnist(load_mnist().training).images[:70]
    np.testing.assert_array_equal(load_mnist("x.npz").training.images, expected)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--count", "251"], 1, "--count is 251; from 50 images to 250 can be made"),
        (["--augment", "--count", "49"], 1, "--count is 49"),
        (["--rotation", "3"], 1, "--rotation goes with --augment"),
        (["--augment", "--rotation", "-3"], 1, "rotation is -3"),
        (["--augment", "--shifts"], 2, "not allowed with"),
        (["--out", "x.npz"], 1, "must end in .pkl.gz"),
        (["--count", "0"], 2, "not a positive integer"),
        (["--elastic", "3"], 2, "expected 2 arguments"),
        (["--data", "absent"], 1, "no such file"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["expand", *arguments]) == code
    assert message in capsys.readouterr().err
    assert list(Path("../data").iterdir()) == []
