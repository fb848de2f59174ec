"""Functions of arrays as wholes: their axes, diagonals, order, positions and constants."""

from __future__ import annotations

from tinygrad_mnist.ops.axes import (
    moveaxis,
    roll,
    shape_padaxis,
    shape_padleft,
    shape_padright,
    squeeze,
    swapaxes,
)
from tinygrad_mnist.ops.broadcasting import (
    Rebroadcast,
    addbroadcast,
    patternbroadcast,
    specify_shape,
    unbroadcast,
)
from tinygrad_mnist.ops.creation import bartlett, mgrid, ogrid
from tinygrad_mnist.ops.cumprod import cumprod
from tinygrad_mnist.ops.diagonal import (
    AllocDiag,
    diagonal,
    fill_diagonal,
    fill_diagonal_offset,
    trace,
    tri,
    tril,
    triu,
)
from tinygrad_mnist.ops.elementwise import identity, mod, pow_
from tinygrad_mnist.ops.join import horizontal_stack, stacklists, vertical_stack
from tinygrad_mnist.ops.linalg import batched_tensordot, cov
from tinygrad_mnist.ops.positions import (
    bincount,
    choose,
    diff,
    ravel_multi_index,
    unravel_index,
)
from tinygrad_mnist.ops.reduce import largest, norm, ptp, smallest
from tinygrad_mnist.ops.rounding import (
    ceil_intdiv,
    round_half_away_from_zero,
    round_half_to_even,
)
from tinygrad_mnist.ops.sort import inverse_permutation, permute_row_elements, searchsorted
from tinygrad_mnist.tensor.constants import (
    EmptyConstantError,
    NotScalarConstantError,
    as_tensor_variable,
    extract_constant,
    get_scalar_constant_value,
    get_vector_length,
)

as_tensor = as_tensor_variable
mod_check = mod
power = pow_
scalar_from_tensor = tensor_copy = tensor_from_scalar = identity

__all__ = [
    "AllocDiag",
    "EmptyConstantError",
    "NotScalarConstantError",
    "Rebroadcast",
    "addbroadcast",
    "as_tensor",
    "bartlett",
    "batched_tensordot",
    "bincount",
    "ceil_intdiv",
    "choose",
    "cov",
    "cumprod",
    "diagonal",
    "diff",
    "extract_constant",
    "fill_diagonal",
    "fill_diagonal_offset",
    "get_scalar_constant_value",
    "get_vector_length",
    "horizontal_stack",
    "inverse_permutation",
    "largest",
    "mgrid",
    "mod_check",
    "moveaxis",
    "norm",
    "ogrid",
    "patternbroadcast",
    "permute_row_elements",
    "power",
    "ptp",
    "ravel_multi_index",
    "roll",
    "round_half_away_from_zero",
    "round_half_to_even",
    "scalar_from_tensor",
    "searchsorted",
    "shape_padaxis",
    "shape_padleft",
    "shape_padright",
    "smallest",
    "specify_shape",
    "squeeze",
    "stacklists",
    "swapaxes",
    "tensor_copy",
    "tensor_from_scalar",
    "trace",
    "tri",
    "tril",
    "triu",
    "unbroadcast",
    "unravel_index",
    "vertical_stack",
]
