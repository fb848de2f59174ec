"""What `compile` was given: the optimizer, the loss and the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import number
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras import losses, metrics, optimizers

Shape = Sequence[int | None]


@dataclass(frozen=True)
class Measure:
    """A metric of `compile`. given: what the user named it by. is_weighted: whether the weights of
    samples count."""

    name: str
    given: Any
    is_weighted: bool


class Objective:
    """The loss that training minimises, and the metrics that are measured beside it.

    Raises TypeError or ValueError for an optimizer, a loss or a metric that there isn't.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        loss_weights: Any = None,
        given_metrics: Any = None,
        weighted_metrics: Any = None,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        loss = _single(loss, "loss")
        self.loss = None if loss is None else losses.get(loss)
        weight = _single(loss_weights, "loss_weights")
        self.loss_weight = None if weight is None else number(weight, "loss_weights")
        self.measures = _measures(given_metrics, weighted_metrics)
        self.metrics: list[metrics.Metric] = [metrics.get(m.given) for m in self.measures]

    @property
    def names(self) -> list[str]:
        """Of the values that a batch gives: the loss, then the metrics."""
        return ["loss", *(m.name for m in self.measures)]

    @property
    def is_weighted(self) -> list[bool]:
        """Whether a value is a mean over the samples' weights, not over their number."""
        return [False, *(m.is_weighted for m in self.measures)]

    def choose_metrics(self, true_shape: Shape, pred_shape: Shape) -> None:
        """Sets `metrics` to those that fit these shapes, samples first: "accuracy" has kinds."""
        self.metrics = [metrics.for_shapes(m.given, true_shape, pred_shape) for m in self.measures]

    def cost(
        self, y: Variable, pred: Variable, weights: Variable | None, penalties: Sequence[Variable]
    ) -> Variable:
        """The loss of a batch with the penalties of regularizers: a scalar."""
        if self.loss is None:
            raise ArgumentError("there is no loss: compile(loss=...) names one")
        cost = T.as_tensor_variable(self.loss(y, pred, weights))
        if cost.ndim:
            raise GraphTypeError(
                f"the loss {self.loss.name} gives {cost.type} for a batch; it has to be a scalar, "
                "so its reduction can't be 'none'"
            )
        if self.loss_weight is not None:
            cost = cost * self.loss_weight
        return sum(penalties, T.cast(cost, "floatX"))

    def measured(
        self, y: Variable, pred: Variable, weights: Variable | None
    ) -> tuple[list[Variable], list[Variable]]:
        """Scalars: for each metric the sum over the batch; for each weighted one the sum of the
        samples' weights."""
        sums, totals = [], []
        for measure, metric in zip(self.measures, self.metrics, strict=True):
            values = metric.values(y, pred)
            if measure.is_weighted:
                own = T.ones_like(values) if weights is None else T.cast(weights, values.dtype)
                values = losses.weighted(values, own)
                totals.append(T.sum(own))
            sums.append(T.cast(T.sum(values), "floatX"))
        return sums, totals


def _single(given: Any, what: str) -> Any:
    """The only element of a list or dict per output, of which a model has one."""
    is_described = isinstance(given, Mapping) and "class_name" in given
    if is_described or not isinstance(given, Mapping | list | tuple):
        return given
    elements = list(given.values() if isinstance(given, Mapping) else given)
    if len(elements) != 1:
        raise ArgumentError(f"{what} has {len(elements)} elements; the model has one output")
    return elements[0]


def _measures(given: Any, weighted: Any) -> list[Measure]:
    found: list[Measure] = []
    count: dict[str, int] = {}
    for is_weighted, identifiers in ((False, given), (True, weighted)):
        for identifier in _flat(identifiers):
            name = _name(identifier)
            number_of_name = count.get(name, 0)
            count[name] = number_of_name + 1
            if number_of_name and is_weighted and number_of_name == 1:
                name = f"weighted_{name}"
            elif number_of_name:
                name = f"{name}_{number_of_name}"
            found.append(Measure(name, identifier, is_weighted))
    return found


def _flat(given: Any) -> Iterator[Any]:
    if given is None:
        return
    if isinstance(given, Mapping) and "class_name" not in given:
        given = list(given.values())
    if isinstance(given, list | tuple):
        for element in given:
            yield from _flat(element)
    else:
        yield given


def _name(identifier: Any) -> str:
    return identifier if isinstance(identifier, str) else str(metrics.get(identifier).name)
