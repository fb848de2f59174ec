"""`tinygrad-mnist summary`: the layers of a model and their parameters."""

from __future__ import annotations

import argparse
from typing import Any

from tinygrad_mnist.cli.models import MODEL_HELP, as_usage, model_of


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "summary",
        help="print the layers of a model, the shapes of their outputs and their parameters",
        description="Print the table of a Keras model's layers. One that has no input's shape is"
        " built for images of 28x28.",
    )
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)


def run(options: argparse.Namespace) -> int:
    """Prints the table; returns the exit code. Raises UsageError where there is no such model."""
    model = model_of(options.model)
    if not model.built and model.layers:
        with as_usage(options.model):
            model.build((None, 28, 28, 1))
    model.summary()
    return 0
