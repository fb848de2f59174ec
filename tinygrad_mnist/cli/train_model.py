"""`tinygrad-mnist train --model`: trains a Keras model, and saves it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_mnist.cli.arguments import UsageError, positive, say
from tinygrad_mnist.cli.data import load
from tinygrad_mnist.cli.models import (
    MODEL_HELP,
    as_usage,
    check_classes,
    ends_in_softmax,
    inputs_for,
    model_of,
    targets_for,
)
from tinygrad_mnist.files import check_writable
from tinygrad_mnist.keras import Sequential, losses, optimizers
from tinygrad_mnist.keras.datasets.loading import keras_form
from tinygrad_mnist.keras.utils import set_random_seed
from tinygrad_mnist.plots import plot_history
from tinygrad_mnist.plots.figures import checked_path
from tinygrad_mnist.tutorials import TUTORIALS

#: Options that --net doesn't have.
OWN_OPTIONS = ("batch_size", "optimizer", "validation_split", "save", "plot")
EPOCHS, BATCH = 5, 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of --model."""
    group = parser.add_argument_group(
        "Keras models",
        "--model trains a model in place of a book's network. Pixels are divided by 255. The last"
        " line is the accuracy on the test images. A tutorial's model has the optimizer, epochs,"
        " batch size and learning rates of its text; one that isn't compiled gets Adam and"
        f" cross-entropy; {EPOCHS} epochs in batches of {BATCH}.",
    )
    group.add_argument("--model", metavar="MODEL", help=MODEL_HELP)
    group.add_argument("--batch-size", type=positive, help="images in a step")
    group.add_argument("--optimizer", metavar="NAME", help="such as adam, sgd or rmsprop")
    group.add_argument(
        "--validation-split",
        type=_share,
        metavar="SHARE",
        help="part of the training images that is kept to validate on, such as 0.1; default: none",
    )
    group.add_argument("--save", metavar="PATH", help="save the trained model in this file")
    group.add_argument(
        "--plot", metavar="PATH", help="draw the training curves; a .png, .svg or .pdf file"
    )


def _share(text: str) -> float:
    """A number in [0, 1)."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value


def run(options: argparse.Namespace) -> int:
    """Trains and tests; returns the exit code. Raises UsageError for what doesn't fit."""
    name = options.model
    _check_paths(options)
    tutorial = TUTORIALS.get(name) if not Path(name).is_file() else None
    set_random_seed(options.seed)
    model = model_of(name)
    _compile(model, options.optimizer, options.rate)
    if options.data is None and tutorial is not None and tutorial.dataset != "mnist":
        options.data = tutorial.dataset
    splits, kind = load(options)
    (x, y), (x_test, y_test) = keras_form(splits)
    inputs, test_inputs = inputs_for(model, name, x), inputs_for(model, name, x_test)
    classes = check_classes(model, name, np.concatenate([y, y_test]))
    epochs = options.epochs or (tutorial.epochs if tutorial else EPOCHS)
    batch = options.batch_size or (tutorial.batch_size if tutorial else BATCH)
    say(
        options,
        f"{name}: {model.count_params():,} parameters; {len(x):,} {kind}training images,"
        f" {epochs} epochs, batch size {batch}, {type(model.optimizer).__name__}"
        f" {float(model.optimizer.learning_rate):.4g}, seed {options.seed}",
    )
    start = time.perf_counter()
    callbacks = tutorial.callbacks() if tutorial and options.rate is None else []
    with as_usage(name):
        history = model.fit(
            inputs,
            targets_for(model, y, classes),
            batch,
            epochs,
            verbose=0 if options.quiet else "auto",
            callbacks=callbacks,
            validation_split=options.validation_split or 0.0,
        )
    say(options, f"{time.perf_counter() - start:.0f} s")
    if options.save is not None:
        model.save(options.save)
        say(options, f"saved: {options.save}")
    if options.plot is not None:
        plot_history(history, options.plot)
        say(options, f"drawn: {options.plot}")
    print(f"{100 * accuracy(model, test_inputs, y_test):.2f} %")
    return 0


def _check_paths(options: argparse.Namespace) -> None:
    """Raises UsageError and OSError, before any work, for files that can't be written
    afterwards."""
    for name in ("save", "plot"):
        path = getattr(options, name)
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise UsageError(f"--{name} {path}: there is no such folder")
    if options.plot is not None:
        with as_usage("--plot"):
            checked_path(options.plot)
    for path in (options.save, options.plot):
        if path is not None:
            check_writable(path)


def _compile(model: Sequential, optimizer: str | None, rate: float | None) -> None:
    """Compiles what isn't, and what is to have another optimizer. Raises UsageError for an unknown
    one."""
    if optimizer is not None or not model.compiled:
        loss: Any = model.loss or losses.SparseCategoricalCrossentropy(not ends_in_softmax(model))
        try:
            chosen = optimizers.get(optimizer or "adam")
        except ValueError as error:
            raise UsageError(f"--optimizer: {error}") from None
        model.compile(chosen, loss, metrics=model.metrics or ["accuracy"])
    if rate is not None:
        model.optimizer.learning_rate = rate


def accuracy(model: Sequential, inputs: Any, labels: Any) -> float:
    """The share of inputs whose largest output is that of the label."""
    outputs = model.predict(inputs, BATCH, verbose=0)
    return float(np.mean(outputs.argmax(1) == labels))
