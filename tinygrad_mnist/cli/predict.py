"""`tinygrad-mnist predict`: what digits image files show."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.cli.arguments import UsageError, add_device, positive
from tinygrad_mnist.cli.drawing import draw
from tinygrad_mnist.cli.models import (
    MODEL_HELP,
    as_usage,
    check_classes,
    ends_in_softmax,
    inputs_for,
    model_of,
)
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets.photos import SIDE, ImageError, as_mnist, read_image
from tinygrad_mnist.profiling.columns import terminal_width

_NEXT = 2  # further classes that are shown
_INDENT = "  "


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    parser = commands.add_parser(
        "predict",
        help="classify image files: label, probability, and a drawing of what the model saw",
        description="Classify images of one digit each: PNG, JPEG and others that Pillow reads."
        " They are brought to the form of MNIST's: light on dark, cropped, scaled to 20 pixels,"
        " centred by mass in 28x28. Printed are the class with its probability, the next ones, what"
        " was done to the image, and a drawing of the result.",
    )
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument(
        "--as-is",
        action="store_true",
        help="leave the images as they are, but for colour: they must have 28x28 pixels",
    )
    parser.add_argument("--threads", type=positive, help="CPU threads; default: one per processor")
    add_device(parser)
    parser.add_argument(
        "--quiet", action="store_true", help="print file, label and probability alone, with tabs"
    )


def run(options: argparse.Namespace) -> int:
    """Prints the classes; returns the exit code. Raises UsageError for what is no image, and for
    models that don't fit."""
    config.device, config.threads = options.device, options.threads
    prepared = [_prepared(path, options.as_is) for path in options.images]
    images = np.stack([image for image, _ in prepared])
    model = model_of(options.model)
    inputs = inputs_for(model, options.model, images)
    check_classes(model, options.model, np.zeros(0, int))
    with as_usage(options.model):
        outputs = model.predict(inputs, verbose=0).astype(np.float64)
    if not ends_in_softmax(model):
        powers = np.exp(outputs - outputs.max(1, keepdims=True))
        outputs = powers / powers.sum(1, keepdims=True)
    for path, (image, steps), shares in zip(options.images, prepared, outputs, strict=True):
        best = int(shares.argmax())
        if options.quiet:
            print(f"{path}\t{best}\t{shares[best]:.4f}")
        else:
            _print(path, image, steps, shares)
    return 0


def _prepared(path: str, as_is: bool) -> tuple[NDArray[np.uint8], list[str]]:
    """An image file in the form of MNIST's, and what was done."""
    try:
        image = read_image(path)
        if not as_is:
            return as_mnist(image)
    except ImageError as error:
        text = str(error)
        raise UsageError(text if text.startswith(path) else f"{path}: {text}") from None
    if image.shape != (SIDE, SIDE):
        height, width = image.shape
        raise UsageError(f"{path}: the image has {width}x{height} pixels; --as-is needs 28x28")
    return image, []


def _print(
    path: str, image: NDArray[np.uint8], steps: list[str], shares: NDArray[np.float64]
) -> None:
    order = np.argsort(-shares, kind="stable")
    best, *others = [f"{label} ({100 * shares[label]:.1f} %)" for label in order[: _NEXT + 1]]
    print(f"{path}: {best}")
    if others:
        print(f"{_INDENT}then {', '.join(others)}")
    text = ", ".join(steps) or "in the form of MNIST"
    print(textwrap.fill(text, terminal_width(), initial_indent=_INDENT, subsequent_indent=_INDENT))
    for line in draw(image, sys.stdout).strip("\n").split("\n"):
        print(f"{_INDENT}{line}".rstrip())
