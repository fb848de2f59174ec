"""A network of layers, and its training by stochastic gradient descent."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.errors import SavedFileError, in_short
from tinygrad_mnist.functions import Function, function, prepare
from tinygrad_mnist.graph.values import flag, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.network3.checkpoint import (
    Checkpoint,
    RunState,
    as_checkpoint,
    run_settings,
    shuffle_seed,
)
from tinygrad_mnist.network3.data import Data, size
from tinygrad_mnist.network3.gpu import check_flag, on_wanted_device
from tinygrad_mnist.network3.inference import (
    Answers,
    Evaluation,
    evaluation,
    labels_of,
    pair_of,
    rows_of,
)
from tinygrad_mnist.network3.layers import SoftmaxLayer
from tinygrad_mnist.network3.run import Batches, Run
from tinygrad_mnist.network3.saving import BEST, described, fill, layers_of, param_names
from tinygrad_mnist.network3.shapes import values_per_image
from tinygrad_mnist.network3.shuffle import Shuffled
from tinygrad_mnist.network3.summary import summary_of
from tinygrad_mnist.saving import Saved, load_arrays, save_arrays
from tinygrad_mnist.training import (
    History,
    Reporter,
    check_data,
    check_last_layer,
    check_layers,
    check_seed,
    check_settings,
    positive_integer,
)
from tinygrad_mnist.training.checks import as_patience, functions_of
from tinygrad_mnist.training.labels import LayerLabels
from tinygrad_mnist.training.layers import (
    check_fit,
    declared,
    outputs_of,
    params_of,
    shown_layer,
)
from tinygrad_mnist.training.nonfinite import check_costs
from tinygrad_mnist.training.schedule import as_rate

#: Is given the network and the number of the epoch that has ended; True ends the run.
Callback = Callable[["Network", int], Any]


class Network:
    """Layers, connected one after the other, and their training.

    Parameters without a name get one by their layer: `conv1.w`, `fc2.b`, `softmax.w`.

    layers: first to last, the last one with a `cost`, such as SoftmaxLayer.
    mini_batch_size: number of images in every batch, in training and in evaluation.
    seed: None keeps the weights that the layers drew from `numpy.random` when they
        were made. A number gives them the weights that they would have drawn in this
        order right after `numpy.random.seed(seed)`; the global generator is unchanged.

    Raises ValueError when a layer does not fit the one before it or the mini-batch size.
    """

    train_mb: Function
    validate_mb_accuracy: Function
    test_mb_accuracy: Function
    test_mb_predictions: Function
    history: History
    _trained_pixels: int | None = None  # of the data, where the first layer doesn't say it

    def __init__(
        self, layers: Sequence[Any], mini_batch_size: int, seed: int | None = None
    ) -> None:
        check_flag()
        self.mini_batch_size = positive_integer("mini_batch_size", mini_batch_size)
        check_layers(layers, self.mini_batch_size)
        self.layers = list(layers)
        if seed is not None:
            self._initialize(check_seed(seed))
        self.x = T.matrix("x")
        self.y = T.ivector("y")
        self._labels = LayerLabels(self.layers)
        self.output, self.output_dropout = self._connect()
        self._labels.name_params()  # of layers that have made them when they were connected
        # Once each, also where layers share one.
        params = [param for layer in self.layers for param in params_of(layer)]
        self.params = list(dict.fromkeys(params))

    def __repr__(self) -> str:
        return f"Network([{', '.join(map(shown_layer, self.layers))}], {self.mini_batch_size})"

    def _connect(self) -> tuple[Variable, Variable]:
        """Gives every layer the outputs of the one before it; returns those of the last."""
        inpt: Variable = self.x
        inpt_dropout: Variable = self.x
        before = pixels = self._pixels
        for number, layer in enumerate(self.layers):
            check_fit(number, layer, before)
            with self._labels.inside(number):
                layer.set_inpt(inpt, inpt_dropout, self.mini_batch_size)
            inpt, inpt_dropout = outputs_of(number, layer)
            before = declared(layer, "n_out")
            if pixels is not None:
                before = values_per_image(inpt, self.x, self.mini_batch_size, pixels)
        return inpt, inpt_dropout

    def _initialize(self, seed: int) -> None:
        rng = np.random.RandomState(seed)
        for number, layer in enumerate(self.layers):
            if not hasattr(layer, "initialize"):
                raise TypeError(
                    f"seed= needs a method initialize(rng), which layer {number}"
                    f" ({type(layer).__name__}) doesn't have"
                )
            layer.initialize(rng)

    def SGD(  # noqa: N802
        self,
        training_data: Data,
        epochs: int,
        mini_batch_size: int,
        eta: float | Variable,
        validation_data: Data,
        test_data: Data | None,
        lmbda: float | Variable = 0.0,
        *,
        progress: bool | None = None,
        quiet: bool = False,
        allow_nonfinite: bool = False,
        early_stopping: int | None = None,
        shuffle: bool = False,
        callbacks: Sequence[Callback] = (),
        before_epoch: Callable[[int], Any] | None = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> History:
        """Train by stochastic gradient descent on mini-batches, in the data's order.

        training_data, validation_data, test_data: pairs of `load_data_shared`. Batches
            are whole: images after the last whole one are not used. test_data may be None;
            else it is evaluated when the validation accuracy is the best so far.
        epochs: passes over the training data, at least 1.
        mini_batch_size: that of the network.
        eta: learning rate, a number or a scalar (shared) variable.
        lmbda: strength of L2 regularisation; the cost has the term
            0.5 * lmbda * (sum of squared weights) / (number of training batches).
        progress: draw a bar on standard error; None: when that is a terminal.
        quiet: print nothing on standard output.
        allow_nonfinite: go on after a cost that is NaN or infinite. Otherwise training stops
            when the sweep of up to 100 steps that it is in has ended.
        early_stopping: end after so many epochs in a row whose validation accuracy was not above
            the best before them.
        shuffle: take the images in a new order in each epoch, by `numpy.random`. A second copy of
            the training data is kept.
        callbacks: functions that are called after every epoch with the network and the epoch's
            number; the run ends when one returns True itself.
        before_epoch: is called before every epoch with its number; it may change the values of the
            training data.
        checkpoint: a file for the run's state, or a `Checkpoint`, which says how often it is
            written and whether the run goes on from it.

        Returns the History, also `self.history`. After a KeyboardInterrupt every parameter has its
        value after the last whole step, and `self.history` has the measurements until then.

        Raises TypeError or ValueError before the first step when a setting or the data don't fit;
        the message names the setting, or the part of the data and the image. NonFiniteCostError
        for a cost that is NaN or infinite names the step, the learning rate and the first layer
        with a parameter that is not finite.
        """
        check_last_layer(self.layers[-1])
        check_settings(epochs, mini_batch_size, self.mini_batch_size, eta, lmbda)
        data = {
            "training_data": training_data,
            "validation_data": validation_data,
            "test_data": test_data,
        }
        self._check_all(data)
        patience = as_patience(early_stopping)
        acts = [partial(callback, self) for callback in functions_of(callbacks, "callbacks")]
        place = as_checkpoint(checkpoint)
        saved = None if place is None else place.found()
        before = [] if before_epoch is None else functions_of([before_epoch], "before_epoch")
        orders = self._orders(training_data, flag(shuffle, "shuffle"), saved)
        if orders is not None:
            before.append(orders.draw)
        self.history = History()
        start = time.perf_counter()
        shuffled = None if orders is None else orders.data
        training = self._training(shuffled or training_data, eta, lmbda)
        validation, test = self._measurements(validation_data, test_data)
        steps = [training, validation] if test is None else [training, validation, test]
        state = None
        if place is not None:
            seed = None if orders is None else orders.seed
            settings = run_settings(data, eta, lmbda, seed, before_epoch is not None)
            state = self._state(place, steps, [*data.values(), shuffled], settings)
            if saved is not None:
                state.read(saved, training.count)
        start -= self.history.seconds
        prepare((batches.of, [0]) for batches in steps)
        check = partial(check_costs, batches=training.count, eta=eta, layers=self.layers)
        try:
            with Reporter(epochs * training.count, mini_batch_size, progress, quiet) as report:
                run = Run(
                    training,
                    validation,
                    test,
                    self.history,
                    report,
                    check_costs=None if allow_nonfinite else check,
                    patience=patience,
                    before_epoch=before,
                    after_epoch=acts,
                    begin=start,
                    state=state,
                )
                run.epochs(epochs)
        finally:
            self.history.seconds = time.perf_counter() - start
        return self.history

    # --- after training ---------------------------------------------------------------------------

    def predict(self, images: Any, probabilities: bool = False) -> NDArray[Any]:
        """The network's answer for each image, int64 (n,); a scalar for one image.

        images: an array of any number of images, (n, pixels) or with more axes, or one image; or a
        shared variable of them. Pixels are in 0..1. probabilities: give the outputs of the last
        layer, floatX (n, classes), instead.

        Raises TypeError or ValueError where these are no images that the network takes.
        """
        rows, is_one = rows_of(images, self._pixels)
        wanted = self.output if flag(probabilities, "probabilities") else self._y_out("predict")
        (values,) = self._answers(wanted).of(rows)
        return values[0] if is_one else values

    def evaluate(self, data: Any) -> Evaluation:
        """How the network answers for images with known labels: for all of them, also those that
        fill no mini-batch.

        data: a pair of images and labels: arrays, or as `load_data_shared` gives them.

        Raises TypeError or ValueError where they don't fit the network or each other.
        """
        images, labels = pair_of(data)
        rows, _ = rows_of(images, self._pixels)
        classes = declared(self.layers[-1], "n_out")
        known = labels_of(labels, classes)
        if len(known) != len(rows):
            raise ValueError(f"{len(rows)} images, but {len(known)} labels")
        if not len(rows):
            raise ValueError("there are no images to evaluate")
        wanted = [self._y_out("evaluate")]
        has_cost = isinstance(self.layers[-1], SoftmaxLayer)
        if has_cost:
            wanted.append(T.log(self.output))
        predictions, *logarithms = self._answers(*wanted).of(rows)
        costs = -logarithms[0][np.arange(len(known)), known] if has_cost else None
        return evaluation(predictions, known, classes, costs)

    def summary(self) -> None:
        """Prints the layers with the shapes of their outputs, and the numbers of parameters."""
        names = self._labels.names
        print(summary_of(self.layers, names, self.x, self.mini_batch_size, self._pixels))

    @property
    def _pixels(self) -> int | None:
        return declared(self.layers[0], "n_in") or self._trained_pixels

    @property
    def _classes(self) -> int | None:
        """None where the last layer doesn't say it, or gives one number for something else."""
        n_out = declared(self.layers[-1], "n_out")
        return None if n_out == 1 else n_out

    def _y_out(self, method: str) -> Variable:
        layer = self.layers[-1]
        if not hasattr(layer, "y_out"):
            raise TypeError(
                f"{method} needs `y_out` of the last layer, which a {type(layer).__name__} doesn't"
                " have; predict(images, probabilities=True) gives its output"
            )
        return layer.y_out  # type: ignore[no-any-return]

    def _answers(self, *wanted: Variable) -> Answers:
        return Answers(self.x, wanted, self.mini_batch_size)

    # --- files ------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the parameters and how the layers are made to one file, whole or not at all.

        The file is in the safetensors format. A layer of one's own that is no subclass of the
        book's, and has arguments, needs a method `settings()`, which gives them by name. Classes
        and activation functions of one's own are named again when the file is loaded.

        Raises TypeError, naming the layer, for what can't be saved; OSError, naming the file.
        """
        description = described(self.layers, self.mini_batch_size)
        arrays = {name: p.get_value() for p, name in param_names(self.layers).items()}
        save_arrays(path, arrays, description)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        custom_objects: Mapping[str, Any] | None = None,
        best: bool = False,
    ) -> Network:
        """The network of a file that `save`, or SGD's `checkpoint`, has written.

        custom_objects: classes of layers and functions of one's own, by name. best: of a
        checkpoint, the parameters of the epoch with the best validation accuracy.

        Raises OSError if the file can't be read; SavedFileError, naming it, where it isn't a
        network's, or needs what isn't known.
        """
        own = {} if custom_objects is None else custom_objects
        if not isinstance(own, Mapping):
            raise TypeError(f"custom_objects is {shown(own)}; it must be a dict by name")
        saved = load_arrays(path)
        layers = layers_of(saved, own)
        try:
            network = cls(layers, saved.description["mini_batch_size"])
        except Exception as error:  # what the layers of a hostile file raise
            raise SavedFileError(
                f"{saved.path}: its layers make no network: {in_short(error)}"
            ) from error
        fill(saved, layers, BEST if flag(best, "best") else "")
        return network

    # --- parts of SGD -----------------------------------------------------------------------------

    def _orders(self, data: Data, is_wanted: bool, saved: Saved | None) -> Shuffled | None:
        """The copy of the data in new orders, those of a checkpoint if there is one."""
        if not is_wanted:
            return None
        return Shuffled(data, None if saved is None else shuffle_seed(saved))

    def _training(self, data: Data, eta: float | Variable, lmbda: float | Variable) -> Batches:
        """The steps on data, whose function is also the network's attribute."""
        self.train_mb = self.training_function(data, eta, lmbda)
        return self._batches(self.train_mb, data)

    def _measurements(
        self, validation_data: Data, test_data: Data | None
    ) -> tuple[Batches, Batches | None]:
        """The functions that give accuracies, which are also the network's attributes."""
        self.validate_mb_accuracy = self._accuracy_function(validation_data, "validate_mb_accuracy")
        validation = self._batches(self.validate_mb_accuracy, validation_data)
        if test_data is None:
            return validation, None
        self.test_mb_accuracy = self._accuracy_function(test_data, "test_mb_accuracy")
        if hasattr(self.layers[-1], "y_out"):  # the book's have it
            self.test_mb_predictions = self._prediction_function(test_data)
        return validation, self._batches(self.test_mb_accuracy, test_data)

    def _batches(self, of: Function, data: Data) -> Batches:
        return Batches(of, size(data) // self.mini_batch_size)

    def _state(
        self,
        place: Checkpoint,
        steps: Sequence[Batches],
        data: Sequence[Data | None],
        settings: dict[str, Any],
    ) -> RunState:
        """The state of a run, for its checkpoint. data: what the steps read."""
        read = [pair for pair in data if pair is not None]
        return RunState(place, self, [batches.of for batches in steps], read, settings)

    def _check_all(self, data: Mapping[str, Data | None]) -> None:
        """Checks SGD's data, by the names of its arguments."""
        for name, pair in data.items():
            if pair is not None or name != "test_data":
                self._check_data(name, pair)

    def _check_data(self, name: str, data: Any) -> None:
        check_data(name, data, self.mini_batch_size, self._pixels, self._classes)
        if self._pixels is None:
            # Raises ShapeError where the layers don't take images of this size.
            pixels = data[0].get_value(borrow=True).shape[1]
            values_per_image(self.output, self.x, self.mini_batch_size, pixels)
            self._trained_pixels = pixels

    def _batch(self, values: Variable, i: Variable) -> Variable:
        return values[i * self.mini_batch_size : (i + 1) * self.mini_batch_size]

    def training_function(
        self, data: Data, eta: float | Variable, lmbda: float | Variable
    ) -> Function:
        """train_mb(i): one step on mini-batch i; returns the cost before it."""
        batches = size(data) // self.mini_batch_size
        eta, lmbda = as_rate(eta), as_rate(lmbda)
        last = len(self.layers) - 1
        with self._labels.inside(last):
            cost = self.layers[last].cost(self)
        if isinstance(lmbda, Variable) or lmbda != 0:
            cost = cost + 0.5 * lmbda * sum(self._squares()) / batches
        gradients = dict(zip(self.params, grad(cost, self.params), strict=True))
        updates = []
        for number, layer in enumerate(self.layers):
            with self._labels.beside(number):
                updates += [
                    (w, w - eta * gradients.pop(w)) for w in params_of(layer) if w in gradients
                ]
        i = T.lscalar("i")
        givens = {self.x: self._batch(data[0], i), self.y: self._batch(data[1], i)}
        with on_wanted_device():
            return function([i], cost, updates=updates, givens=givens, name="train_mb")

    def _squares(self) -> Iterator[Variable]:
        for number, layer in enumerate(self.layers):
            if hasattr(layer, "w"):
                with self._labels.inside(number):
                    squares = (layer.w**2).sum()
                yield squares

    def _accuracy_function(self, data: Data, name: str) -> Function:
        """f(i): fraction of right answers on mini-batch i."""
        i = T.lscalar("i")
        givens = {self.x: self._batch(data[0], i), self.y: self._batch(data[1], i)}
        last = len(self.layers) - 1
        with self._labels.inside(last):
            accuracy = self.layers[last].accuracy(self.y)
        with on_wanted_device():
            return function([i], accuracy, givens=givens, name=name)

    def _prediction_function(self, data: Data) -> Function:
        """f(i): the classes, int64 (mini_batch_size,), given to the images of mini-batch i."""
        i = T.lscalar("i")
        givens = {self.x: self._batch(data[0], i)}
        with on_wanted_device():
            return function([i], self.layers[-1].y_out, givens=givens, name="test_mb_predictions")
