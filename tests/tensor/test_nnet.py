"""Theano's `nnet.nnet`: softmaxes with a bias, their cross-entropies, h_softmax, modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import nnet, sigm

_rng = np.random.default_rng(16)
Z = _rng.normal(size=(3, 5)) * 2
B = _rng.normal(size=5)
LABELS = np.array([4, 0, 2], "int32")
FEATURES, CLASSES, PER_CLASS, BATCH = 4, 3, 2, 5
HIERARCHY = tuple(
    _rng.normal(size=shape)
    for shape in [
        (BATCH, FEATURES),
        (FEATURES, CLASSES),
        (CLASSES,),
        (CLASSES, FEATURES, PER_CLASS),
        (CLASSES, PER_CLASS),
    ]
)
TARGETS = np.array([4, 0, 3, 1, 4], "int64")


def softmax(z: AnyArray) -> AnyArray:
    power = np.exp(z - z.max(axis=-1, keepdims=True))
    result: AnyArray = power / power.sum(axis=-1, keepdims=True)
    return result


def cost(z: AnyArray, y: AnyArray) -> AnyArray:
    result: AnyArray = -np.log(softmax(z))[np.arange(3), y]
    return result


def hierarchical(x: Any, v: Any, b: Any, w: Any, c: Any) -> AnyArray:
    of_classes = softmax(x @ v + b)
    within = softmax(np.einsum("nf,cfo->nco", x, w) + c)
    result: AnyArray = (of_classes[:, :, None] * within).reshape(len(x), -1)[:, :5]
    return result


def h_softmax(x: Any, v: Any, b: Any, w: Any, c: Any, target: Any = None) -> Any:
    return T.nnet.h_softmax(x, BATCH, 5, CLASSES, PER_CLASS, v, b, w, c, target)


CASES = [
    Case("softmax_with_bias", nnet.softmax_with_bias, lambda z, b: softmax(z + b), (Z, B)),
    Case("softmax_graph", nnet.softmax_graph, softmax, (Z,)),
    *(
        Case(f"{name}, result {k}", lambda *v, f=f, k=k: f(*v)[k], expected, values)
        for name, f, values, z in [
            ("crossentropy_softmax_1hot", nnet.crossentropy_softmax_1hot, (Z, LABELS), Z),
            (
                "crossentropy_softmax_1hot_with_bias",
                nnet.crossentropy_softmax_1hot_with_bias,
                (Z, B, LABELS),
                Z + B,
            ),
        ]
        for k, expected in enumerate(
            [
                lambda *v: cost(sum(v[:-1]), v[-1]),
                lambda *v: softmax(sum(v[:-1])),
            ]
        )
    ),
    Case(
        "all results together",
        lambda z, b, y: sum(
            T.sum(part * (1 + k))
            for k, part in enumerate(
                nnet.crossentropy_softmax_max_and_argmax_1hot_with_bias(z, b, y)[:3]
            )
        ),
        lambda z, b, y: (
            cost(z + b, y).sum() + 2 * softmax(z + b).sum() + 3 * softmax(z + b).max(axis=1).sum()
        ),
        (Z, B, LABELS),
    ),
    Case(
        "crossentropy_categorical_1hot",
        nnet.crossentropy_categorical_1hot,
        lambda p, y: -np.log(p)[np.arange(3), y],
        (np.abs(Z) + 0.1, LABELS),
    ),
    Case(
        "prepend_scalar_to_each_row",
        nnet.prepend_scalar_to_each_row,
        lambda v, m: np.hstack([np.full((3, 1), v), m]),
        (np.array(2.5), Z),
    ),
    Case(
        "prepend_1_to_each_row",
        nnet.prepend_1_to_each_row,
        lambda m: np.hstack([np.ones((3, 1)), m]),
        (Z,),
    ),
    Case(
        "prepend_0_to_each_row",
        nnet.prepend_0_to_each_row,
        lambda m: np.hstack([np.zeros((3, 1)), m]),
        (Z,),
    ),
    Case("h_softmax of all outputs", h_softmax, hierarchical, HIERARCHY),
    Case(
        "h_softmax of targets",
        h_softmax,
        lambda *v: hierarchical(*v[:-1])[np.arange(BATCH), v[-1]],
        (*HIERARCHY, TARGETS),
    ),
]

test_value, test_gradient = make_tests(CASES)


def test_the_likeliest_class(device: str) -> None:
    z, b, y = T.dmatrix("z"), T.dvector("b"), T.ivector("y")
    argmax = nnet.crossentropy_softmax_argmax_1hot_with_bias(z, b, y)[2]
    largest = nnet.crossentropy_softmax_max_and_argmax_1hot(z + b, y)[3]
    both = evaluate(device, [z, b, y], [argmax, largest], Z, B, LABELS, on_unused_input="ignore")
    assert argmax.dtype == "int32"
    for result in both:
        np.testing.assert_array_equal(result, (Z + B).argmax(axis=1))


def test_a_confusion_matrix(device: str) -> None:
    """Classes that come only as right or only as predicted ones have a row and a column too."""
    actual, pred = T.ivector("actual"), T.lvector("pred")
    compute = theano.function([actual, pred], T.nnet.confusion_matrix(actual, pred))
    matrix, classes = compute([2, 0, 2, 2, 0, 1], np.array([0, 0, 2, 2, 0, 7]))
    np.testing.assert_array_equal(classes, [0, 1, 2, 7])
    right = [[2, 0, 0, 0], [0, 0, 0, 1], [1, 0, 2, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(matrix, right)
    matrix, classes = compute(np.zeros(0, "int32"), np.zeros(0, "int64"))
    assert matrix.shape == (0, 0)
    assert classes.shape == (0,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_confident_mistake_stays_finite(device: str, dtype: str) -> None:
    z, b, y = T.matrix("z", dtype), T.vector("b", dtype), T.ivector("y")
    losses, probabilities = nnet.crossentropy_softmax_1hot_with_bias(z, b, y)
    outputs = [losses, probabilities, *T.grad(T.sum(losses), [z, b])]
    far = np.array([[2000.0, 0.0], [0.0, -2000.0]], dtype)
    results = evaluate(device, [z, b, y], outputs, far, np.zeros(2, dtype), np.int32([1, 0]))
    for result, expected in zip(
        results, [[2000, 0], [[1, 0], [1, 0]], [[1, -1], [0, 0]], [1, -1]], strict=True
    ):
        np.testing.assert_array_equal(result, expected)


def test_a_far_mistake_in_two_levels_stays_finite(device: str) -> None:
    """The logarithm of a product of two softmaxes, each of which rounds to 0."""
    x, y = T.dmatrix("x"), T.lvector("y")
    w = np.array([[[800.0, 0.0]], [[0.0, 0.0]]])
    p = T.nnet.h_softmax(
        x, 1, 4, 2, 2, np.array([[0.0, 900.0]]), np.zeros(2), w, np.zeros((2, 2)), y
    )
    loss = -T.sum(T.log(p))
    value, slope = evaluate(device, [x, y], [loss, T.grad(loss, x)], np.ones((1, 1)), np.int64([1]))
    np.testing.assert_allclose(value, 1700)
    np.testing.assert_allclose(slope, [[1700]])


def test_the_cost_takes_the_fused_form() -> None:
    z, b, y = T.dmatrix("z"), T.dvector("b"), T.ivector("y")
    cost = T.mean(nnet.crossentropy_softmax_1hot_with_bias(z, b, y)[0])
    function = theano.function([z, b, y], [cost, T.grad(cost, z)])
    function(Z, B, LABELS)
    assert {"softmax_xent", "softmax_xent_grad"} <= {c.kernel for c in function.plan.calls}


def test_modules_have_theanos_names() -> None:
    assert nnet.logsoftmax is T.nnet.log_softmax is T.nnet.logsoftmax
    assert nnet.softmax_op is T.nnet.softmax
    assert T.nnet.abstract_conv2d is T.nnet.conv2d is T.nnet.abstract_conv.conv2d
    assert sigm.sigmoid is T.nnet.sigmoid
    assert sigm.hard_sigmoid is T.nnet.hard_sigmoid
    assert len(set(T.nnet.__all__)) == len(T.nnet.__all__)
    assert all(hasattr(T.nnet, word) for word in T.nnet.__all__)


ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: nnet.softmax_with_bias(T.vector(), T.vector()), "x has to be a matrix"),
    (lambda: nnet.softmax_with_bias(T.matrix(), T.matrix()), "b has to be a vector"),
    (lambda: nnet.crossentropy_softmax_1hot(T.matrix(), T.imatrix()), "a matrix with a vector"),
    (lambda: nnet.prepend_scalar_to_each_row(T.vector(), T.matrix()), "val has to be a scalar"),
    (lambda: nnet.prepend_1_to_each_row(T.vector()), "mat has to be a matrix"),
    (
        lambda: T.nnet.h_softmax(*[T.matrix()] * 6, T.vector(), T.matrix(), T.matrix()),
        "W2 has to have three dimensions",
    ),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_operands_that_do_not_fit(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()
