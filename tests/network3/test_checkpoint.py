"""Checkpoints: a run that goes on from one ends with the same bits as an undisturbed one."""

# ruff: noqa: NPY002 (orders and weights come from NumPy's global generator)

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays

from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.network3 import (
    Checkpoint,
    FullyConnectedLayer,
    Network,
    Reporter,
    SoftmaxLayer,
    share_data,
)
from tinygrad_mnist.saving import load_arrays, save_arrays
from tinygrad_mnist.sharedvalue import shared
from tinygrad_mnist.training.schedule import annealed

EPOCHS, BATCHES = 3, 150


def network(p_dropout: float = 0.3) -> Network:
    layers = [FullyConnectedLayer(12, 7, p_dropout=p_dropout), SoftmaxLayer(7, 5, p_dropout)]
    return Network(layers, 4, seed=2)


def train(net: Network, seed: int = 1, **options: Any) -> Network:
    data = share_data(arrays((4 * BATCHES, 8, 8), seed=seed))
    rate = annealed(0.5, EPOCHS * BATCHES)
    others = share_data(arrays((4 * BATCHES, 9, 9), seed=5))
    if options.pop("validation", 1) == 2:
        data[1] = others[1]
    which = options.pop("tests", 1)
    data[2] = others[2] if which == 2 else data[2] if which else None
    given = {"epochs": EPOCHS, "eta": rate, "lmbda": 0.1, "quiet": True, **options}
    np.random.seed(9)  # of the orders, where they are shuffled
    net.SGD(data[0], given.pop("epochs"), 4, given.pop("eta"), data[1], data[2], **given)
    return net


def alike(one: Network, other: Network) -> None:
    for a, b in zip(one.params, other.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())
    for name in ("costs", "validation_accuracies", "test_accuracies"):
        np.testing.assert_array_equal(getattr(one.history, name), getattr(other.history, name))
    for name in ("best_validation_accuracy", "best_iteration", "test_accuracy"):
        assert getattr(one.history, name) == getattr(other.history, name)


def stopped(path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Network:
    """A run that is interrupted after so many sweeps."""
    net = network()
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "advance", interrupted_after(chunk))
        with pytest.raises(KeyboardInterrupt):
            train(net, checkpoint=path, **options)
    return net


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_run_goes_on_as_if_never_stopped(
    chunk: int, shuffle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    whole = train(network(), shuffle=shuffle)
    half = stopped(path, chunk, monkeypatch, shuffle=shuffle)
    kept = Network.load(path)
    for a, b in zip(kept.params, half.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())
    again = train(network(), shuffle=shuffle, checkpoint=Checkpoint(path, resume=True))
    alike(again, whole)
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("every", [7, 40, 100, 150, 1000])
def test_checkpoints_do_not_change_a_run(every: int, tmp_path: Path) -> None:
    whole = train(network())
    alike(train(network(), checkpoint=Checkpoint(tmp_path / "run", every)), whole)


def test_an_ended_run_can_be_made_longer(tmp_path: Path) -> None:
    path = tmp_path / "run"
    first = train(network(), epochs=1, checkpoint=path)
    second = train(network(), checkpoint=Checkpoint(path, resume=True))
    alike(second, train(network()))
    assert second.history.seconds > first.history.seconds
    third = train(network(), checkpoint=Checkpoint(path, resume=True))
    alike(third, second)


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run"
    seen: list[Any] = []

    def note(net: Network, epoch: int) -> None:
        seen.append([p.get_value() for p in net.params])

    net = train(network(), checkpoint=path, callbacks=[note])
    values = net.history.validation_accuracies
    latest_best = max(i for i, v in enumerate(values) if v == max(values))
    for a, b in zip(Network.load(path, best=True).params, seen[latest_best], strict=True):
        np.testing.assert_array_equal(a.get_value(), b)


def test_early_stopping_holds_after_a_resumption(tmp_path: Path) -> None:
    options = {"epochs": 40, "early_stopping": 2}
    whole = train(network(), **options)
    train(network(), checkpoint=tmp_path / "run", **options)
    again = train(network(), checkpoint=Checkpoint(tmp_path / "run", resume=True), **options)
    alike(again, whole)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(network(), epochs=1, eta=0.5, checkpoint=path)
    again = Checkpoint(path, resume=True)
    for options, message in (
        ({"eta": 0.5, "validation": 2}, "with validation data"),
        ({"eta": 0.5, "tests": 2}, "with test data"),
        ({"eta": 0.5, "tests": None}, "with test data"),
        ({"eta": 0.25}, "of a run with eta 0.5; this one has 0.25"),
        ({"eta": 0.5, "lmbda": 0.0}, "with lmbda 0.1"),
        ({"eta": 0.5, "seed": 2}, "with training data"),
        ({"eta": 0.5, "shuffle": True}, "with seed of shuffling"),
        ({"eta": annealed(0.5, 300)}, "with eta 0.5; this one has"),
    ):
        with pytest.raises(SavedFileError, match=message):
            train(network(), checkpoint=again, **options)
    with pytest.raises(SavedFileError, match="of a network with layers"):
        train(network(0.5), checkpoint=again)
    network().save(path)
    with pytest.raises(SavedFileError, match="is no checkpoint of a run"):
        train(network(), checkpoint=again)


def test_a_schedule_for_another_number_of_steps_is_refused(tmp_path: Path) -> None:
    train(network(), epochs=1, eta=annealed(0.5, 300), checkpoint=tmp_path / "run")
    again = Checkpoint(tmp_path / "run", resume=True)
    with pytest.raises(SavedFileError, match=r"of a run with eta .*300.*; this one has .*450"):
        train(network(), eta=annealed(0.5, 450), checkpoint=again)


class Stop(Exception):  # noqa: N818
    """What ends a run in these tests, as a kill would: the file stays as it was."""


def test_what_callbacks_change_is_kept(tmp_path: Path) -> None:
    """A learning rate that is no update of the step, and the parameters themselves."""

    def run(**options: Any) -> Network:
        eta = shared(np.float32(0.5))

        def halve(net: Network, epoch: int) -> None:
            eta.set_value(np.float32(0.5 ** (epoch + 2)))
            net.params[1].set_value(0.9 * net.params[1].get_value())

        options.setdefault("callbacks", []).insert(0, halve)
        return train(network(), eta=eta, **options)

    def stop(epoch: int) -> None:
        if epoch == 2:
            raise Stop

    whole = run()
    with pytest.raises(Stop):
        run(checkpoint=tmp_path / "run", before_epoch=stop)
    again = Checkpoint(tmp_path / "run", resume=True)
    alike(run(checkpoint=again, before_epoch=lambda epoch: None), whole)


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_callbacks_that_had_not_ended_are_called_again(epoch: int, tmp_path: Path) -> None:
    path = tmp_path / "run"

    def stop(net: Network, at: int) -> None:
        if at == epoch:
            raise Stop

    with pytest.raises(Stop):
        train(network(), checkpoint=path, callbacks=[stop])
    seen: list[int] = []
    again = train(
        network(),
        checkpoint=Checkpoint(path, resume=True),
        callbacks=[lambda net, at: seen.append(at)],
    )
    assert seen == list(range(epoch, EPOCHS))
    alike(again, train(network()))


def test_a_run_that_a_callback_ended_is_over(tmp_path: Path) -> None:
    callbacks = [lambda net, epoch: epoch == 1]
    whole = train(network(), callbacks=callbacks, checkpoint=tmp_path / "run")
    again = train(
        network(), callbacks=callbacks, checkpoint=Checkpoint(tmp_path / "run", resume=True)
    )
    assert again.history.epochs == 2
    alike(again, whole)


def test_data_that_change_with_the_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the same program goes on with the images of a later epoch."""
    data = share_data(arrays((4 * BATCHES, 8, 8)))
    original = data[0][0].get_value()

    def noisy(epoch: int) -> None:
        rng = np.random.default_rng(epoch)
        data[0][0].set_value(original + rng.normal(size=original.shape).astype(original.dtype))

    def run(net: Network, **options: Any) -> Network:
        net.SGD(data[0], 3, 4, 0.3, data[1], data[2], quiet=True, before_epoch=noisy, **options)
        return net

    whole = run(network())
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "advance", interrupted_after(4))
        with pytest.raises(KeyboardInterrupt):
            run(network(), checkpoint=tmp_path / "run")
    alike(run(network(), checkpoint=Checkpoint(tmp_path / "run", resume=True)), whole)


def interrupted_after(chunk: int) -> Any:
    chunks = []

    def interrupt(self: Any, steps: int, cost: float) -> None:
        chunks.append(steps)
        if len(chunks) == chunk:
            raise KeyboardInterrupt

    return interrupt


@pytest.mark.parametrize("where", ["missing/run", "folder", "file/run"])
def test_a_place_that_cannot_be_written_is_named_before_the_run(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Network, "training_function", None)  # the run doesn't get there
    with pytest.raises(OSError, match=str(tmp_path / where)):
        train(network(), checkpoint=tmp_path / where)


def test_a_full_disk_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "run"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(net: Network, epoch: int) -> None:
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))

    try:
        with pytest.raises(OSError, match=str(path)):
            train(network(), checkpoint=path, callbacks=[fill])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["run"]
    alike(train(network(), checkpoint=Checkpoint(path, resume=True)), train(network()))


def test_leftovers_of_killed_runs_go(tmp_path: Path) -> None:
    for name in (".run.0123abcd.part", ".run.csv.0123abcd.part", ".other.0123abcd.part"):
        (tmp_path / name).write_text("half")
    train(network(), epochs=1, checkpoint=tmp_path / "run")
    assert sorted(os.listdir(tmp_path)) == [
        ".other.0123abcd.part",
        ".run.csv.0123abcd.part",
        "run",
    ]


def _change(key: str, value: Any) -> Any:
    return lambda a, d: d["run"].update({key: value})


def _arrays(name: str, value: Any) -> Any:
    return lambda a, d: a.update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda a, d: d.update(run=5),
        lambda a, d: d["run"].update(settings=[]),
        lambda a, d: d["run"].pop("settings"),
        lambda a, d: d["run"].pop("seconds"),
        _change("seconds", "long"),
        _change("seconds", float("nan")),
        _change("ended epochs", 7),
        _change("ended epochs", None),
        lambda a, d: d.update(layers=[]),
        lambda a, d: a.pop("history.costs"),
        lambda a, d: a.pop("state.0"),
        lambda a, d: a.pop("best.fc1.w"),
        lambda a, d: a.pop("fc1.w"),
        _arrays("state.0", np.zeros(3, np.int64)),
        _arrays("best.fc1.w", np.zeros((12, 7), np.float64)),
        _arrays("softmax.b", np.zeros(4, np.float32)),
        _arrays("history.costs", np.zeros((3, 50))),
        _arrays("history.costs", np.zeros(3)),
        _arrays("history.costs", np.zeros(1000)),
        _arrays("history.test_accuracies", np.zeros(3)),
        _arrays("history.validation_accuracies", np.zeros(())),
        _arrays("history.validation_accuracies", np.zeros(1, np.complex64)),
    ],
)
def test_a_damaged_checkpoint_changes_nothing(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(network(), epochs=1, checkpoint=path)
    _, found, description = load_arrays(path)
    change(found, description)
    save_arrays(path, found, description)
    net = network()
    before = [p.get_value() for p in net.params]
    with pytest.raises(SavedFileError, match=str(path)):
        train(net, checkpoint=Checkpoint(path, resume=True))
    for old, param in zip(before, net.params, strict=True):
        np.testing.assert_array_equal(old, param.get_value())


INTERRUPTS = """
import os, random, signal, sys, threading, time
sys.path.insert(0, {tests!r})
from network3.test_checkpoint import Checkpoint, network, train

path, times = {path!r}, {times}
def ctrl_c():
    while not sweeping.wait(0.01):
        pass
    time.sleep(random.Random({seed}).random() * 0.05)
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.0005)

from tinygrad_mnist.network3 import Reporter
sweeping = threading.Event()
status = Reporter.status
Reporter.status = lambda self, text: (sweeping.set(), status(self, text))
thread = threading.Thread(target=ctrl_c)
thread.start()
try:
    train(network(), epochs=3000, eta=0.01, checkpoint=Checkpoint(path))
except KeyboardInterrupt:
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            pass
    print("interrupted")
"""


@pytest.mark.parametrize(("times", "seed"), [(1, 0), (1, 1), (2, 2), (3, 3)])
def test_ctrl_c_leaves_a_checkpoint(times: int, seed: int, tmp_path: Path) -> None:
    path, tests = tmp_path / "run", str(Path(__file__).parents[1])
    program = INTERRUPTS.format(tests=tests, path=str(path), times=times, seed=seed)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "interrupted\n", done.stderr
    assert os.listdir(tmp_path) == ["run"]
    steps = len(load_arrays(path).arrays["history.costs"])
    epochs = steps // BATCHES + 1
    again = train(network(), epochs=epochs, eta=0.01, checkpoint=Checkpoint(path, resume=True))
    alike(again, train(network(), epochs=epochs, eta=0.01))


def test_arguments() -> None:
    assert repr(Checkpoint("a", 5)) == "Checkpoint('a', every=5, resume=False)"
    with pytest.raises(ValueError, match="every"):
        Checkpoint("a", 0)
    with pytest.raises(TypeError, match="checkpoint is 5; it must be a path or a Checkpoint"):
        train(network(), checkpoint=5)


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from network3.test_checkpoint import Checkpoint, network, train
train(network(), epochs=2000, eta=0.01, checkpoint=Checkpoint({path!r}, 20, resume=True))
"""


def test_a_killed_run_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    tests = str(Path(__file__).parents[1])
    program = PROGRAM.format(tests=tests, path=str(path))
    for wait in (0.0, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": f"{tests}/helpers"}
        )
        end = time.monotonic() + 60
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = Network.load(path)
    assert all(np.isfinite(p.get_value()).all() for p in kept.params)
    steps = 3 * BATCHES
    again = train(network(), epochs=3, eta=0.01, checkpoint=Checkpoint(path, resume=True))
    whole = train(network(), epochs=3, eta=0.01)
    if again.history.steps == steps:
        alike(again, whole)
    np.testing.assert_array_equal(again.history.costs[:steps], whole.history.costs)
