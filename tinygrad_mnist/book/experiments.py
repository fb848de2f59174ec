"""The experiments, by name, in the book's order, with the accuracies that it reports.

Source: M. Nielsen, Neural Networks and Deep Learning (2015), chapter 6. The last one is that of
D. Cireșan et al., Deep Big Simple Neural Nets Excel on Handwritten Digit Recognition (2010), which
the chapter proposes as a problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    ReLU,
    SoftmaxLayer,
    sigmoid,
    tanh,
)
from tinygrad_mnist.training.activations import Activation

MINI_BATCH_SIZE = 10
PLAIN, EXPANDED, DISTORTED = "plain", "expanded", "distorted"

Layers = list[Any]


@dataclass(frozen=True)
class Experiment:
    """A network and how it is trained, always in mini-batches of 10.

    reported: the test accuracy in the book, in percent; None where it gives none. eta: the learning
    rate; with `last_eta`, that of the first epoch, from which it falls by a constant factor per
    step. data: PLAIN, EXPANDED (each image and its four shifts by one pixel) or DISTORTED
    (distorted anew for every epoch).
    """

    name: str
    summary: str
    layers: Callable[[], Layers]
    epochs: int = 60
    eta: float = 0.1
    lmbda: float = 0.0
    data: str = PLAIN
    reported: float | None = None
    last_eta: float | None = None


def _conv(maps: int, before: int, side: int, activation_fn: Activation) -> ConvPoolLayer:
    """Filters of 5 x 5 and pooling of 2 x 2 for images of a side."""
    return ConvPoolLayer(
        filter_shape=(maps, before, 5, 5),
        image_shape=(MINI_BATCH_SIZE, before, side, side),
        activation_fn=activation_fn,
    )


def _with_one_conv(*hidden: int) -> Callable[[], Layers]:
    def layers() -> Layers:
        return [_conv(20, 1, 28, sigmoid), *_dense(20 * 12 * 12, hidden, sigmoid)]

    return layers


def _with_two_convs(
    *hidden: int, activation_fn: Activation = ReLU, p_dropout: float = 0.0
) -> Callable[[], Layers]:
    def layers() -> Layers:
        first, second = _conv(20, 1, 28, activation_fn), _conv(40, 20, 12, activation_fn)
        return [first, second, *_dense(40 * 4 * 4, hidden, activation_fn, p_dropout)]

    return layers


def _dense(
    n_in: int, hidden: tuple[int, ...], activation_fn: Activation, p_dropout: float = 0.0
) -> Layers:
    """Fully-connected layers, and a softmax layer of 10 classes."""
    layers: Layers = []
    for n_out in hidden:
        layers.append(FullyConnectedLayer(n_in, n_out, activation_fn, p_dropout))
        n_in = n_out
    return [*layers, SoftmaxLayer(n_in, 10, p_dropout)]


def scaled_tanh(z: Any) -> Any:
    """1.7159 tanh(2 z / 3), the activation of Cireșan et al.; its values at 1 and -1 are these."""
    return 1.7159 * tanh(2 * z / 3)


def _deep() -> Layers:
    return _dense(784, (2500, 2000, 1500, 1000, 500), scaled_tanh)


def _relu(name: str, summary: str, *hidden: int, **settings: Any) -> Experiment:
    """The net with two convolutions and rectified linear units, on the expanded data."""
    p_dropout = settings.pop("p_dropout", 0.0)
    layers = _with_two_convs(*hidden, p_dropout=p_dropout)
    common = {"eta": 0.03, "lmbda": 0.1, "data": EXPANDED}
    return Experiment(name, summary, layers, **{**common, **settings})


_CONV2 = "conv 20, conv 40"
#: The experiments by name.
EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment("shallow", "100 sigmoid", lambda: _dense(784, (100,), sigmoid), reported=97.80),
        Experiment("conv1", "conv 20, 100 sigmoid", _with_one_conv(100), reported=98.78),
        Experiment("conv1-no-fc", "conv 20, no fully-connected layer", _with_one_conv()),
        Experiment(
            "conv2",
            f"{_CONV2}, 100 sigmoid",
            _with_two_convs(100, activation_fn=sigmoid),
            reported=99.06,
        ),
        Experiment(
            "tanh", f"{_CONV2}, 100 tanh", _with_two_convs(100, activation_fn=tanh), eta=0.03
        ),
        _relu("relu", f"{_CONV2}, 100 ReLU", 100, data=PLAIN, reported=99.23),
        _relu("expanded-100", f"{_CONV2}, 100 ReLU", 100, reported=99.37),
        _relu("expanded-300", f"{_CONV2}, 300 ReLU", 300, reported=99.46),
        _relu("expanded-1000", f"{_CONV2}, 1000 ReLU", 1000, reported=99.43),
        _relu("two-fc-100", f"{_CONV2}, 100, 100 ReLU", 100, 100, reported=99.43),
        _relu("two-fc-300", f"{_CONV2}, 300, 300 ReLU", 300, 300, reported=99.48),
        _relu("two-fc-1000", f"{_CONV2}, 1000, 1000 ReLU", 1000, 1000, reported=99.47),
        *(
            _relu(
                f"dropout-{n}",
                f"{_CONV2}, {n}, {n} ReLU, dropout 0.5",
                n,
                n,
                p_dropout=0.5,
                lmbda=0.0,
                epochs=40,
                reported=99.60 if n == 1000 else None,
            )
            for n in (300, 1000)
        ),
        Experiment(
            "mlp",
            "2500, 2000, 1500, 1000, 500 tanh, distorted images",
            _deep,
            epochs=800,
            eta=1e-3,
            last_eta=1e-6,
            data=DISTORTED,
            reported=99.65,
        ),
    )
}
#: The vote: five networks of one experiment.
VOTE, VOTE_OF, VOTERS, VOTE_REPORTED = "vote", "dropout-1000", 5, 99.67
