"""Curves over sizes and the schedule over more threads: their figures, and a run in short form."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks/ is not installed

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import spread  # noqa: E402
from benchmarks.job import Job  # noqa: E402
from benchmarks.scaling import (  # noqa: E402
    STEP,
    Axis,
    Curve,
    Layer,
    convolution,
    curves,
    describe,
    step_of_w3,
)
from benchmarks.spread import (  # noqa: E402
    Cut,
    alone,
    cut,
    figures,
    longest_chain,
    markdown,
    recorded,
    stops_at,
)
from tinygrad_mnist.backends.base import Phase, Timeline  # noqa: E402


def curve(*costs: float) -> Curve:
    """One that takes so many picoseconds per FLOP."""
    values = list(range(1, len(costs) + 1))
    return Curve("batch", "conv2d", 2, values, [10**6] * len(costs), [c / 1e6 for c in costs])


# --- curves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("costs", "cliffs"),
    [
        ((30, 20, 10, 10), []),  # small sizes are slow: no cliff
        ((10, 14, 14), []),
        ((10, 16, 10), [1]),  # a spike
        ((10, 16, 16), [1]),  # a step
        ((10, 16, 30), [1, 2]),
        ((10, 15, 10), []),  # not more than 1.5 times
        ((10,), []),
    ],
)
def test_cliffs(costs: tuple[float, ...], cliffs: list[int]) -> None:
    assert curve(*costs).costs == pytest.approx(costs)
    assert curve(*costs).cliffs == cliffs
    assert curve(*costs).to_json()["cliffs"] == cliffs


def test_a_cliff_is_described() -> None:
    assert describe(curve(10, 16)) == [
        "conv2d, batch 2, 2 threads: 16.0 ps per FLOP, 1.60 times the point before"
    ]


@pytest.mark.parametrize(
    ("pooled", "kernels"),
    [
        (False, {"conv2d", "conv2d_grad_filter", "conv2d_grad_input"}),
        (True, {"conv2d_pool", "conv2d_pool_grad_filter", "conv2d_pool_grad_input"}),
    ],
)
def test_the_three_passes_of_a_layer_are_timed(pooled: bool, kernels: set[str]) -> None:
    layer = Layer(batch=2, channels=3, side=8, filters=4, size=3, padding=1)
    assert layer.flops == 2 * 2 * 64 * 4 * 27
    found = convolution(layer, pooled)()
    assert set(found) == kernels
    assert all(seconds > 0 and flops == layer.flops for seconds, flops in found.values())


def test_a_step_is_timed() -> None:
    ((name, (seconds, flops)),) = step_of_w3(1)().items()
    assert (name, flops) == (STEP, Job("ours", "loop", 1, "W3@1").workload.flops)
    assert seconds > 0


def test_curves_of_an_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    axis = Axis("filters", (1, 2), Layer(1, 2, 6, 1, 3))
    monkeypatch.setitem(sys.modules["benchmarks.scaling"].AXES, "filters", axis)
    found = curves("filters", axis.values, [1, 2], 1)
    assert sorted({(c.threads, len(c.values)) for c in found}) == [(1, 2), (2, 2)]
    assert len(found) == 2 * 6
    assert all(c.flops == [axis.at(v).flops for v in c.values] for c in found)


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.pictures import draw

    (path,) = draw([curve(10, 16, 10), curve(3, 2, 1)], tmp_path)
    assert path.name == "scaling_batch.png"
    assert 1000 < path.stat().st_size < 60_000


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """The command, without measuring."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    monkeypatch.setattr(command, "machine", lambda *_: {})
    monkeypatch.setattr(command.spread, "WORKLOADS", ())
    monkeypatch.setattr(command.scaling, "scaling", lambda *_: [curve(10, 16, 10)])
    command.main()


def test_the_folder_of_pictures_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run(monkeypatch, "--scaling", "--pictures", str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b" / "scaling_batch.png").exists()


@pytest.mark.parametrize("below", [".", "folder"])
def test_a_folder_that_is_a_file_is_named_before_measuring(
    below: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").touch()
    monkeypatch.setattr(command, "begin_report", lambda *_: pytest.fail("it measures"))
    with pytest.raises(SystemExit, match=r"python -m benchmarks: .*file"):
        run(monkeypatch, "--scaling", "--pictures", str(tmp_path / "file" / below))


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_a_report_outlives_its_pictures(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")

    def draw(*_: object) -> None:
        raise error("no space")

    monkeypatch.setattr(command.pictures, "draw", draw)
    words = ("--scaling", "--pictures", str(tmp_path), "--output", str(tmp_path / "report"))
    with pytest.raises(SystemExit, match="no space"):
        run(monkeypatch, *words)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["curves"] == [curve(10, 16, 10).to_json()]
    assert report["seconds"] >= 0


def test_a_report_is_written_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[object] = []
    monkeypatch.setattr(command, "write", lambda report, _: written.append(report))
    run(monkeypatch, "--scaling", "--output", str(tmp_path / "report"))
    assert len(written) == 1


def test_pictures_are_for_scaling(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--pictures", str(tmp_path))
    assert "--pictures is for --scaling" in capsys.readouterr().err


# --- the schedule ---------------------------------------------------------------------------------


def step(*phases: tuple[int, list[int]], seconds: tuple[float, ...] = ()) -> Cut:
    """Phases of so many chunks that wait for others; chunks of one second, if none are given."""
    cuts = [Phase(i, 0, chunks, after) for i, (chunks, after) in enumerate(phases)]
    of_chunks = seconds or (1.0,) * len(phases)
    return Cut(cuts, [[s] * phase.chunks for phase, s in zip(cuts, of_chunks, strict=True)])


@pytest.mark.parametrize(
    ("made", "threads", "seconds"),
    [
        (step((8, [])), 4, 2.0),
        (step((9, [])), 4, 3.0),
        (step((3, [])), 16, 1.0),
        (step((1, []), (8, [0])), 4, 3.0),  # one waits for the other
        (step((1, []), (8, [])), 4, 3.0),  # beside each other: 9 chunks
        (step((1, []), (3, [])), 4, 1.0),
        (step((2, []), (2, [0]), (2, [])), 4, 2.0),  # the third fills the first's gap
        (step((4, []), (1, [0]), seconds=(1.0, 5.0)), 2, 7.0),
    ],
)
def test_chunks_spread_over_threads(made: Cut, threads: int, seconds: float) -> None:
    assert spread.spread(made, threads) == pytest.approx(seconds)
    assert spread.spread(made, 1) == pytest.approx(made.one_thread)
    assert longest_chain(made) <= spread.spread(made, 256) + 1e-9


def test_only_the_next_phases_are_looked_at() -> None:
    """One behind the window of the first unfinished phase waits, although it is ready."""
    chain = [(1, [i - 1] if i else []) for i in range(16)]
    for n, seconds in ((15, 16.0), (16, 17.0)):  # the last begins at once, or one second later
        made = step(*chain[:n], (1, []), seconds=(*[1.0] * n, 16.0))
        assert spread.spread(made, 2) == pytest.approx(seconds)


@pytest.mark.parametrize(("chunks", "threads"), [(1, 1), (4, 4), (64, 64), (1000, 256)])
def test_where_a_cut_stops_scaling(chunks: int, threads: int) -> None:
    assert stops_at(step((chunks, []))) == threads


def test_a_phase_alone() -> None:
    assert [alone([2.0] * 4, n) for n in (1, 2, 3, 4, 16)] == [1, 2, 2, 4, 4]
    uneven = [1.0, 1.0, 1.0, 3.0]  # the longest comes last
    assert [alone(uneven, n) for n in (1, 2, 4, 16)] == pytest.approx([1, 6 / 4, 2, 2])


def test_chunks_of_a_timeline_have_lower_quartiles() -> None:
    phases = [Phase(0, 0, 2, []), Phase(1, 0, 1, [0])]
    begins = np.arange(15.0).reshape(5, 3)
    lengths = np.array([[1, 2, 3], [5, 6, 7], [1, 2, 3], [9, 9, 9], [2, 3, 4]]) / 10
    members = np.zeros((5, 3), np.int64)
    timeline = Timeline(phases, begins, begins + lengths, members, np.zeros((5, 2)))
    made = cut(timeline)
    assert made.phases == phases
    assert [pytest.approx(s) for s in made.seconds] == [[0.1, 0.2], [0.3]]


def test_seconds_and_the_longest_chain_of_a_cut() -> None:
    made = step((8, []), (1, [0]), (40, [1]), (40, [1]), seconds=(1.0, 2.0, 1.0, 0.5))
    assert made.one_thread == pytest.approx(70)
    assert [spread.spread(made, n) for n in (1, 4, 16)] == pytest.approx([70, 19, 7])
    assert longest_chain(made) == pytest.approx(4)


def test_figures_of_a_step() -> None:
    part = figures("W3")
    for threads, speed_up in part["speed_up"].items():
        assert 1 < speed_up <= min(int(threads), part["limit"]) + 1e-9
    assert {"conv2d_pool_grad_filter", "gemm"} <= {row["kernel"] for row in part["rows"]}
    assert "| W3 | " in markdown([part])


def test_the_plan_says_what_the_schedule_does() -> None:
    """The phases of each call follow one another, and wait for those that the plan names."""
    plan, timeline = recorded("W1", 3)
    assert not timeline.members.any()
    made = cut(timeline)
    last: dict[int, int] = {}
    for number, phase in enumerate(made.phases):
        if phase.call in last:
            assert phase.after == [last[phase.call]]
        else:
            assert phase.after == [last[call] for call in plan.depends[phase.call] if call in last]
        last[phase.call] = number
    assert set(last) == set(range(len(plan.calls)))
    assert all(phase.chunks >= 1 for phase in made.phases)
    assert [len(seconds) for seconds in made.seconds] == [phase.chunks for phase in made.phases]
    assert min(map(min, made.seconds)) > 0
