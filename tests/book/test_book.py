"""The book's experiments: their networks, runs, votes and tables."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.small_mnist import small_arrays, write_idx_folder

from tinygrad_mnist import cli
from tinygrad_mnist.book import EXPERIMENTS, Plan, as_json, as_markdown, estimate, rows_of, run_all
from tinygrad_mnist.book.experiments import MINI_BATCH_SIZE, VOTE, VOTE_OF, VOTERS
from tinygrad_mnist.book.results import Row, vote_row
from tinygrad_mnist.book.runs import finished_runs, running
from tinygrad_mnist.book.train import saved_network, train
from tinygrad_mnist.datasets import load_data
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.functions import function
from tinygrad_mnist.network3 import Network
from tinygrad_mnist.search import Run
from tinygrad_mnist.training.schedule import falling

# Weights and biases, counted by hand from the book's descriptions.
PARAMETERS = {
    "shallow": 79_510,
    "conv1": 20 * 26 + 2880 * 100 + 100 + 1010,
    "conv1-no-fc": 20 * 26 + 28_810,
    "conv2": 20 * 26 + 40 * 501 + 64_100 + 1010,
    "relu": 20 * 26 + 40 * 501 + 64_100 + 1010,
    "expanded-300": 20 * 26 + 40 * 501 + 192_300 + 3010,
    "two-fc-100": 20 * 26 + 40 * 501 + 64_100 + 10_100 + 1010,
    "dropout-1000": 20 * 26 + 40 * 501 + 641_000 + 1_001_000 + 10_010,
    "mlp": 11_972_510,
}


@pytest.fixture
def data(tmp_path: Path) -> str:
    write_idx_folder(tmp_path / "small", small_arrays(training=120, test=40))
    return str(tmp_path / "small")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_networks(name: str) -> None:
    experiment = EXPERIMENTS[name]
    net = Network(experiment.layers(), MINI_BATCH_SIZE, 1)
    assert net.layers[-1].n_out == 10
    if name in PARAMETERS:
        assert sum(p.get_value(borrow=True).size for p in net.params) == PARAMETERS[name]
    dropouts = [getattr(layer, "p_dropout", 0.0) for layer in net.layers]
    assert dropouts[-3:] == ([0.5] * 3 if "dropout" in name else [0.0] * len(dropouts[-3:]))


def test_a_falling_rate() -> None:
    rate = falling(1e-3, 1e-6, 100)
    values = function([], rate).sweep(n_steps=120)
    expected = 1e-3 * 10 ** (-3 * np.minimum(np.arange(120), 100) / 100)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["shallow", "conv1-no-fc", "dropout-300", "mlp"])
def test_a_run_leaves_its_best_network(name: str, data: str, tmp_path: Path) -> None:
    figures = train(name, 1, 2, str(tmp_path), data)
    assert figures["epochs"] == 2
    assert sorted(p.name for p in tmp_path.glob(f"{name}*")) == [
        f"{name}-1-2.checkpoint",  # which goes when the run is in the journal
        f"{name}-1.csv",
        f"{name}-1.safetensors",
    ]
    again = train(name, 1, 2, str(tmp_path), data)  # nothing is left to train
    figures["train_seconds"] = again["train_seconds"]
    assert again == figures
    net = saved_network(tmp_path, name, 1)
    splits = load_data(data)
    n = len(splits.test.labels) // MINI_BATCH_SIZE * MINI_BATCH_SIZE
    found = net.evaluate((splits.test.images[:n], splits.test.labels[:n]))
    assert 100 * found.accuracy == pytest.approx(figures["test"])
    lines = (tmp_path / f"{name}-1.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,val_accuracy,test_accuracy"
    best = max(float(line.split(",")[2]) for line in lines[1:])
    assert 100 * best == pytest.approx(figures["validation"])


def test_runs_are_taken_from_the_folder(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(("shallow", "conv1"), 2, 1, str(tmp_path / "runs"), data)
    with ThreadPoolExecutor(1) as executor:
        results = run_all(plan, executor)
        rows = rows_of(results)
        assert [row.name for row in rows] == ["shallow", "conv1"]
        assert [len(row.tests) for row in rows] == [2, 2]
        assert len(plan.journal.read_text().splitlines()) == 5
        assert not list(tmp_path.glob("runs/*.checkpoint"))
        more = Plan(("shallow", "conv1"), 3, 1, plan.folder, data)
        assert {key(run) for run in finished_runs(more)} == {key(run) for run in results}
        again = rows_of(run_all(more, executor))
    assert [row.tests[:2] for row in again] == [row.tests for row in rows]
    assert len(plan.journal.read_text().splitlines()) == 7


def key(run: Run) -> tuple[str, int]:
    return run.settings["experiment"], run.settings["seed"]


def test_the_vote_of_trained_networks(data: str, tmp_path: Path) -> None:
    plan = Plan((VOTE,), 1, 1, str(tmp_path), data)
    assert [(e.name, n) for e, n, _ in plan.experiments()] == [(VOTE_OF, VOTERS)]
    with ThreadPoolExecutor(1) as executor:
        results = run_all(plan, executor)
    row = vote_row(results, tmp_path, load_data(data).test)
    assert row is not None
    assert len(row.tests) == VOTERS
    assert 0 <= row.test <= 100
    assert vote_row([], tmp_path, load_data(data).test) is None


def test_the_table_says_what_was_cut_short() -> None:
    rows = [
        Row("a", "100", 97.8, 97.9, 98.0, (97.9, 97.7), 60, 60, 90.0),
        Row("b", "200", None, 99.0, None, (99.0,), 5, 60, 30.0),
    ]
    lines = as_markdown(rows).splitlines()
    assert lines[2] == "| a | 100 | 97.80 | 97.90 | 97.90 97.70 | 60 | 1.5 |"
    assert lines[3] == "| b | 200 |  | 99.00 | 99.00 | 5 of 60 | 0.5 |"
    assert [row["name"] for row in json.loads(as_json(rows))] == ["a", "b"]


def test_plans_are_checked() -> None:
    with pytest.raises(ArgumentError, match="there is no experiment 'conv3'; there are shallow, "):
        Plan(("conv3",))
    with pytest.raises(ArgumentError, match="runs"):
        Plan(runs=0)
    with pytest.raises(ArgumentError, match="epochs"):
        Plan(epochs=0)


def test_an_estimate_grows_with_the_epochs() -> None:
    one = estimate(Plan(("shallow",), epochs=1))["shallow"]
    assert 0 < one < 60
    assert math.isfinite(estimate(Plan(("shallow",), epochs=100))["shallow"])


def test_how_far_runs_are(tmp_path: Path) -> None:
    (tmp_path / "conv1-2.progress").write_text(json.dumps({"epoch": 3, "of": 60}))
    (tmp_path / "conv1-3.progress").write_text("{")
    assert running(tmp_path) == [("conv1-2", {"epoch": 3, "of": 60})]


def test_the_command(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["book", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*EXPERIMENTS, VOTE))
    table = tmp_path / "book.json"
    command = ["book", "--only", "shallow", "--runs", "1", "--epochs", "1", "--jobs", "1"]
    command += ["--folder", str(tmp_path / "runs"), "--data", data, "--output", str(table)]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    assert "1 runs, one at a time" not in err
    assert "1 run, one at a time: " in err
    assert "| shallow | 100 sigmoid | 97.80 |" in out
    assert json.loads(table.read_text())[0]["name"] == "shallow"
    command[2:4] = ["shallow", "conv1-no-fc", "--runs"]
    table.unlink()
    assert cli.main(command) == 0
    err = capsys.readouterr().err
    assert "1 more run, one at a time: " in err
    assert "shallow" not in err
    assert [row["name"] for row in json.loads(table.read_text())] == ["shallow", "conv1-no-fc"]
    assert cli.main(command) == 0
    assert "all 2 runs have been done" in capsys.readouterr().err
    for wrong in (["--data", "nowhere"], ["--output", "nowhere/table.md"]):
        assert cli.main([*command, *wrong]) == 1
        err = capsys.readouterr().err
        assert err.startswith("tinygrad-mnist: ")
        assert "nowhere" in err
    assert cli.main(["book", "--only", "nothing"]) == 1
    assert "there is no experiment 'nothing'" in capsys.readouterr().err
    assert cli.main([*command[:-1], "table.txt"]) == 2
