"""`tinygrad-mnist train`: trains a network of the book, or a Keras model."""

from __future__ import annotations

import argparse
import time
from typing import Any

from tinygrad_mnist.booknets import RECIPES, book_net
from tinygrad_mnist.cli import train_model
from tinygrad_mnist.cli.arguments import UsageError, add_device, positive, say, seed
from tinygrad_mnist.cli.data import add_data, load
from tinygrad_mnist.compile.listing import counted
from tinygrad_mnist.config import config
from tinygrad_mnist.files import check_writable
from tinygrad_mnist.network3 import Checkpoint, share_data

#: Epochs without --epochs: a few minutes on two cores, and close to what the net can reach.
DEFAULT_EPOCHS = {"fc": 30, "conv1": 10, "conv2": 10, "conv2-relu": 10, "dropout": 5}
DEFAULT_NET = "conv2-relu"
MINI_BATCH_SIZE = 10
CHECKPOINT_EVERY = 5000  # mini-batches
#: Runs with fewer epochs anneal the learning rate where the network has a peak for that.
FULL_RUN = 20
RATES = ("auto", "book", "annealed")


def add_parser(commands: Any) -> None:
    """Adds the command to those of the command line."""
    names = "; ".join(f"{name}: {recipe.summary}" for name, recipe in RECIPES.items())
    parser = commands.add_parser(
        "train",
        help="train a network; the last line on standard output is its test accuracy",
        description="Train one of the book's networks with the book's settings. Only the learning"
        " rate of short runs differs (see --rate). The lines on standard output are those of the"
        " book's program, and then the test accuracy in percent, such as `98.97 %`."
        f" Networks: {names}. With --model, train a Keras model in its place.",
    )
    parser.add_argument(
        "--net", choices=tuple(RECIPES), help=f"one of the book's; default: {DEFAULT_NET}"
    )
    parser.add_argument(
        "--epochs",
        type=positive,
        help="passes over the training data; default: "
        + ", ".join(f"{name} {epochs}" for name, epochs in DEFAULT_EPOCHS.items()),
    )
    parser.add_argument(
        "--rate",
        type=_rate,
        help="learning rate; book: the book's constant one; annealed: rising and then falling,"
        " for good results after few epochs; auto: annealed below"
        f" {FULL_RUN} epochs, if the network has it; default: auto. With --model: a number",
    )
    parser.add_argument(
        "--seed", type=seed, default=1, help="seed of the initial weights; default: %(default)s"
    )
    parser.add_argument(
        "--expand",
        action="store_true",
        help="add each training image moved by one pixel in four directions: five times the data"
        " and the time",
    )
    parser.add_argument("--threads", type=positive, help="CPU threads; default: one per processor")
    add_device(parser)
    parser.add_argument(
        "--quiet", action="store_true", help="print only the last line, without a progress bar"
    )
    parser.add_argument(
        "--test-data",
        metavar="PATH",
        help="read the test images from here, such as MNIST's after training on digits",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help=f"keep the run's state in this file: every {CHECKPOINT_EVERY:,} mini-batches, after"
        " each epoch, and when Ctrl-C ends the run",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the file of --checkpoint, if it is there"
    )
    parser.add_argument(
        "--early-stopping",
        type=positive,
        metavar="N",
        help="end after N epochs without a better validation accuracy",
    )
    add_data(parser, "--data", "--dataset")
    train_model.add_arguments(parser)


def _rate(text: str) -> str | float:
    """One of `RATES`, or a positive number."""
    if text in RATES:
        return text
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        known = ", ".join(map(repr, RATES))
        raise argparse.ArgumentTypeError(
            f"invalid choice: {text!r} (choose from {known}; with --model a positive number)"
        )
    return value


def run(options: argparse.Namespace) -> int:
    """Trains; returns the exit code. Raises what reading the data raises, and UsageError."""
    config.device = options.device
    if options.threads is not None:
        config.threads = options.threads
    if options.model is not None:
        if options.net is not None:
            raise UsageError("--net and --model exclude each other")
        if isinstance(options.rate, str):
            raise UsageError(f"--rate {options.rate} is for --net; with --model it is a number")
        return train_model.run(options)
    for name in train_model.OWN_OPTIONS:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} needs --model")
    if isinstance(options.rate, float):
        raise UsageError(f"--rate {options.rate} needs --model; here it can be {', '.join(RATES)}")
    return _train_book_net(options, options.net or DEFAULT_NET, options.rate or "auto")


def _checkpoint(options: argparse.Namespace) -> Checkpoint | None:
    if options.checkpoint is None:
        if options.resume:
            raise UsageError("--resume needs --checkpoint FILE")
        return None
    check_writable(options.checkpoint)  # before anything is printed
    return Checkpoint(options.checkpoint, CHECKPOINT_EVERY, options.resume)


def _train_book_net(options: argparse.Namespace, name: str, wanted_rate: str) -> int:
    recipe = RECIPES[name]
    checkpoint = _checkpoint(options)
    epochs = options.epochs or DEFAULT_EPOCHS[name]
    splits, kind = load(options)
    net = book_net(name, MINI_BATCH_SIZE, options.seed)
    anneal = wanted_rate == "annealed" or (
        wanted_rate == "auto" and recipe.peak is not None and epochs < FULL_RUN
    )
    rate = f"up to {recipe.peak} and down to 0, the book's is {recipe.eta}"
    hint = ", a few minutes" if options.epochs is None and not options.expand else ""
    say(
        options,
        f"{recipe.name}: {recipe.summary}; {len(splits.training.labels):,} {kind}training images"
        f"{f', tested on {options.test_data}' if options.test_data else ''},"
        f" {counted(epochs, 'epoch')}{hint} (the book: {recipe.epochs}), learning rate"
        f" {rate if anneal else recipe.eta}, seed {options.seed}",
    )
    start = time.perf_counter()
    training, validation, test = share_data(splits)
    history = net.train(
        training,
        validation,
        test,
        epochs,
        anneal,
        quiet=options.quiet,
        progress=False if options.quiet else None,
        early_stopping=options.early_stopping,
        checkpoint=checkpoint,
    )
    say(options, f"{time.perf_counter() - start:.0f} s")
    assert history.test_accuracy is not None
    print(f"{100 * history.test_accuracy:.2f} %")
    return 0
