"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import integer, is_integer, number, several, shown
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import Signal, held_axes
from tinygrad_mnist.ops.shape import shape_scalars
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams


class Dropout(Layer):
    """Sets a fraction `rate` of the elements to 0 in training and divides the others by 1 - rate.

    noise_shape: of the random numbers, with the batch; None for a length of the inputs, 1 for one
    number along an axis. seed: of the random numbers; default from `numpy.random`, which
    `numpy.random.seed` seeds.
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            self.rate = number(rate, "rate")
            if not 0 <= self.rate <= 1:
                raise ArgumentError(f"rate is {shown(rate)}; it must be between 0 and 1")
            self.seed = None if seed is None else integer(seed, "seed", 0)
            self.noise_shape = None
            if noise_shape is not None:
                lengths = several(noise_shape, "noise_shape")
                if any(n is not None and not (is_integer(n) and n > 0) for n in lengths):
                    raise GraphTypeError(f"noise_shape is {shown(noise_shape)}; see Dropout")
                self.noise_shape = tuple(None if n is None else int(n) for n in lengths)
        drawn = np.random.randint(2**31) if self.seed is None else self.seed  # noqa: NPY002
        self._stream = RandomStreams(drawn)

    def apply(self, signal: Signal, training: bool) -> Signal:
        x = signal.variable
        if not training or self.rate == 0:
            return signal
        if self.rate == 1:
            return signal.of(T.zeros_like(x))
        keep = 1 - self.rate
        kept = T.lt(self._noise(signal), np.asarray(keep, config.floatX))
        return signal.of(T.switch(kept, x * np.asarray(1 / keep, config.floatX), T.zeros_like(x)))

    def _noise(self, signal: Signal) -> Any:
        x = signal.variable
        if self.noise_shape is None:
            return self._drawn([x.shape[i] for i in range(x.ndim)])
        if len(self.noise_shape) != x.ndim:
            raise self.misfit(signal.shape, f"noise_shape has {len(self.noise_shape)} lengths")
        signal = signal.in_order(None)
        order = (0, *(a + 1 for a in held_axes(len(signal.shape))))
        given = [self.noise_shape[a] for a in order]
        lengths = [x.shape[i] if n is None else n for i, n in enumerate(given)]
        noise = self._drawn(lengths)
        return T.addbroadcast(noise, *(i for i, n in enumerate(given) if n == 1))

    def _drawn(self, lengths: Sequence[Any]) -> Any:
        """Numbers of the layer's one draw: they depend on the seed and the step, and not on how
        often the layer was applied before."""
        return self._stream.drawn(shape_scalars(lengths), config.floatX, 0)

    def named_streams(self) -> list[tuple[str, SharedVariable]]:
        return [(f"{self.name}/step", step) for step, _ in self._stream.updates()]

    def get_config(self) -> dict[str, Any]:
        shape = None if self.noise_shape is None else list(self.noise_shape)
        own = {"rate": self.rate, "seed": self.seed, "noise_shape": shape}
        return {**super().get_config(), **own}
