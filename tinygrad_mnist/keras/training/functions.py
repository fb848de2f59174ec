"""The compiled steps of a model: made once per `compile`, and used by every later run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.functions import Function, function
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.training.objective import Objective
from tinygrad_mnist.keras.training.protocol import TrainableModel
from tinygrad_mnist.keras.training.resident import Resident
from tinygrad_mnist.keras.training.samples import Kind


class Step:
    """One step, as a function of a batch and as one of a batch's number in resident data.

    stage: "train", "test" or "predict". The outputs are the loss, the sums of the metrics and the
    sums of the weights of weighted ones; of "predict", the model's output.
    """

    def __init__(
        self, model: TrainableModel, objective: Objective | None, stage: str, kind: Kind
    ) -> None:
        self._stage = stage
        self._inputs = _inputs(kind)
        self._outputs, self._updates = _expressions(model, objective, stage, kind, self._inputs)
        self._on_batch: Function | None = None
        self._on_resident: Function | None = None
        self.resident = Resident(kind)

    @property
    def on_batch(self) -> Function:
        """The function of (x, y, weights), those that there are."""
        if self._on_batch is None:
            self._on_batch = function(
                self._inputs,
                self._outputs,
                updates=self._updates,
                name=f"{self._stage}_on_batch",
                on_unused_input="ignore",
            )
        return self._on_batch

    @property
    def on_resident(self) -> Function:
        """The function of (i, batch size): the step on batch i of the resident samples."""
        if self._on_resident is None:
            i, size = T.lscalar("i"), T.lscalar("batch_size")
            givens = {
                variable: data[i * size : (i + 1) * size]
                for variable, data in zip(self._inputs, self.resident.variables, strict=True)
            }
            self._on_resident = function(
                [i, size],
                self._outputs,
                updates=self._updates,
                givens=givens,
                name=self._stage,
                on_unused_input="ignore",
            )
        return self._on_resident


class Steps:
    """The steps of a model for all stages and kinds of data, made when they are first used.

    They are made anew where the model's layers or weights have become others.
    """

    def __init__(self, model: TrainableModel, objective: Objective | None) -> None:
        self._model = model
        self._objective = objective
        self._made_for: tuple[list[Any], set[Variable]] = [], set()
        self._made: dict[tuple[str, str, Kind], Step] = {}

    def step(self, stage: str, kind: Kind) -> Step:
        made_for: tuple[list[Any], set[Variable]]
        made_for = list(self._model.layers), set(self._model.weights)
        if made_for != self._made_for:
            self._made.clear()
            self._made_for = made_for
        key = (stage, config.device, kind)
        if key not in self._made:
            objective = None if stage == "predict" else self._objective
            self._made[key] = Step(self._model, objective, stage, kind)
        return self._made[key]


def _inputs(kind: Kind) -> list[Variable]:
    forms = [("x", config.floatX, kind.x_ndim)]
    if kind.y_shape is not None:
        forms.append(("y", str(kind.y_dtype), 1 + len(kind.y_shape)))
    if kind.weights_ndim is not None:
        forms.append(("sample_weight", config.floatX, kind.weights_ndim))
    return [T.TensorType(dtype, (False,) * ndim)(name) for name, dtype, ndim in forms]


def _expressions(
    model: TrainableModel,
    objective: Objective | None,
    stage: str,
    kind: Kind,
    inputs: Sequence[Variable],
) -> tuple[list[Variable], list[tuple[Any, Any]]]:
    """The outputs and the updates of a step."""
    ran = model.forward(inputs[0], training=stage == "train")
    if objective is None:
        return [ran.output], []
    y = inputs[1]
    weights = inputs[2] if kind.weights_ndim is not None else None
    assert kind.y_shape is not None
    objective.choose_metrics((None, *kind.y_shape), model.output_shape)
    cost = objective.cost(y, ran.output, weights, ran.penalties)
    sums, totals = objective.measured(y, ran.output, weights)
    updates: list[tuple[Any, Any]] = []
    if stage == "train":
        parameters = list(model.trainable_weights)
        if parameters:
            updates += objective.optimizer.updates(cost, parameters)
        else:
            warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        updates += ran.updates
    return [cost, *sums, *totals], updates
