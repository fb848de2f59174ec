"""Tries an installed package, without its sources or a compiler: it trains, saves and reads again.

    python tests/try_wheel.py

It needs what the package needs, and nothing else; the digits are generated.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import tinygrad_mnist
from tinygrad_mnist import _native
from tinygrad_mnist.datasets import draw_digits
from tinygrad_mnist.network3 import ConvPoolLayer, FullyConnectedLayer, Network, ReLU, SoftmaxLayer


def digits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = draw_digits(n, seed=seed)
    return images.reshape(n, -1).astype("float32") / 255, labels.astype("int32")


def main() -> int:
    """The exit code is 1 where training doesn't learn, or the saved net answers otherwise."""
    data = [
        tuple(map(tinygrad_mnist.shared, digits(n, seed)))
        for n, seed in ((2000, 1), (500, 2), (500, 3))
    ]
    layers = [
        ConvPoolLayer((20, 1, 5, 5), (10, 1, 28, 28), activation_fn=ReLU),
        FullyConnectedLayer(20 * 12 * 12, 100, activation_fn=ReLU),
        SoftmaxLayer(100, 10),
    ]
    net = Network(layers, 10)
    net.SGD(data[0], 8, 10, 0.03, data[1], data[2])
    images, labels = digits(500, 3)
    answers = net.predict(images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        net.save(path)
        again = Network.load(path).predict(images)
    accuracy = float(np.mean(answers == labels))
    is_same = np.array_equal(answers, again)
    print(f"{Path(tinygrad_mnist.__file__).parent}, {_native.target()}")
    print(f"{accuracy:.1%} of the digits read; {'the same' if is_same else 'OTHERS'} when loaded")
    return 0 if accuracy > 0.8 and is_same else 1


if __name__ == "__main__":
    sys.exit(main())
