"""One run of an experiment: a network trained from a seed, kept in a folder."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_mnist.book.experiments import (
    DISTORTED,
    EXPANDED,
    EXPERIMENTS,
    MINI_BATCH_SIZE,
    Experiment,
    scaled_tanh,
)
from tinygrad_mnist.datasets import Splits, augmented, expand_mnist, load_data
from tinygrad_mnist.files import write_whole
from tinygrad_mnist.network3 import Checkpoint, Network, share_data, size
from tinygrad_mnist.training.schedule import falling

CHECKPOINT_EVERY = 5000  # steps
#: Functions that a saved network of an experiment may have.
OWN = {"scaled_tanh": scaled_tanh}
# Of the distorted images: what Cireșan et al. use for most digits.
_DISTORTION: dict[str, Any] = {"rotation": 15.0, "scale": 0.15, "elastic": (36.0, 5.5)}


def train(
    experiment: str,
    seed: int,
    epochs: int,
    folder: str,
    data: str | None = None,
    early_stopping: int | None = None,
) -> dict[str, float]:
    """Trains the network of an experiment; returns its figures.

    seed: of the initial weights, and of the order or the distortions of the images. folder: gets
    `NAME-SEED.safetensors`, the network of the best epoch, and `NAME-SEED.csv`, its curves; a
    checkpoint, from which a run goes on that was stopped; and while it runs, how far it is. data:
    as for `load_data`.
    """
    recipe = EXPERIMENTS[experiment]
    place = Path(folder, f"{experiment}-{seed}")
    training, validation, test = share_data(_splits(recipe, data, seed))
    net = Network(recipe.layers(), MINI_BATCH_SIZE, seed)
    steps = epochs * (size(training) // MINI_BATCH_SIZE)
    eta: Any = recipe.eta
    if recipe.last_eta is not None:
        eta = falling(recipe.eta, recipe.last_eta, steps)
    is_distorted = recipe.data == DISTORTED
    path = checkpoint_of(folder, experiment, seed, epochs)
    checkpoint = Checkpoint(path, CHECKPOINT_EVERY, resume=True)
    history = net.SGD(
        training,
        epochs,
        MINI_BATCH_SIZE,
        eta,
        validation,
        test,
        recipe.lmbda,
        quiet=True,
        progress=False,
        early_stopping=early_stopping,
        callbacks=[partial(_note, place.with_suffix(".progress"), epochs)],
        before_epoch=augmented(training, seed=seed, **_DISTORTION) if is_distorted else None,
        checkpoint=checkpoint,
    )
    Network.load(checkpoint.path, OWN, best=True).save(place.with_suffix(".safetensors"))
    write_whole(place.with_suffix(".csv"), history.to_csv().encode())
    place.with_suffix(".progress").unlink(missing_ok=True)
    assert history.test_accuracy is not None
    return {
        "validation": 100 * history.best_validation_accuracy,
        "test": 100 * history.test_accuracy,
        "epochs": history.epochs,
        "train_seconds": history.seconds,
    }


def _splits(recipe: Experiment, data: str | None, seed: int) -> Splits:
    splits = load_data(data)
    if recipe.data != EXPANDED:
        return splits
    return splits._replace(training=expand_mnist(splits.training, seed))


def _note(path: Path, epochs: int, net: Network, epoch: int) -> None:
    """Says how far the run is, for whoever watches."""
    history = net.history
    state = {
        "epoch": epoch + 1,
        "of": epochs,
        "validation": 100 * history.validation_accuracies[-1],
        "seconds": history.seconds,
    }
    write_whole(path, json.dumps(state).encode())


def checkpoint_of(
    folder: str | os.PathLike[str], experiment: str, seed: int, epochs: int, **_: object
) -> Path:
    """The checkpoint of a run of so many epochs. Other settings of the run don't count."""
    return Path(folder, f"{experiment}-{seed}-{epochs}.checkpoint")


def saved_network(folder: str | os.PathLike[str], experiment: str, seed: int) -> Network:
    """The network that a finished run has left. Raises OSError and SavedFileError."""
    return Network.load(Path(folder, f"{experiment}-{seed}.safetensors"), OWN)
