"""Every public function of `tensor` with wrong arguments: the error is the package's own.

An error that only a call of a function finds names the line that made the expression.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.wrong_inputs import (
    Call,
    WrongCall,
    call,
    compute,
    raised_on_purpose,
    variables_of,
    wrong_calls,
)

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.ifelse import IfElse, ifelse
from tinygrad_mnist.tensor import extra_ops, nlinalg, nnet, slinalg
from tinygrad_mnist.tensor.nnet import abstract_conv, bn, conv, neighbours
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams
from tinygrad_mnist.tensor.signal import conv as signal_conv
from tinygrad_mnist.tensor.signal import downsample, pool

KINDS = (TypeError, ValueError, IndexError)  # the package's errors are of these kinds too

ONE = [
    "abs",
    "abs_",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "gamma",
    "gammaln",
    "inv",
    "iround",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log2",
    "log10",
    "neg",
    "psi",
    "rad2deg",
    "round",
    "sgn",
    "sin",
    "sinh",
    "sqr",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "tri_gamma",
    "trunc",
    "flatten",
    "identity_like",
    "ones_like",
    "zeros_like",
    "shape",
    "as_tensor",
    "extract_constant",
    "largest",
    "round_half_away_from_zero",
    "round_half_to_even",
    "scalar_from_tensor",
    "smallest",
    "squeeze",
    "stacklists",
    "tensor_copy",
    "tensor_from_scalar",
    "tril",
    "triu",
    "vertical_stack",
    "horizontal_stack",
    "flatnonzero",
    "nonzero_values",
]
TWO = [
    "add",
    "allclose",
    "arctan2",
    "ceil_intdiv",
    "mod_check",
    "power",
    "divmod",
    "dot",
    "eq",
    "floor_div",
    "ge",
    "gt",
    "int_div",
    "isclose",
    "le",
    "lt",
    "maximum",
    "minimum",
    "mod",
    "mul",
    "neq",
    "pow",
    "sub",
    "true_div",
]
BITS = ["and_", "or_", "xor", "bitwise_and", "bitwise_or", "bitwise_xor"]
ALONG = [
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "cumprod",
    "cumsum",
    "max",
    "max_and_argmax",
    "mean",
    "min",
    "prod",
    "ptp",
    "sort",
    "std",
    "sum",
    "var",
]
NNET = [
    "elu",
    "hard_sigmoid",
    "log_softmax",
    "logsoftmax",
    "logsoftmax_op",
    "prepend_0_to_each_row",
    "prepend_1_to_each_row",
    "relu",
    "selu",
    "sigmoid",
    "softmax",
    "softmax_graph",
    "softmax_op",
    "softplus",
    "softsign",
    "ultra_fast_sigmoid",
]
NO_FUNCTIONS = {
    "EmptyConstantError",
    "NotScalarConstantError",
    "TensorType",
    "Variable",
    *T.classes.__all__,
}
OF_PYTHON_FUNCTIONS = {"numeric_grad", "verify_grad"}  # in tests/gradient/test_verify.py


def _tensor() -> dict[str, Call]:
    m, v, x, four = T.matrix("m"), T.vector("v"), T.vector("x"), T.tensor4("t")
    i, c = T.imatrix("i"), T.tensor3("c")
    calls = {name: call(getattr(T, name), m) for name in ONE}
    calls |= {name: call(getattr(T, name), m, m) for name in TWO}
    calls |= {name: call(getattr(T, name), i, i) for name in BITS}
    calls |= {name: call(getattr(T, name), i) for name in ("invert", "bitwise_not")}
    calls |= {name: call(getattr(T, name), m, 0) for name in ALONG}
    calls |= {name: call(getattr(T, name), T.gt(m, 0), m, m) for name in ("switch", "where")}
    calls |= {name: call(getattr(T, name), m, 1.0) for name in ("fill", "full_like", "second")}
    calls |= {name: call(getattr(T, name), (2,)) for name in ("ones", "zeros")}
    calls |= {
        name: call(getattr(T, name), m[0], 1.0) for name in ("inc_subtensor", "set_subtensor")
    }
    calls |= {name: call(getattr(T, name), m, 1) for name in ("argtopk", "topk")}
    return calls | {
        "AllocDiag": call(lambda *parameters: T.AllocDiag(*parameters)(v), 0, 0, 1),
        "Rebroadcast": call(lambda axis, flag: T.Rebroadcast((axis, flag))(m), 0, False),
        "addbroadcast": call(T.addbroadcast, T.row("r"), 0),
        "bartlett": call(T.bartlett, 3),
        "batched_tensordot": call(T.batched_tensordot, c, c, 1),
        "bincount": call(T.bincount, T.lvector("n")),
        "choose": call(T.choose, i, [m, m]),
        "cov": call(T.cov, m),
        "diagonal": call(T.diagonal, m),
        "diff": call(T.diff, m),
        "fill_diagonal": call(T.fill_diagonal, m, 1.0),
        "fill_diagonal_offset": call(T.fill_diagonal_offset, m, 1.0, 1),
        "get_scalar_constant_value": call(T.get_scalar_constant_value, 3),
        "get_vector_length": call(T.get_vector_length, m.shape),
        "inverse_permutation": call(T.inverse_permutation, T.lvector("n")),
        "moveaxis": call(T.moveaxis, m, 0, 1),
        "norm": call(T.norm, m, 2),
        "patternbroadcast": call(T.patternbroadcast, m, (False, False)),
        "permute_row_elements": call(T.permute_row_elements, m, T.lvector("n")),
        "ravel_multi_index": call(T.ravel_multi_index, (i, i), (2, 3)),
        "roll": call(T.roll, m, 1, 0),
        "searchsorted": call(T.searchsorted, v, x),
        "shape_padaxis": call(T.shape_padaxis, m, 0),
        "shape_padleft": call(T.shape_padleft, m, 1),
        "shape_padright": call(T.shape_padright, m, 1),
        "specify_shape": call(T.specify_shape, m, (2, 2)),
        "swapaxes": call(T.swapaxes, m, 0, 1),
        "topk_and_argtopk": call(T.topk_and_argtopk, m, 1, 0),
        "trace": call(T.trace, m),
        "tri": call(T.tri, 3),
        "unbroadcast": call(T.unbroadcast, T.row("r"), 0),
        "unravel_index": call(T.unravel_index, i, (2, 3)),
        "alloc": call(T.alloc, T.scalar("s"), 2, 3),
        "arange": call(T.arange, 3),
        "as_tensor_variable": call(T.as_tensor_variable, 3.0),
        "batched_dot": call(T.batched_dot, T.tensor3("a"), T.tensor3("b")),
        "cast": call(T.cast, m, "float64"),
        "clip": call(T.clip, m, 0, 1),
        "compress": call(T.compress, [1, 0], m, 0),
        "concatenate": call(T.concatenate, [m, m]),
        "constant": call(T.constant, 3.0),
        "diag": call(T.diag, v),
        "dimshuffle": call(T.dimshuffle, m, 1, 0, "x"),
        "eye": call(T.eye, 3),
        "full": call(T.full, (2, 3), 1.0),
        "Lop": call(T.Lop, x**2, x, v),
        "Rop": call(T.Rop, x**2, x, v),
        "consider_constant": call(T.consider_constant, x),
        "grad": call(T.grad, (x**2).sum(), x),
        "hessian": call(T.hessian, (x**2).sum(), x),
        "jacobian": call(T.jacobian, x**2, x),
        "join": call(T.join, 0, m, m),
        "nonzero": call(T.nonzero, m, False),
        "outer": call(T.outer, v, x),
        "repeat": call(T.repeat, m, 2),
        "reshape": call(T.reshape, m, (4,)),
        "split": call(T.split, m, [1, 1], 2),
        "stack": call(T.stack, [m, m]),
        "take": call(T.take, m, [0], 0),
        "tensordot": call(T.tensordot, m, m, 1),
        "tile": call(T.tile, m, (2,)),
        "transpose": call(T.transpose, m, 1, 0),
        "x[i]": call(lambda key: m[key], 0),
        "x[mask]": call(lambda mask: m[mask, 0], [True, False]),
        "x[i, j]": call(lambda i, j: four[i, j], 0, 1),
        "x[a:b:c]": call(lambda start, stop, step: m[start:stop:step], 0, 1, 1),
        "x.sum": call(lambda axis, dtype, keepdims: m.sum(axis, dtype, keepdims), 0, None, False),
        "x.reshape": call(lambda shape: m.reshape(shape), (4,)),
    }


def _nnet() -> dict[str, Call]:
    m, v, t, y = T.matrix("m"), T.vector("v"), T.tensor4("t"), T.lvector("y")
    calls = {name: call(getattr(nnet, name), m) for name in NNET}
    of_classes = ("softmax_1hot", "softmax_max_and_argmax_1hot", "categorical_1hot")
    calls |= {
        f"crossentropy_{name}": call(getattr(nnet, f"crossentropy_{name}"), m, y)
        for name in of_classes
    }
    with_bias = ("softmax_1hot", "softmax_argmax_1hot", "softmax_max_and_argmax_1hot")
    calls |= {
        f"crossentropy_{name}_with_bias": call(
            getattr(nnet, f"crossentropy_{name}_with_bias"), m, v, y
        )
        for name in with_bias
    }
    return calls | {
        "batch_normalization": call(nnet.batch_normalization, m, v, v, v, v),
        "batch_normalization_test": call(nnet.batch_normalization_test, m, v, v, v, v),
        "batch_normalization_train": call(nnet.batch_normalization_train, m, v, v),
        "binary_crossentropy": call(nnet.binary_crossentropy, m, m),
        "categorical_crossentropy": call(nnet.categorical_crossentropy, m, T.lvector("y")),
        "abstract_conv2d": call(nnet.abstract_conv2d, t, t),
        "conv2d": call(nnet.conv2d, t, t),
        "conv2d_transpose": call(nnet.conv2d_transpose, t, t, (2, 2, 3, 3)),
        "confusion_matrix": call(nnet.confusion_matrix, y, y),
        "h_softmax": call(nnet.h_softmax, m, 2, 4, 2, 2, m, v, T.tensor3("w"), m),
        "h_softmax of targets": call(nnet.h_softmax, m, 2, 4, 2, 2, m, v, T.tensor3("w"), m, y),
        "prepend_scalar_to_each_row": call(nnet.prepend_scalar_to_each_row, 1, m),
        "sigmoid_binary_crossentropy": call(nnet.sigmoid_binary_crossentropy, m, m),
        "softmax_with_bias": call(nnet.softmax_with_bias, m, v),
    }


def _linear_algebra() -> dict[str, Call]:
    m, v = T.matrix("m"), T.vector("v")
    functions = ("det", "matrix_inverse", "pinv", "eig", "trace", "extract_diag", "matrix_dot")
    calls = {name: call(getattr(nlinalg, name), m) for name in functions}
    return calls | {
        "alloc_diag": call(nlinalg.alloc_diag, v),
        "nlinalg.diag": call(nlinalg.diag, v),
        "eigh": call(nlinalg.eigh, m, "L"),
        "lstsq": call(nlinalg.lstsq, m, v, -1.0),
        "matrix_power": call(nlinalg.matrix_power, m, 2),
        "norm": call(nlinalg.norm, v, 2),
        "norm of a matrix": call(nlinalg.norm, m, 1),
        "qr": call(nlinalg.qr, m, "r"),
        "svd": call(nlinalg.svd, m, True, True),
        "tensorinv": call(nlinalg.tensorinv, m, 1),
        "tensorsolve": call(nlinalg.tensorsolve, m, v, None),
        "cholesky": call(slinalg.cholesky, m, True, "nan"),
        "eigvalsh": call(slinalg.eigvalsh, m, None, True),
        "expm": call(slinalg.expm, m),
        "kron": call(slinalg.kron, m, v),
        "solve": call(slinalg.solve, m, v, "general"),
        "solve_lower_triangular": call(slinalg.solve_lower_triangular, m, v),
        "solve_upper_triangular": call(slinalg.solve_upper_triangular, m, v),
        "Solve": call(lambda structure, lower: slinalg.Solve(structure, lower)(m, v), "general", 0),
        "ifelse": call(ifelse, T.scalar("s"), m, m, None),
        "ifelse of lists": call(ifelse, T.scalar("s"), [m], [m]),
        "IfElse": call(IfElse, 1),
    }


def _others() -> dict[str, Call]:
    m, t = T.matrix("m"), T.tensor4("t")
    stream = RandomStreams(1)
    draws = ("uniform", "normal", "binomial", "random_integers", "choice")
    return {
        "AbstractConv2d": call(abstract_conv.AbstractConv2d, (2, 2, 2, 2)),
        "AbstractConv2d()": call(abstract_conv.AbstractConv2d(), t, t),
        "AbstractConv2d_gradInputs": call(abstract_conv.AbstractConv2d_gradInputs),
        "AbstractConv2d_gradInputs()": call(
            abstract_conv.AbstractConv2d_gradInputs(), t, t, (3, 3)
        ),
        "AbstractConv2d_gradWeights": call(abstract_conv.AbstractConv2d_gradWeights),
        "AbstractConv2d_gradWeights()": call(
            abstract_conv.AbstractConv2d_gradWeights(), t, t, (1, 1)
        ),
        "DownsampleFactorMax": call(lambda ds: downsample.DownsampleFactorMax(ds)(t), (2, 2)),
        "Pool": call(pool.Pool),
        "Pool()": call(pool.Pool(), t, (2, 2)),
        "bilinear_kernel_1D": call(abstract_conv.bilinear_kernel_1D, 2),
        "bilinear_kernel_2D": call(abstract_conv.bilinear_kernel_2D, 2),
        "bilinear_upsampling": call(abstract_conv.bilinear_upsampling, t, 2),
        "causal_conv1d": call(
            abstract_conv.causal_conv1d, T.tensor3("s"), T.tensor3("f"), (2, 2, 2)
        ),
        "conv.conv2d": call(conv.conv2d, t, t),
        "get_conv_output_shape": call(
            abstract_conv.get_conv_output_shape, (2, 2, 2, 2), (2, 2, 1, 1), "valid", (1, 1)
        ),
        "get_conv_shape_1axis": call(abstract_conv.get_conv_shape_1axis, 2, 1, "valid", 1),
        "Images2Neibs": call(neighbours.Images2Neibs),
        "images2neibs": call(neighbours.images2neibs, t, (2, 2)),
        "neibs2images": call(neighbours.neibs2images, T.matrix("n"), (1, 2), (1, 2, 1, 2)),
        "separable_conv2d": call(
            abstract_conv.separable_conv2d,
            t,
            T.tensor4("d")[:, :1],
            T.tensor4("p")[:, :, :1, :1],
            2,
        ),
        "signal.conv.conv2d": call(signal_conv.conv2d, m, m),
        "conv2d_grad_wrt_inputs": call(abstract_conv.conv2d_grad_wrt_inputs, t, t, (2, 2, 3, 3)),
        "conv2d_grad_wrt_weights": call(abstract_conv.conv2d_grad_wrt_weights, t, t, (2, 2, 1, 1)),
        "max_pool_2d_same_size": call(pool.max_pool_2d_same_size, t, (2, 2)),
        "pool_2d": call(pool.pool_2d, t, (2, 2)),
        "to_one_hot": call(extra_ops.to_one_hot, T.lvector("y"), 3),
        "RandomStreams": call(RandomStreams, 1),
        "seed": call(stream.seed, 1),
        **{name: call(getattr(stream, name), (2,)) for name in draws},
        "tensor": call(T.tensor, "float32", (False,)),
        "matrix": call(T.matrix, "x"),
        "imatrix": call(T.imatrix, "x"),
        "matrices": call(T.matrices, "x", "y"),
        "cpu_contiguous": call(extra_ops.cpu_contiguous, m),
        "extra_ops.repeat": call(extra_ops.repeat, m, 2),
        "repeats": call(extra_ops.repeat, m, [1, 2], 0),
        "unique": call(extra_ops.unique, m, True, True, True),
        "Unique": call(lambda *flags: extra_ops.Unique(*flags)(m), False, False, False),
    }


CALLS = {
    **_tensor(),
    **{f"nnet.{name}": c for name, c in _nnet().items()},
    **_linear_algebra(),
    **_others(),
}


def problem(wrong: WrongCall, computes: bool) -> str | None:
    """What is wrong with the error of a call; None if nothing is, or if there is no error."""
    stage = "made"
    try:
        made = variables_of(wrong.run())
        stage = "computed"
        if computes:
            compute(made)
    except Exception as error:
        shown = f"when {stage}: {type(error).__name__}: {error}"
        if not isinstance(error, KINDS) or not raised_on_purpose(error):
            return shown
        if stage == "computed" and "made at" not in str(error):
            return f"no line, {shown}"
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_the_error_is_the_packages_own(name: str) -> None:
    makes_inputs = name in ("tensor", "matrix", "imatrix", "matrices")
    problems = {
        what: found
        for what, wrong in wrong_calls(CALLS[name])
        if (found := problem(wrong, not makes_inputs and "64 bits" not in what)) is not None
    }
    assert problems == {}


@pytest.mark.parametrize(
    ("module", "known"),
    [
        (T, CALLS),
        (nnet, {name.removeprefix("nnet.") for name in CALLS}),
        (pool, CALLS),
        (extra_ops, CALLS),
        (nlinalg, CALLS),
        (slinalg, CALLS),
        (abstract_conv, {name.removeprefix("nnet.") for name in CALLS}),
    ],
    ids=["tensor", "nnet", "pool", "extra_ops", "nlinalg", "slinalg", "abstract_conv"],
)
def test_every_public_function_is_called(module: ModuleType, known: Any) -> None:
    names = {
        name
        for name in module.__all__
        if callable(getattr(module, name))
        and name not in (*T.constructors.__all__, *NO_FUNCTIONS, *OF_PYTHON_FUNCTIONS)
        and "op_of" not in getattr(module, name).__qualname__
    }
    assert names - set(known) == set()


def test_older_modules_have_the_same_functions() -> None:
    assert downsample.max_pool_2d is pool.pool_2d
    assert bn.batch_normalization_train is nnet.batch_normalization_train


MASKED = np.ma.masked_array([1.0], [True])

MESSAGES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: T.vector()[: T.scalar("y")],
        TypeError,
        "`y` is a float32 scalar; a slice bound must be",
    ),
    (lambda: T.matrix().sum(axis=0.5), TypeError, r"axis 0\.5 is not an integer"),
    (lambda: T.matrix().sum(axis=2), ValueError, "axis 2 is out of range for 2 dimensions"),
    (lambda: T.matrix().sum(axis=2), IndexError, "axis 2 is out of range for 2 dimensions"),
    (lambda: T.matrix()[0, 0, 0], IndexError, "3 indices for 2 dimensions"),
    (lambda: T.matrix().reshape(None), TypeError, "the shape is None; it must be a list or tuple"),
    (lambda: T.matrix().dimshuffle(0, "y"), TypeError, "'y' is a str; a pattern of dimshuffle"),
    (lambda: T.matrix(5), TypeError, "the name of a variable is text, not 5"),  # type: ignore[arg-type]
    (lambda: float(T.scalar()), TypeError, r"x\.eval\("),
    (lambda: int(T.iscalar()), TypeError, r"x\.eval\("),
    (lambda: len(T.vector()), TypeError, r"x\.shape\[0\], or x\.shape\.eval\("),
    (lambda: range(T.iscalar()), TypeError, r"x\.eval\("),  # type: ignore[call-overload]
    (lambda: [1, 2][T.iscalar()], TypeError, r"x\.eval\("),
    (lambda: bool(T.scalar() < 1), TypeError, r"\.eval\("),
    (lambda: T.concatenate(None), TypeError, "what concatenate takes is None"),  # type: ignore[arg-type]
    (lambda: T.grad(T.scalar(), None), TypeError, "wrt is None; it must be a list or tuple of"),  # type: ignore[call-overload]
    (lambda: T.cast(T.vector(), "float16"), TypeError, "no dtype 'float16'"),
    (lambda: T.round(T.vector(), "up"), ValueError, "it can be 'half_to_even' or"),
    (lambda: T.constant(MASKED), TypeError, "a masked array, whose mask would be lost"),
    (lambda: T.vector() + MASKED, TypeError, "a masked array, whose mask would be lost"),
]


@pytest.mark.parametrize(("make", "kind", "message"), MESSAGES)
def test_messages(make: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()
