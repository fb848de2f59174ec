"""Writes data.json: what TensorFlow gives for the programs of tests/helpers/tf_cases.py.

In an environment of its own:

    pip install tensorflow
    PYTHONPATH=tests python tests/tf/golden/make_data.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import tensorflow as tf
from helpers import tf_cases as cases


def dataset_results(made):
    return {
        "elements": [cases.plain(element) for element in made],
        "spec": cases.plain_spec(made.element_spec),
        "cardinality": int(made.cardinality()),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        golden = {
            "tensorflow": tf.__version__,
            "datasets": {
                key: dataset_results(program(tf, folder)) for key, program in cases.DATASETS.items()
            },
            "values": {
                key: cases.plain(program(tf, folder)) for key, program in cases.VALUES.items()
            },
        }
    Path(__file__).with_name("data.json").write_text(json.dumps(golden, indent=None) + "\n")


if __name__ == "__main__":
    main()
