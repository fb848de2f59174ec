"""What TensorFlow gives, kept in golden/data.json, for programs of tests/helpers/tf_cases.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tf_cases as cases

from tinygrad_mnist import tf

GOLDEN = json.loads((Path(__file__).parent / "golden" / "data.json").read_text())


def check(found: Any, expected: Any) -> None:
    """Structures, shapes and dtypes are equal, values but for the last bits of floats."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name in expected:
            check(found[name], expected[name])
    elif (
        expected
        and isinstance(expected[0], list)
        and expected[0]
        and isinstance(expected[0][0], list)
    ):
        assert len(found) == len(expected)
        for part, wanted in zip(found, expected, strict=True):
            check(part, wanted)
    else:
        assert found[:2] == expected[:2]
        if expected[1].startswith("float"):
            np.testing.assert_allclose(found[2], expected[2], rtol=3e-7, atol=1e-7)
        else:
            assert found[2] == expected[2]


@pytest.mark.parametrize("name", cases.DATASETS)
def test_elements(name: str, tmp_path: Path) -> None:
    expected = GOLDEN["datasets"][name]
    dataset = cases.DATASETS[name](tf, tmp_path)
    for _ in range(2):
        elements = [cases.plain(element) for element in dataset]
        assert len(elements) == len(expected["elements"])
        for found, wanted in zip(elements, expected["elements"], strict=True):
            check(found, wanted)


# TensorFlow knows less: shapes behind decode_raw, `filter` and records; the length of a reshape.
@pytest.mark.parametrize("name", cases.DATASETS)
def test_spec_and_cardinality(name: str, tmp_path: Path) -> None:
    expected = GOLDEN["datasets"][name]
    dataset = cases.DATASETS[name](tf, tmp_path)
    assert int(dataset.cardinality()) == expected["cardinality"]
    assert cases.plain_spec(dataset.element_spec) == expected["spec"]


@pytest.mark.parametrize("name", cases.VALUES)
def test_values(name: str, tmp_path: Path) -> None:
    check(cases.plain(cases.VALUES[name](tf, tmp_path)), GOLDEN["values"][name])
