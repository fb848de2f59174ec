"""`keras.initializers`: first values of weights, as NumPy arrays.

An initializer is called with a shape, and a dtype, floatX by default. One with a `seed` gives the
same values at every call; without, it draws from `numpy.random`, which `numpy.random.seed` seeds.
The distributions are Keras's; its random numbers are others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.types import check_dtype
from tinygrad_mnist.graph.values import choice, integer, number, plain_array, several
from tinygrad_mnist.keras.identifiers import find

Array = NDArray[Any]
_CUT = 2.0  # standard deviations that a truncated normal distribution keeps on either side
_CUT_DEVIATION = 0.87962566103423978  # of what is left


class Initializer:
    """Makes the first value of a weight: `initializer(shape, dtype=None)`, an array."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Array:
        name = check_dtype(config.floatX if dtype is None else dtype)
        lengths = tuple(integer(n, "a length", 0) for n in several(shape, "shape"))
        return np.asarray(self.values(lengths), name)

    def values(self, shape: tuple[int, ...]) -> Array:
        """The values, in any dtype."""
        raise NotImplementedError(f"{type(self).__name__} has to define values(shape)")

    def get_config(self) -> dict[str, Any]:
        """The arguments with which the initializer was made."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """An initializer made with these arguments."""
        return cls(**config)


# --- constants ------------------------------------------------------------------------------------


class Zeros(Initializer):
    """Zeros."""

    def values(self, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape)


class Ones(Initializer):
    """Ones."""

    def values(self, shape: tuple[int, ...]) -> Array:
        return np.ones(shape)


class Constant(Initializer):
    """One number, or the values of an array of the wanted shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value
        self._array = plain_array(value, "the value of Constant")

    def values(self, shape: tuple[int, ...]) -> Array:
        if self._array.ndim and self._array.shape != shape:
            raise ArgumentError(f"Constant has values of shape {self._array.shape}, not {shape}")
        return np.broadcast_to(self._array, shape)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


# --- random numbers -------------------------------------------------------------------------------


class _Random(Initializer):
    def __init__(self, seed: int | None = None) -> None:
        self.seed = None if seed is None else integer(seed, "seed", 0)

    def generator(self) -> np.random.Generator:
        """NumPy's generator for this call."""
        seed = np.random.randint(2**31) if self.seed is None else self.seed  # noqa: NPY002
        return np.random.default_rng(seed)


class RandomNormal(_Random):
    """Normally distributed numbers."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = number(mean, "mean"), _deviation(stddev)

    def values(self, shape: tuple[int, ...]) -> Array:
        return self.generator().normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normally distributed numbers; those that are more than two standard deviations from the mean
    are drawn again."""

    def values(self, shape: tuple[int, ...]) -> Array:
        return self.mean + self.stddev * _truncated(self.generator(), shape)


class RandomUniform(_Random):
    """Numbers from `minval` to `maxval`, all equally likely."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = number(minval, "minval"), number(maxval, "maxval")
        if self.minval > self.maxval:
            raise ArgumentError(f"minval is {minval}, above maxval, which is {maxval}")

    def values(self, shape: tuple[int, ...]) -> Array:
        return self.generator().uniform(self.minval, self.maxval, shape)


class VarianceScaling(_Random):
    """Random numbers of the variance scale / n, where n is the number of inputs of a neuron, of
    outputs, or their mean.

    mode: 'fan_in', 'fan_out', 'fan_avg'. distribution: 'truncated_normal' or 'normal',
    'untruncated_normal', 'uniform'.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = number(scale, "scale")
        if not 0 < self.scale < math.inf:
            raise ArgumentError(f"scale is {scale}; it must be greater than 0")
        self.mode = choice(mode, ("fan_in", "fan_out", "fan_avg"), "mode")
        kinds = ("truncated_normal", "normal", "untruncated_normal", "uniform")
        self.distribution = choice(distribution, kinds, "distribution")

    def values(self, shape: tuple[int, ...]) -> Array:
        fan_in, fan_out = compute_fans(shape)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        deviation = math.sqrt(self.scale / max(1.0, fans[self.mode]))
        generator = self.generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, deviation, shape)
        return deviation / _CUT_DEVIATION * _truncated(generator, shape)


class _Named(VarianceScaling):
    """A variance scaling that has a name of its own, and only the argument `seed`."""

    arguments: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.arguments, seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_Named):
    """Uniform, of the variance 2 / (inputs + outputs)."""

    arguments = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal, of the variance 2 / (inputs + outputs)."""

    arguments = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform, of the variance 2 / inputs."""

    arguments = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal, of the variance 2 / inputs."""

    arguments = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform, of the variance 1 / inputs."""

    arguments = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal, of the variance 1 / inputs."""

    arguments = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
    """`gain` times a matrix of orthonormal rows or columns, whichever are fewer. All axes but the
    last count as rows."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = number(gain, "gain")

    def values(self, shape: tuple[int, ...]) -> Array:
        if len(shape) < 2:
            raise ArgumentError(f"Orthogonal needs at least two axes, not the shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = self.generator().normal(size=(max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))
        return self.gain * (q.T if rows < columns else q).reshape(shape)


def compute_fans(shape: Sequence[int]) -> tuple[int, int]:
    """The inputs and outputs of a neuron, for weights (inputs, outputs) or filters
    (height, width, inputs, outputs)."""
    if len(shape) < 2:
        n = math.prod(shape)
        return n, n
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    values = generator.standard_normal(shape)
    outside = np.abs(values) > _CUT
    while outside.any():
        values[outside] = generator.standard_normal(np.count_nonzero(outside))
        outside = np.abs(values) > _CUT
    return values


def _deviation(value: Any) -> float:
    checked = number(value, "stddev")
    if not 0 <= checked < math.inf:
        raise ArgumentError(f"stddev is {value}; it must be a finite number, 0 or more")
    return checked


# --- by name --------------------------------------------------------------------------------------

_TABLE: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "orthogonal": Orthogonal,
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
}


def get(identifier: Any) -> Callable[..., Any]:
    """An initializer: as it is; by its name; of a dict of "class_name" and "config"; or any
    callable (shape, dtype). Raises TypeError and ValueError, which list the names."""
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    found = find(identifier, _TABLE, "initializer")
    return found() if isinstance(found, type) else found  # type: ignore[no-any-return]


zeros, ones, constant = Zeros, Ones, Constant
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
