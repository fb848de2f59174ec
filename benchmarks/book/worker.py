"""A process that trains a network of the book, an epoch at a time, with one library.

    python worker.py LIBRARY NETWORK DATA.npz

LIBRARY: `ours`; `pytorch` or `pytorch-compiled`, the loop that a user of PyTorch writes, without
and with `torch.compile`. An epoch is a pass over the training data in mini-batches of 10, and the
accuracy on the validation data. This file imports nothing of the project for PyTorch.

Requests and answers are lines of JSON on standard input and output:
    {"do": "epoch"}    -> its seconds, and the validation accuracy
    {"do": "version"}  -> the library's
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

BATCH = 10
Arrays = dict[str, Any]
Epoch = Callable[[], float]


class Settings(NamedTuple):
    """Feature maps of the convolutions, width of the hidden layer, activation, rate, L2."""

    maps: tuple[int, ...]
    hidden: int
    activation: str
    eta: float
    lmbda: float


NETWORKS = {
    "conv1": Settings((20,), 100, "sigmoid", 0.1, 0.0),
    "conv2": Settings((20, 40), 100, "sigmoid", 0.1, 0.0),
    "relu": Settings((20, 40), 100, "relu", 0.03, 0.1),
}


def ours(name: str, arrays: Arrays) -> tuple[str, Epoch]:
    """One more epoch at each call, as `SGD` with a validation after it does it."""
    import tinygrad_mnist
    from tinygrad_mnist.book import EXPERIMENTS
    from tinygrad_mnist.network3 import Network, share_data

    experiment = EXPERIMENTS[name]
    pairs = [(arrays[f"{part}_x"], arrays[f"{part}_y"]) for part in ("training", "validation")]
    training, validation = share_data(pairs)
    net = Network(experiment.layers(), BATCH, 1)

    def epoch() -> float:
        history = net.SGD(
            *(training, 1, BATCH, experiment.eta, validation, None, experiment.lmbda),
            quiet=True,
            progress=False,
        )
        return float(history.validation_accuracies[-1])

    return f"tinygrad_mnist {tinygrad_mnist.__version__}", epoch


def pytorch(name: str, arrays: Arrays, is_compiled: bool) -> tuple[str, Epoch]:
    """The same in PyTorch; its initial weights are its own."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    settings = NETWORKS[name]
    activation = nn.ReLU if settings.activation == "relu" else nn.Sigmoid
    layers: list[Any] = []
    before, side = 1, 28
    for maps in settings.maps:
        layers += [nn.Conv2d(before, maps, 5), nn.MaxPool2d(2), activation()]
        before, side = maps, (side - 4) // 2
    layers += [nn.Flatten(), nn.Linear(before * side * side, settings.hidden), activation()]
    model: Any = nn.Sequential(*layers, nn.Linear(settings.hidden, 10))
    data = {key: torch.from_numpy(value) for key, value in arrays.items()}
    x, y = data["training_x"].reshape(-1, 1, 28, 28), data["training_y"]
    decay = settings.lmbda / (len(x) // BATCH)
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": biases}]
    optimizer = torch.optim.SGD(groups, lr=settings.eta)
    loss_of = nn.CrossEntropyLoss()
    if is_compiled:
        model = torch.compile(model)

    def epoch() -> float:
        for begin in range(0, len(x) - BATCH + 1, BATCH):
            optimizer.zero_grad()
            loss = loss_of(model(x[begin : begin + BATCH]), y[begin : begin + BATCH])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            answers = model(data["validation_x"].reshape(-1, 1, 28, 28)).argmax(1)
        return float((answers == data["validation_y"]).float().mean())

    return f"PyTorch {torch.__version__}", epoch


def main() -> None:
    """Serves until standard input ends."""
    channel = os.fdopen(os.dup(1), "w")  # what a library prints must not come between the answers
    os.dup2(2, 1)
    library, name, path = sys.argv[1:]
    with np.load(path) as archive:
        arrays = dict(archive)
    if library == "ours":
        version, epoch = ours(name, arrays)
    else:
        version, epoch = pytorch(name, arrays, library.endswith("-compiled"))
    for line in sys.stdin:
        if json.loads(line)["do"] == "epoch":
            begin = time.perf_counter()
            accuracy = epoch()
            answer: dict[str, Any] = {
                "seconds": time.perf_counter() - begin,
                "accuracy": accuracy,
            }
        else:
            answer = {"version": version}
        channel.write(json.dumps(answer) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
