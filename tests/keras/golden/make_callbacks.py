"""Writes callbacks.json: what Keras's callbacks do in the runs of tests/helpers/callback_cases.py.

In an environment of its own:

    pip install keras jax
    PYTHONPATH=tests KERAS_BACKEND=jax python tests/keras/golden/make_callbacks.py
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
from helpers import callback_cases as cases


def results(name):
    return [
        [cases.run(keras, name, options, values) for values in cases.sequences()]
        for options in cases.OPTIONS[name]
    ]


def main() -> None:
    golden = {"keras": keras.__version__, **{name: results(name) for name in cases.OPTIONS}}
    with TemporaryDirectory() as folder:
        golden["CSVLogger"] = [cases.csv_text(keras, *case, Path(folder)) for case in cases.CSV]
    Path(__file__).with_name("callbacks.json").write_text(json.dumps(golden, indent=None) + "\n")


if __name__ == "__main__":
    main()
