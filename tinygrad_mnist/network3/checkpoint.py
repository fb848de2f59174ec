"""Checkpoints of a run of SGD: from one, a run goes on bit for bit as if it had never stopped.

A checkpoint is also a saved network, with the parameters of the last step.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.functions import Function
from tinygrad_mnist.graph.values import flag, integer, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.network3.data import Data
from tinygrad_mnist.network3.inference import labels_of
from tinygrad_mnist.network3.saving import Arrays, described, fill, fill_one, param_names
from tinygrad_mnist.printing import pp
from tinygrad_mnist.saving import Saved, load_arrays, save_arrays
from tinygrad_mnist.training import History

Settings = dict[str, Any]
_SEED = "seed of shuffling"
BEST = "best."  # before the names of the parameters of the best epoch


class Checkpoint:
    """Where a run of SGD keeps its state, and how often.

    path: of a file, which is always whole: a new one replaces it when it is written. every: number
    of steps between two writings; None: only after each epoch, where the state is written in any
    case, as it is when an exception such as KeyboardInterrupt ends the run. resume: go on from the
    file; if it isn't there, the run starts as usual.

    Raises TypeError or ValueError for arguments of the wrong kind.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int | None = None, resume: bool = False
    ) -> None:
        self.path = Path(path)
        self.every = None if every is None else integer(every, "every", 1)
        self.resume = flag(resume, "resume")

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, every={self.every}, resume={self.resume})"

    def found(self) -> Saved | None:
        """The file to go on from. Raises SavedFileError for one that is no checkpoint."""
        if not self.resume or not self.path.exists():
            return None
        saved = load_arrays(self.path)
        if not isinstance(saved.description, dict) or "run" not in saved.description:
            raise SavedFileError(f"{saved.path} is no checkpoint of a run")
        return saved


class Trained(Protocol):
    """What a run's state needs of a network that is being trained."""

    layers: list[Any]
    mini_batch_size: int
    train_mb: Function
    history: History


class RunState:
    """All that a run needs to go on: parameters, what else the steps change, measurements.

    settings: JSON data that a run has to share with the one that wrote its checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint, network: Trained, settings: Settings) -> None:
        self._checkpoint = checkpoint
        self._layers = network.layers
        self._description = described(network.layers, network.mini_batch_size)
        self._params = param_names(network.layers)
        # Counters of schedules, states of random streams.
        others = [v for v in network.train_mb.updated if v not in self._params]
        self._others = {v: f"state{number}" for number, v in enumerate(others)}
        self._history, self._settings = network.history, settings
        self._best: Arrays = {}

    def keep_best(self) -> None:
        """The parameters are those of the best epoch so far."""
        self._best = {BEST + name: param.get_value() for param, name in self._params.items()}

    @property
    def every(self) -> int | None:
        """Number of steps between two writings; None: there are none within an epoch."""
        return self._checkpoint.every

    def write(self) -> None:
        """Writes the file. Raises OSError, naming it."""
        history = self._history
        arrays: Arrays = {name: v.get_value() for v, name in (self._params | self._others).items()}
        arrays |= self._best
        arrays["history.costs"] = history.costs
        arrays["history.validation_accuracies"] = np.array(history.validation_accuracies)
        arrays["history.test_accuracies"] = np.array(history.test_accuracies)
        run = {"settings": self._settings, "seconds": history.seconds}
        save_arrays(self._checkpoint.path, arrays, {**self._description, "run": run})

    def read(self, saved: Saved, batches: int) -> None:
        """Takes over what a checkpoint has. batches: steps of an epoch.

        Raises SavedFileError, which names what differs, for one of another network or run.
        """
        self._check(saved)
        fill(saved, self._layers)
        for variable, name in self._others.items():
            fill_one(saved, variable, name)
        self._best = {n: a for n, a in saved.arrays.items() if n.startswith(BEST)}
        history = self._history
        try:
            history.record_costs(saved.arrays["history.costs"])
            validation = saved.arrays["history.validation_accuracies"].tolist()
            tests = saved.arrays["history.test_accuracies"].tolist()
            history.seconds = float(saved.description["run"]["seconds"])
        except (LookupError, TypeError, ValueError) as error:
            raise SavedFileError(f"{saved.path} is damaged: {error}") from error
        for epoch, (accuracy, test) in enumerate(zip(validation, tests, strict=True)):
            is_best = history.record_validation(accuracy, (epoch + 1) * batches - 1)
            if is_best and not np.isnan(test):
                history.record_test(test)

    def _check(self, saved: Saved) -> None:
        for name, own in self._description.items():
            if (other := saved.description.get(name)) != own:
                raise SavedFileError(f"{saved.path} is of a network with {name} {other}, not {own}")
        settings = saved.description["run"].get("settings", {})
        for name, own in self._settings.items():
            if (other := settings.get(name)) != own:
                raise SavedFileError(
                    f"{saved.path} is of a run with {name} {other}; this one has {own}"
                )


def as_checkpoint(given: Any) -> Checkpoint | None:
    """A checkpoint by its path, or as it is. Raises TypeError."""
    if given is None or isinstance(given, Checkpoint):
        return given
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"checkpoint is {shown(given)}; it must be a path or a Checkpoint")
    return Checkpoint(given)


def run_settings(data: Data, eta: Any, lmbda: Any, seed: int | None) -> Settings:
    """What two runs must share for one to go on from the other's checkpoint. seed: of shuffling."""
    x, y = data
    digest = hashlib.blake2b(digest_size=8)
    for array in (x.get_value(borrow=True), labels_of(y, None)):
        digest.update(np.ascontiguousarray(array).data)
    rates = {
        name: pp(value) if isinstance(value, Variable) else float(value)
        for name, value in (("eta", eta), ("lmbda", lmbda))
    }
    return {**rates, _SEED: seed, "training data": digest.hexdigest()}


def curves_in(path: str | os.PathLike[str]) -> dict[str, list[float]] | None:
    """The accuracies of a run's epochs by the names of Keras's logs; None for a file of a network
    that is no checkpoint. Raises OSError and SavedFileError."""
    arrays = load_arrays(path).arrays
    names = {"val_accuracy": "validation_accuracies", "test_accuracy": "test_accuracies"}
    if not all(f"history.{name}" in arrays for name in names.values()):
        return None
    return {key: arrays[f"history.{name}"].tolist() for key, name in names.items()}


def shuffle_seed(saved: Saved) -> int | None:
    """The seed of the orders in the run of a checkpoint; None if it took the data's own."""
    settings = saved.description["run"].get("settings")
    seed = settings.get(_SEED) if isinstance(settings, dict) else None
    return seed if isinstance(seed, int) else None
