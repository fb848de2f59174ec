"""Checkpoints of a run of SGD: from one, a run goes on bit for bit as if it had never stopped.

A checkpoint is also a saved network, with the parameters of the last step.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tinygrad_mnist.errors import SavedFileError, in_short
from tinygrad_mnist.files import check_writable
from tinygrad_mnist.functions import Function
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.values import flag, integer, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.network3.data import Data
from tinygrad_mnist.network3.inference import labels_of
from tinygrad_mnist.network3.saving import (
    BEST,
    HISTORY,
    STATE,
    Arrays,
    described,
    param_names,
    value_for,
    values_for,
)
from tinygrad_mnist.printing import pp
from tinygrad_mnist.saving import Saved, load_arrays, save_arrays
from tinygrad_mnist.training import History

Settings = dict[str, Any]
_SEED = "seed of shuffling"
_COSTS, _VALIDATION, _TEST = (
    f"{HISTORY}{name}" for name in ("costs", "validation_accuracies", "test_accuracies")
)


class Checkpoint:
    """Where a run of SGD keeps its state, and how often.

    path: of a file, which is always whole: a new one replaces it when it is written. every: number
    of steps between two writings; None: only after each epoch, where the state is written in any
    case, as it is when Ctrl-C ends the run. resume: go on from the file; if it isn't there, the run
    starts as usual.

    The state: all shared variables that steps and evaluations use, but for the data, the parameters
    of the best epoch, and the measurements. What a function of one's own keeps elsewhere isn't in
    it: what `before_epoch` does must depend on the epoch's number alone, and the callbacks of an
    epoch are called again if the run was stopped before the last of them had ended.

    Raises TypeError or ValueError for arguments of the wrong kind.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int | None = None, resume: bool = False
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path is {shown(path)}; it must be the name of a file")
        self.path = Path(path)
        self.every = None if every is None else integer(every, "every", 1)
        self.resume = flag(resume, "resume")

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, every={self.every}, resume={self.resume})"

    def found(self) -> Saved | None:
        """The file to go on from; None if the run is to start.

        Raises OSError, naming the file, if it can't be read or written; SavedFileError for one that
        is no checkpoint.
        """
        check_writable(self.path)
        if not self.resume or not self.path.exists():
            return None
        saved = load_arrays(self.path)
        run = saved.description.get("run") if isinstance(saved.description, dict) else None
        if not isinstance(run, dict) or not isinstance(run.get("settings"), dict):
            raise SavedFileError(f"{saved.path} is no checkpoint of a run")
        return saved


class Trained(Protocol):
    """What a run's state needs of a network that is being trained."""

    layers: list[Any]
    mini_batch_size: int
    history: History


class RunState:
    """All that a run needs to go on: parameters, what else the steps use, measurements.

    functions: those of the run. data: the pairs that they read. settings: JSON data that a run has
    to share with the one that wrote its checkpoint. ended_epochs: the epochs after which all
    callbacks have ended.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        network: Trained,
        functions: Sequence[Function],
        data: Sequence[Data],
        settings: Settings,
    ) -> None:
        self._checkpoint = checkpoint
        self._layers = network.layers
        self._description = described(network.layers, network.mini_batch_size)
        self._params = param_names(network.layers)
        # Counters of schedules, states of random streams, learning rates that callbacks change.
        used = dict.fromkeys(v for function in functions for v in function.get_shared())
        of_data = set(leaves([variable for pair in data for variable in pair]))
        others = [v for v in used if v not in self._params and v not in of_data]
        self._others = {v: f"{STATE}{number}" for number, v in enumerate(others)}
        self._history, self._settings = network.history, settings
        self._best: Arrays = {}
        self.ended_epochs = 0

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
        arrays[_COSTS] = history.costs
        arrays[_VALIDATION] = np.array(history.validation_accuracies)
        arrays[_TEST] = np.array(history.test_accuracies)
        run = {
            "settings": self._settings,
            "seconds": history.seconds,
            "ended epochs": self.ended_epochs,
        }
        save_arrays(self._checkpoint.path, arrays, {**self._description, "run": run})

    def read(self, saved: Saved, batches: int) -> None:
        """Takes over what a checkpoint has. batches: steps of an epoch.

        Raises SavedFileError, which names what differs, for one of another network or run; then
        the network is as it was.
        """
        self._check(saved)
        values = values_for(saved, self._layers)
        values |= {v: value_for(saved, v, name) for v, name in self._others.items()}
        validation, test, seconds, ended = self._past(saved, batches)
        best: Arrays = {}
        if validation:
            best = {BEST + n: value_for(saved, p, BEST + n) for p, n in self._params.items()}
        for variable, value in values.items():
            variable.set_value(value)
        self._best, self.ended_epochs = best, ended
        self._history.seconds = seconds
        self._history.record_costs(saved.arrays[_COSTS])
        for epoch, accuracies in enumerate(zip(validation, test, strict=True)):
            is_best = self._history.record_validation(accuracies[0], (epoch + 1) * batches - 1)
            if is_best and not np.isnan(accuracies[1]):
                self._history.record_test(accuracies[1])

    def _past(self, saved: Saved, batches: int) -> tuple[list[float], list[float], float, int]:
        """The accuracies of a checkpoint's epochs, its duration and its `ended_epochs`."""
        try:
            costs, validation, test = (
                saved.arrays[name].astype(float, casting="safe")
                for name in (_COSTS, _VALIDATION, _TEST)
            )
            seconds = float(saved.description["run"]["seconds"])
            ended = saved.description["run"]["ended epochs"]
        except (LookupError, TypeError, ValueError) as error:
            raise SavedFileError(f"{saved.path} is damaged: {in_short(error)}") from error
        epochs = validation.size
        is_whole = (
            costs.ndim == validation.ndim == 1
            and validation.shape == test.shape
            and epochs * batches <= costs.size <= (epochs + 1) * batches
            and 0 <= seconds < np.inf
            and ended in (epochs - 1, epochs)
        )
        if not is_whole:
            raise SavedFileError(f"{saved.path} is damaged: its measurements don't fit each other")
        return validation.tolist(), test.tolist(), seconds, ended

    def _check(self, saved: Saved) -> None:
        for name, own in self._description.items():
            if (other := saved.description.get(name)) != own:
                raise SavedFileError(f"{saved.path} is of a network with {name} {other}, not {own}")
        settings = saved.description["run"]["settings"]
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


def run_settings(
    data: Mapping[str, Data | None], eta: Any, lmbda: Any, seed: int | None, changing: bool
) -> Settings:
    """What two runs must share for one to go on from the other's checkpoint.

    data: by the names of SGD's arguments. seed: of shuffling. changing: the training images are new
    in each epoch, so that only their labels count.
    """
    settings: Settings = {
        name: pp(value) if isinstance(value, Variable) else float(value)
        for name, value in (("eta", eta), ("lmbda", lmbda))
    }
    settings[_SEED] = seed
    for number, (name, pair) in enumerate(data.items()):
        title = name.replace("_", " ")
        settings[title] = None if pair is None else _digest(pair, not changing or number > 0)
    return settings


def _digest(data: Data, has_images: bool) -> str:
    """Of the data's values."""
    x, y = data
    digest = hashlib.blake2b(digest_size=8)
    for array in (x.get_value(borrow=True), labels_of(y, None))[0 if has_images else 1 :]:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def curves_in(path: str | os.PathLike[str]) -> dict[str, list[float]] | None:
    """The accuracies of a run's epochs by the names of Keras's logs; None for a file of a network
    that is no checkpoint. Raises OSError and SavedFileError."""
    arrays = load_arrays(path).arrays
    names = {"val_accuracy": _VALIDATION, "test_accuracy": _TEST}
    if not all(name in arrays for name in names.values()):
        return None
    return {key: arrays[name].tolist() for key, name in names.items()}


def shuffle_seed(saved: Saved) -> int | None:
    """The seed of the orders in the run of a checkpoint; None if it took the data's own."""
    seed = saved.description["run"]["settings"].get(_SEED)
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else None
