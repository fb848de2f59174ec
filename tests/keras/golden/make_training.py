"""Writes training.json: what Keras gives for the runs of tests/helpers/keras_training.py.

In an environment of its own:

    pip install keras jax
    PYTHONPATH=tests KERAS_BACKEND=jax python tests/keras/golden/make_training.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
from helpers import keras_training as runs


def rounded(value):
    """The numbers of a nest of lists and dicts with 8 digits, more than float32 has."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.8g}")


def main() -> None:
    golden = {"keras": keras.__version__, "runs": {}}
    for name, case in runs.CASES.items():
        golden["runs"][name] = rounded(runs.results(keras, case))
    path = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("training.json")
    Path(path).write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
