"""Functions called from several threads."""

from __future__ import annotations

import threading

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812


def test_two_threads_call_one_function(device: str) -> None:
    x, i = T.dmatrix("x"), T.lscalar("i")
    total, n = theano.shared(np.zeros((3, 3))), theano.shared(np.int64(0))
    function = theano.function([x, i], T.dot(x, x)[i] * 2, updates=[(total, total + x), (n, n + 1)])
    failures: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for step in range(50):
            value = rng.normal(size=(3, 3))
            result = function(value, step % 3)
            if not np.allclose(result, 2 * (value @ value)[step % 3]):
                failures.append(f"thread {seed}, step {step}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert n.get_value() == 100
    expected = sum(
        rng.normal(size=(3, 3)) for rng in map(np.random.default_rng, range(2)) for _ in range(50)
    )
    np.testing.assert_allclose(total.get_value(), expected, rtol=1e-12, atol=1e-12)


def test_two_threads_run_different_shapes(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], T.sum(x**2))
    results: dict[int, list[float]] = {}

    def work(n: int) -> None:
        results[n] = [float(function(np.full(n, 2.0))) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {3: [12.0] * 50, 1000: [4000.0] * 50}


def test_two_functions_that_update_one_variable_take_turns() -> None:
    w = theano.shared(np.zeros(100_000), "w")
    by_one, by_two = (theano.function([], updates=[(w, w + n)]) for n in (1.0, 2.0))
    threads = [
        threading.Thread(target=lambda f=f: [f() for _ in range(200)]) for f in (by_one, by_two)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(w.get_value(), 600.0)


def test_a_reader_sees_whole_steps_only(device: str) -> None:
    """w and v are equal after every step, and so are all their elements."""
    n = 30_000
    w, v, i = theano.shared(np.zeros(n), "w"), theano.shared(np.zeros(n), "v"), T.lscalar("i")
    step = theano.function([i], [], updates=[(w, w + i), (v, v + i)])
    look = theano.function([], [T.min(w), T.max(w), T.min(v), T.max(v)])
    seen: list[list[float]] = []
    done = threading.Event()

    def train() -> None:
        for _ in range(10):
            step.sweep(np.ones(10, np.int64))
            step(1)
        done.set()

    thread = threading.Thread(target=train)
    thread.start()
    while not done.is_set():
        seen.append([float(value) for value in look()])
        copy = w.get_value()
        seen.append([float(copy.min()), float(copy.max())])
    thread.join()
    assert all(len(set(values)) == 1 for values in seen)
    assert look()[0] == 110


def test_a_value_is_set_between_steps(device: str) -> None:
    rate, i = theano.shared(np.ones(20_000), "rate"), T.lscalar("i")
    look = theano.function([i], [T.min(rate) * i, T.max(rate) * i])
    results: list[tuple[np.ndarray, np.ndarray]] = []

    def work() -> None:
        for _ in range(10):
            results.append(tuple(look.sweep(np.ones(10, np.int64))))

    thread = threading.Thread(target=work)
    thread.start()
    value = 1.0
    while thread.is_alive():
        value += 1
        rate.set_value(np.full(20_000, value))
    thread.join()
    for low, high in results:
        np.testing.assert_array_equal(low, high)
