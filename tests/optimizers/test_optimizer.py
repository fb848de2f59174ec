"""What all optimizers share: the rate, schedules, clipping, weight decay, state, errors."""

import copy
import inspect
import json
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import optimizers
from tinygrad_mnist.optimizers import schedules

ALL = [
    optimizers.SGD,
    optimizers.RMSprop,
    optimizers.Adagrad,
    optimizers.Adadelta,
    optimizers.Adam,
    optimizers.AdamW,
    optimizers.Adamax,
    optimizers.Nadam,
]


def parameters() -> list[theano.SharedVariable]:
    rng = np.random.default_rng(0)
    return [
        theano.shared(rng.normal(size=(4, 3)).astype("float32"), "w"),
        theano.shared(rng.normal(size=3).astype("float32"), "b"),
    ]


def cost_of(params: list[theano.SharedVariable]) -> Any:
    x = np.random.default_rng(1).normal(size=(5, 4)).astype("float32")
    return T.mean(T.sqr(T.tanh(T.dot(x, params[0]) + params[1])))


def moved(optimizer: Any, gradients: list[Any]) -> list[Any]:
    """How far one step moves parameters that are 0."""
    params = [theano.shared(np.zeros_like(g), f"p{i}") for i, g in enumerate(gradients)]
    theano.function([], updates=optimizer.updates(list(gradients), params))()
    return [w.get_value() for w in params]


# --- plans ----------------------------------------------------------------------------------------

ONE_PASS = [
    (optimizers.SGD, {}),
    (optimizers.SGD, {"momentum": 0.9}),
    (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    (optimizers.RMSprop, {}),
    (optimizers.RMSprop, {"centered": True}),
    (optimizers.RMSprop, {"centered": True, "momentum": 0.5}),
    (optimizers.Adagrad, {}),
    (optimizers.Adadelta, {}),
    (optimizers.Adam, {}),
    (optimizers.Adam, {"amsgrad": True}),
    (optimizers.AdamW, {}),
    (optimizers.Adam, {"clipvalue": 0.1}),
    (optimizers.AdamW, {"clipnorm": 0.1}),
    (optimizers.Adamax, {}),
    (optimizers.Nadam, {}),
]


@pytest.mark.parametrize(("make", "options"), ONE_PASS)
def test_one_call_writes_a_parameter_and_its_state(make: Any, options: dict[str, Any]) -> None:
    params = parameters()
    g = [T.matrix("g0"), T.vector("g1")]
    optimizer = make(**options)
    train = theano.function(g, updates=optimizer.updates(g, params))
    train(*(np.ones_like(w.get_value()) for w in params))
    for w in params:
        shape = w.get_value().shape
        writing = [
            call
            for call in train.plan.calls
            for out in call.outputs
            if train.plan.buffers[out.buffer].kind == "shared" and out.spec.shape == shape
        ]
        assert len({id(call) for call in writing}) == 1
        assert len(writing) == 1 + len(optimizer.slots)


def test_the_step_of_sgd_is_fused_with_the_product() -> None:
    params = parameters()
    train = theano.function([], updates=optimizers.sgd(cost_of(params), params))
    train()
    (writing,) = (
        call for call in train.plan.calls if any(out.spec.shape == (4, 3) for out in call.outputs)
    )
    assert writing.kernel == "gemm"


# --- the learning rate ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL)
def test_the_rate_is_set_without_a_new_plan(make: Any) -> None:
    params = parameters()
    optimizer = make(learning_rate=0.5)
    train = theano.function([], updates=optimizer.updates(cost_of(params), params))
    train()
    plan, before = train.plan, params[0].get_value()
    optimizer.learning_rate = 0.0
    assert float(optimizer.learning_rate) == 0.0
    train()
    np.testing.assert_array_equal(params[0].get_value(), before)
    optimizer.lr = np.float32(0.25)
    assert float(optimizer.lr) == 0.25
    train()
    assert (params[0].get_value() != before).any()
    assert train.plan is plan


def test_a_rate_of_the_callers_own() -> None:
    eta, params = theano.shared(np.float32(0), "eta"), parameters()
    before = params[1].get_value()
    train = theano.function([], updates=optimizers.adam(cost_of(params), params, eta))
    train()
    np.testing.assert_array_equal(params[1].get_value(), before)
    eta.set_value(np.float32(0.1))
    train()
    np.testing.assert_allclose(abs(params[1].get_value() - before), 0.1, rtol=0.3)


def test_a_rate_reads_like_keras_variable() -> None:
    rate = optimizers.Adam(0.5).learning_rate
    assert rate.numpy() == 0.5
    rate.assign(0.25)
    assert float(rate) == rate.get_value() == 0.25


def test_arguments_of_keras_before_3() -> None:
    """`lr` is the rate; `decay` divides it; an epsilon of None is the default."""
    optimizer = optimizers.SGD(lr=0.5, decay=0.5, momentum=0.0, nesterov=False)
    assert float(optimizer.lr) == 0.5
    w = theano.shared(np.float32(0), "w")
    train = theano.function([], updates=optimizer.updates([np.float32(1)], [w]))
    for n in range(4):
        before = w.get_value()
        train()
        assert before - w.get_value() == pytest.approx(0.5 / (1 + 0.5 * n))
    adam = optimizers.Adam(lr=0.001, beta_1=0.9, beta_2=0.999, epsilon=None, decay=0.0)
    assert adam.epsilon == 1e-7


@pytest.mark.parametrize("make", ALL)
def test_one_plan_serves_all_steps_of_a_schedule(make: Any) -> None:
    schedule = schedules.PiecewiseConstantDecay([1, 3], [0.5, 0.0, 0.25])
    params, optimizer = parameters(), make(learning_rate=schedule)
    train = theano.function([], updates=optimizer.updates(cost_of(params), params))
    moves, plans = [], set()
    for _ in range(6):
        before = params[0].get_value()
        train()
        plans.add(id(train.plan))
        moves.append(bool((params[0].get_value() != before).any()))
    assert moves == [True, True, False, False, True, True]
    assert len(plans) == 1
    assert optimizer.learning_rate == 0.25
    assert optimizer.iterations.get_value() == 6


def test_a_schedule_of_the_users_own() -> None:
    class Halving(schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 1 / (step + 1)

    w = theano.shared(np.float32(0), "w")
    g = theano.shared(np.float32(1))
    train = theano.function([], updates=optimizers.SGD(Halving()).updates([g], [w]))
    for _ in range(3):
        train()
    assert w.get_value() == pytest.approx(-(1 + 1 / 2 + 1 / 3))
    assert optimizers.SGD(Halving()).learning_rate == 1

    class Symbolic(schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return T.exp(-T.cast(step, "float64"))

    assert optimizers.SGD(Symbolic()).learning_rate == 1


def test_a_schedule_is_made_again_of_its_config() -> None:
    schedule = schedules.CosineDecay(0.1, 10, alpha=0.5, warmup_target=0.2, warmup_steps=3)
    again = schedules.CosineDecay.from_config(schedule.get_config())
    assert [again(n) for n in range(20)] == [schedule(n) for n in range(20)]
    assert repr(schedule).startswith("CosineDecay(initial_learning_rate=0.1, decay_steps=10")


# --- clipping and decay ---------------------------------------------------------------------------

GRADIENTS = [np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([0.6, -0.8]), np.zeros(3)]


def test_clipnorm_scales_each_gradient() -> None:
    w, b, zeros = moved(optimizers.SGD(1.0, clipnorm=2.0), GRADIENTS)
    np.testing.assert_allclose(w, -GRADIENTS[0] * 2 / 5)
    np.testing.assert_allclose(b, -GRADIENTS[1])
    np.testing.assert_array_equal(zeros, 0)


def test_global_clipnorm_scales_all_gradients_alike() -> None:
    found = moved(optimizers.SGD(1.0, global_clipnorm=0.5), GRADIENTS)
    norm = np.sqrt(26)
    for w, g in zip(found, GRADIENTS, strict=True):
        np.testing.assert_allclose(w, -g * 0.5 / norm)
    for w, g in zip(
        moved(optimizers.SGD(1.0, global_clipnorm=6.0), GRADIENTS), GRADIENTS, strict=True
    ):
        np.testing.assert_allclose(w, -g)


def test_clipvalue_cuts_elements() -> None:
    w, b, _ = moved(optimizers.SGD(1.0, clipvalue=0.7), GRADIENTS)
    np.testing.assert_allclose(w, -np.clip(GRADIENTS[0], -0.7, 0.7))
    np.testing.assert_allclose(b, -np.clip(GRADIENTS[1], -0.7, 0.7))


def test_some_parameters_have_no_weight_decay() -> None:
    params = [theano.shared(np.ones(2), name) for name in ("kernel", "bias", "gamma")]
    optimizer = optimizers.SGD(1.0, weight_decay=0.25)
    optimizer.exclude_from_weight_decay([params[2]], ["bias"])
    theano.function([], updates=optimizer.updates([np.zeros(2)] * 3, params))()
    for w, value in zip(params, (0.75, 1.0, 1.0), strict=True):
        np.testing.assert_array_equal(w.get_value(), value)


# --- state ----------------------------------------------------------------------------------------


def test_state_is_named_by_its_parameter_and_kept() -> None:
    params, optimizer = parameters(), optimizers.Adam()
    optimizer.updates(cost_of(params), params)
    names = ["iterations", "learning_rate", "w_momentum", "w_velocity", "b_momentum", "b_velocity"]
    assert [v.name for v in optimizer.variables] == names
    kept = optimizer.variables
    optimizer.updates(cost_of(params), params)
    assert [id(v) for v in optimizer.variables] == [id(v) for v in kept]


def test_broadcastable_parameters() -> None:
    row = theano.shared(np.ones((1, 3), "float32"), "row", broadcastable=(True, False))
    x = np.ones((4, 3), "float32")
    train = theano.function([], updates=optimizers.adam(T.mean(T.sqr(x * row)), row))
    train()
    assert (row.get_value() < 1).all()


@pytest.mark.parametrize("again", [lambda o: pickle.loads(pickle.dumps(o)), copy.deepcopy])
@pytest.mark.parametrize("make", ALL)
def test_pickles_and_copies_go_on(make: Any, again: Any) -> None:
    params, optimizer = parameters(), make(learning_rate=0.5)
    train = theano.function([], updates=optimizer.updates(cost_of(params), params))
    train()
    other, other_train, others = again((optimizer, train, params))
    for _ in range(2):
        train()
        other_train()
    for w, v in zip(params, others, strict=True):
        np.testing.assert_array_equal(w.get_value(), v.get_value())
    other.learning_rate = 0.0
    before = others[0].get_value()
    other_train()
    np.testing.assert_array_equal(others[0].get_value(), before)
    assert float(optimizer.learning_rate) == 0.5


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"learning_rate": schedules.PolynomialDecay(0.5, 10, power=2.0), "clipnorm": 0.5},
        {"weight_decay": 0.25, "name": "mine", "epsilon": 0.5, "beta_1": 0.25, "rho": 0.25},
    ],
)
def test_made_again_of_the_config(make: Any, options: dict[str, Any]) -> None:
    known = {*inspect.signature(make).parameters, "clipnorm", "weight_decay", "name"}
    optimizer = make(**{name: value for name, value in options.items() if name in known})
    config = json.loads(json.dumps(optimizer.get_config()))
    again = make.from_config(config)
    assert again.get_config() == optimizer.get_config()
    gradients = [np.array([3.0, -2.0])]
    np.testing.assert_array_equal(moved(again, gradients), moved(optimizer, gradients))


def test_a_rate_computed_of_the_rate() -> None:
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate = optimizer.learning_rate * 0.5
    assert float(optimizer.learning_rate) == 0.25


def test_functions_show_their_arguments() -> None:
    names = list(inspect.signature(optimizers.adam).parameters)
    assert names[:5] == ["cost", "params", "learning_rate", "beta_1", "beta_2"]
    assert pickle.loads(pickle.dumps(optimizers.adam)) is optimizers.adam


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (1, 1), (2, 3, 4, 5)])
@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.5}, {"weight_decay": 0.25}])
def test_parameters_of_every_shape(make: Any, options: dict[str, Any], shape: Any) -> None:
    """The elements move as those of a vector do."""
    values = np.random.default_rng(0).normal(size=shape)
    found = []
    for start in (values, values.reshape(-1)):
        w, g = theano.shared(start), theano.shared(np.asarray(np.cos(start)))
        train = theano.function([], updates=make(**options).updates([g], [w]))
        for _ in range(3):
            train()
        found.append(w.get_value())
    assert found[0].shape == shape
    np.testing.assert_allclose(found[0].reshape(-1), found[1], rtol=1e-12)


# --- errors ---------------------------------------------------------------------------------------

WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (optimizers.SGD, {"learning_rate": -1}, "learning_rate is -1"),
    (optimizers.SGD, {"learning_rate": float("nan")}, "learning_rate is nan"),
    (optimizers.SGD, {"learning_rate": "fast"}, "learning_rate is 'fast'"),
    (optimizers.SGD, {"learning_rate": None}, "learning_rate is None"),
    (optimizers.SGD, {"learning_rate": T.vector()}, "it is a scalar"),
    (optimizers.SGD, {"learning_rate": {"class_name": "Decay"}}, "it can be 'ExponentialDecay'"),
    (optimizers.SGD, {"learning_rate": lambda: 0.1}, "LearningRateSchedule"),
    (optimizers.SGD, {"momentum": 1.5}, r"momentum is 1.5; it must be in 0..1"),
    (optimizers.SGD, {"nesterov": "yes"}, "nesterov is 'yes'"),
    (optimizers.SGD, {"decay": -1e-6}, "decay is -1e-06"),
    (optimizers.SGD, {"momentun": 0.9}, "SGD has no argument 'momentun'"),
    (optimizers.SGD, {"clipnorm": 0}, "clipnorm is 0"),
    (optimizers.SGD, {"clipnorm": -1}, "clipnorm is -1"),
    (optimizers.SGD, {"clipnorm": 1.0, "clipvalue": 1.0}, "only one of clipnorm, clipvalue"),
    (optimizers.SGD, {"weight_decay": -0.1}, "weight_decay is -0.1"),
    (optimizers.SGD, {"name": 3}, "the name of an optimizer"),
    (optimizers.RMSprop, {"rho": 1.0}, "rho is 1.0; it must be in 0..1, below 1"),
    (optimizers.RMSprop, {"epsilon": -1e-7}, "epsilon is -1e-07"),
    (optimizers.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value is -1"),
    (optimizers.Adam, {"beta_1": 1.0}, "beta_1 is 1.0"),
    (optimizers.Adam, {"beta_2": -0.1}, "beta_2 is -0.1"),
    (optimizers.Adam, {"beta1": 0.9}, "Adam has no argument 'beta1'"),
    (optimizers.AdamW, {"weight_decay": None}, "AdamW needs a weight_decay"),
]


@pytest.mark.parametrize(("make", "options", "message"), WRONG)
def test_wrong_arguments(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make(**options)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (T.matrix("x"), "params has the symbolic `x`; only shared"),
        ([np.ones(3)], "only shared variables"),
        ([theano.shared(np.arange(3), "counts")], "only floats can be trained"),
        (3, "params is 3"),
    ],
)
def test_parameters_that_cannot_be_trained(params: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        optimizers.sgd(T.scalar("cost"), params)


def test_parameters_and_gradients_that_do_not_fit() -> None:
    w = theano.shared(np.ones(3), "w")
    with pytest.raises(ValueError, match="params has w twice"):
        optimizers.sgd(T.sum(w), [w, w])
    with pytest.raises(ValueError, match="2 gradients don't fit 1 param"):
        optimizers.sgd([w, w], [w])
    with pytest.raises(TypeError, match="the gradient of w"):
        optimizers.sgd([np.ones((2, 2))], [w])


def test_what_cannot_be_set() -> None:
    scheduled = optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(TypeError, match="can't be set"):
        scheduled.learning_rate = 0.5
    with pytest.raises(ValueError, match="learning_rate is -1"):
        optimizers.SGD().learning_rate = -1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps is 0"),
        (lambda: schedules.ExponentialDecay(0.1, 10, -0.5), "decay_rate is -0.5"),
        (lambda: schedules.ExponentialDecay("a", 10, 0.5), "initial_learning_rate is 'a'"),
        (lambda: schedules.InverseTimeDecay(0.1, 10, 0.5, staircase=2), "staircase is 2"),
        (lambda: schedules.PolynomialDecay(0.1, -1), "decay_steps is -1"),
        (lambda: schedules.CosineDecay(0.1, 10, warmup_steps=-1), "warmup_steps is -1"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [1, 2]), "2 boundaries need 3 values"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), "above the last"),
        (lambda: schedules.PiecewiseConstantDecay(3, [1, 2]), "boundaries is 3"),
        (lambda: schedules.CosineDecay(0.1, 10)("first"), "step is 'first'"),
    ],
)
def test_wrong_schedules(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
