"""What the runs gave, beside the book's figures: as a table in Markdown, and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinygrad_mnist.book.experiments import EXPERIMENTS, VOTE, VOTE_OF, VOTE_REPORTED, VOTERS
from tinygrad_mnist.book.train import saved_network
from tinygrad_mnist.network3 import Ensemble
from tinygrad_mnist.search import Run


@dataclass(frozen=True)
class Row:
    """An experiment's line. Accuracies are in percent.

    reported: the book's. test: of the run with the best validation accuracy, as the book has it.
    tests: of all runs. epochs: that the longest run trained for, of `wanted`. seconds: of a run,
    the median.
    """

    name: str
    summary: str
    reported: float | None
    test: float
    validation: float | None
    tests: tuple[float, ...]
    epochs: int
    wanted: int
    seconds: float


def rows_of(all_runs: Sequence[Run]) -> list[Row]:
    """A row per experiment that has a finished run, in the book's order."""
    rows = []
    for name, experiment in EXPERIMENTS.items():
        runs = _finished(all_runs, name)
        if not runs:
            continue
        best = max(runs, key=lambda run: run.values["validation"])
        rows.append(
            Row(
                name,
                experiment.summary,
                experiment.reported,
                best.values["test"],
                best.values["validation"],
                tuple(run.values["test"] for run in runs),
                int(max(run.values["epochs"] for run in runs)),
                experiment.epochs,
                float(np.median([run.values["train_seconds"] for run in runs])),
            )
        )
    return rows


def vote_row(all_runs: Sequence[Run], folder: str | os.PathLike[str], test: Any) -> Row | None:
    """The vote of the networks in a folder; None where there are too few. test: images, labels."""
    runs = _finished(all_runs, VOTE_OF)[:VOTERS]
    if len(runs) < VOTERS:
        return None
    networks = [saved_network(folder, VOTE_OF, run.settings["seed"]) for run in runs]
    right = Ensemble(networks).evaluate(test).accuracy
    return Row(
        VOTE,
        f"{VOTERS} networks of {VOTE_OF}",
        VOTE_REPORTED,
        100 * right,
        None,
        tuple(run.values["test"] for run in runs),
        int(max(run.values["epochs"] for run in runs)),
        EXPERIMENTS[VOTE_OF].epochs,
        sum(run.values["train_seconds"] for run in runs),
    )


def _finished(runs: Sequence[Run], name: str) -> list[Run]:
    """Those of an experiment that didn't fail, by seed."""
    of_this = [run for run in runs if run.settings["experiment"] == name and run.error is None]
    return sorted(of_this, key=lambda run: run.settings["seed"])


def as_markdown(rows: Sequence[Row]) -> str:
    """A table. A run that was shorter than the book's says so."""
    lines = [
        "| experiment | network | the book, % | here, % | all runs, % | epochs | minutes a run |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        reported = "" if row.reported is None else f"{row.reported:.2f}"
        epochs = str(row.epochs) if row.epochs >= row.wanted else f"{row.epochs} of {row.wanted}"
        cells = (
            *(row.name, row.summary, reported, f"{row.test:.2f}"),
            " ".join(f"{test:.2f}" for test in row.tests),
            *(epochs, f"{row.seconds / 60:.1f}"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def as_json(rows: Sequence[Row]) -> str:
    """The rows as a list of objects."""
    return json.dumps([asdict(row) for row in rows], indent=1) + "\n"
