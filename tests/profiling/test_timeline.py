"""Timelines of chunks: recorded by profiles, where the threads' time goes, and in traces."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.profiles import small_profile

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends.base import Phase, Timeline
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.profiling import Profile, SegmentedProfile, trace
from tinygrad_mnist.profiling.timeline import joined, thread_time
from tinygrad_mnist.profiling.watch import recording, recording_chunks


def timeline(*steps: list[tuple[float, float, int]], after: float = 0.0) -> Timeline:
    """Chunks of three calls: of the first two, of the second one, of the third, in two phases,
    one and two. Each step lasts from its first chunk to `after` behind its last."""
    phases = [Phase(0, 0, 2, []), Phase(1, 0, 1, [0]), Phase(2, 0, 1, [1]), Phase(2, 1, 2, [2])]
    times = np.array(steps)
    begins, ends, members = np.moveaxis(times, 2, 0)
    spans = np.stack([begins.min(axis=1), ends.max(axis=1) + after], axis=1)
    return Timeline(phases, begins, ends, members.astype(np.int64), spans)


STEP = [(0.0, 4.0, 0), (0.0, 3.0, 1), (4.0, 6.0, 0), (6.0, 7.0, 1), (8.0, 10.0, 1), (8.0, 10.0, 0)]


def moved(step: list[tuple[float, float, int]], by: float) -> list[tuple[float, float, int]]:
    return [(begin + by, end + by, member) for begin, end, member in step]


def test_where_the_time_of_two_threads_goes() -> None:
    time = thread_time(timeline(STEP, moved(STEP, 20), after=2.5), 3, 2)
    assert (time.threads, time.seconds) == (2, 12.5)
    assert time.in_chunks == pytest.approx(14 / 25)
    assert time.waiting == pytest.approx(6 / 25)
    assert time.around == pytest.approx(5 / 25)
    # One waits for the first call's longer chunk, then for a call each; for a second, both wait.
    assert time.waits == pytest.approx((1 / 25, 2 / 25, 1 / 25))


def test_more_threads_wait_for_the_same_chunks() -> None:
    time = thread_time(timeline(STEP), 3, 4)
    assert time.in_chunks == pytest.approx(14 / 40)
    assert time.waiting == pytest.approx(26 / 40)
    # Two wait for two chunks of 3 s; then three for one; at the end two for two of one call.
    assert time.waits == pytest.approx(((6 + 3) / 40, 6 / 40, (3 + 4) / 40))
    alone = thread_time(timeline(moved(STEP[:1], 0) + [(4.0, 4.0, 0)] * 5), 3, 1)
    assert alone.waits == (0, 0, 0)
    assert (alone.in_chunks, alone.waiting, alone.around) == (1, 0, 0)


def test_the_faster_steps_count() -> None:
    slow = [(begin * 9, end * 9, member) for begin, end, member in STEP]
    disturbed = timeline(moved(slow, 100), STEP, moved(STEP, 20))
    assert thread_time(disturbed, 3, 2).waits == thread_time(timeline(STEP), 3, 2).waits


def test_a_profile_prints_the_time_of_the_threads() -> None:
    step = [(begin * 1e-6, end * 1e-6, member) for begin, end, member in STEP]
    profile = dataclasses.replace(small_profile(), timeline=timeline(step, after=2.5e-6), threads=2)
    lines = str(profile).splitlines()
    assert lines[14:18] == [
        "a step, chunk by chunk: 12.5 us of 2 threads, 56.0% in chunks, 24.0% waiting "
        "between them, 20.0% around them",
        "waiting while others run:  8.0% call 1, reduce",
        "                           4.0% call 0, gemm",
        "                           4.0% call 2, reduce",
    ]
    assert not any("chunk" in line for line in str(small_profile()).splitlines())


# --- of functions ---------------------------------------------------------------------------------


def descent() -> tuple[theano.Function, theano.SharedVariable]:
    """A step on rows of data, with calls of several chunks and a counter."""
    rng = np.random.default_rng(0)
    data = theano.shared(rng.normal(size=(800, 60)).astype(np.float32), "data")
    w = theano.shared(rng.normal(size=(60, 300)).astype(np.float32), "w")
    count = theano.shared(np.zeros(1), "count")
    i = T.lscalar("i")
    cost = T.mean(T.tanh(T.dot(data[i * 200 : (i + 1) * 200], w)) ** 2)
    updates = [(w, w - 0.1 * T.grad(cost, w)), (count, count + 1)]
    return theano.function([i], cost, updates=updates, name="descent"), count


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sweep", [False, True])
def test_a_timeline_is_recorded(threads: int, sweep: bool) -> None:
    theano.config.threads = threads
    function, count = descent()
    steps = 4 if sweep else 1
    profile = function.profile(range(4) if sweep else 1, sweep=sweep, repeats=3, timeline=True)
    assert isinstance(profile, Profile)
    assert count.get_value().tolist() == [steps * (1 + 3 * 3)]
    found = profile.timeline
    assert found is not None
    n_chunks = sum(phase.chunks for phase in found.phases)
    assert n_chunks > len(found.phases)
    assert found.begins.shape == found.ends.shape == found.members.shape == (3 * steps, n_chunks)
    assert found.spans.shape == (3 * steps, 2)
    assert {phase.call for phase in found.phases} == set(range(len(profile.plan.calls)))
    time = profile.thread_time
    assert time is not None
    assert time.in_chunks + time.waiting + time.around == pytest.approx(1)
    assert min(time.in_chunks, time.waiting, time.around, *time.waits) >= 0
    assert sum(time.waits) <= time.waiting + 1e-9
    assert time.threads == threads


@pytest.mark.parametrize("threads", [1, 2])
def test_results_are_those_of_other_runs(threads: int) -> None:
    theano.config.threads = threads
    plain, recorded = descent()[0], descent()[0]
    expected = [plain(3), *plain.sweep(range(4))]
    with recording_chunks() as records:
        found = [recorded(3), *recorded.sweep(range(4))]
    assert [np.asarray(v).tobytes() for v in found] == [np.asarray(v).tobytes() for v in expected]
    assert [len(record.timeline.begins) for record in records] == [1, 4]
    assert joined([record.timeline for record in records]).begins.shape[0] == 5
    recorded(0)
    assert len(records) == 2


def test_only_the_innermost_recording_records() -> None:
    function, _ = descent()
    with recording() as runs, recording_chunks() as chunks, recording() as inner:
        function(1)
    assert (len(runs), len(chunks), len(inner)) == (0, 0, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_steps_that_fail_are_not_recorded(threads: int) -> None:
    theano.config.threads = threads
    x, i = T.matrix("x"), T.lvector("i")
    function = theano.function([x, i], T.exp(x)[i])
    rows = np.array([[0, 1], [2, 0], [0, 3], [1, 1]])
    with recording_chunks() as records, pytest.raises(IndexOutOfRangeError, match="out of range"):
        function.sweep(np.ones((3, 9_000), np.float32), rows)
    (record,) = records
    assert len(record.timeline.begins) == 2
    assert (record.timeline.ends >= record.timeline.begins).all()
    assert record.timeline.begins.min() > 0
    with recording_chunks() as records, pytest.raises(IndexOutOfRangeError):
        function(np.ones((3, 2), np.float32), [0, 3])
    assert records == []


def test_devices_without_chunks_have_no_timeline(device: str) -> None:
    x = T.vector("x")
    profile = theano.function([x], x + 1).profile([1.0], repeats=1, timeline=True)
    assert isinstance(profile, Profile)
    assert (profile.timeline is None) == (profile.backend != "cpu")


def test_segments_have_timelines_of_their_own() -> None:
    x = T.vector("x")
    function = theano.function([x], T.sum(x[T.nonzero(T.gt(x * 2, 0))[0]] * 3))
    profile = function.profile([1.0, -2.0, 3.0], repeats=2, timeline=True)
    assert isinstance(profile, SegmentedProfile)
    for part in profile.segments:
        assert part.timeline is not None
        assert len(part.timeline.begins) == 2
        assert {phase.call for phase in part.timeline.phases} <= set(range(len(part.plan.calls)))


# --- traces ---------------------------------------------------------------------------------------


def events(profile: Profile, folder: Path) -> list[dict[str, Any]]:
    """Those of the timeline, in a profile's trace."""
    profile.to_chrome_trace(folder / "trace.json")
    found = json.loads((folder / "trace.json").read_text())["traceEvents"]
    return [event for event in found if event["pid"] == 2]


def test_a_lane_for_each_thread(tmp_path: Path) -> None:
    theano.config.threads = 2
    function, _ = descent()
    profile = function.profile(range(4), sweep=True, repeats=2, timeline=True)
    assert isinstance(profile, Profile)
    assert profile.timeline is not None
    found = events(profile, tmp_path)
    names = [event["args"]["name"] for event in found if event["ph"] == "M"]
    title = "descent on cpu, calls side by side"
    assert names == [title, "steps", "thread 0, the caller", "thread 1"]
    steps, *threads = ([e for e in found if (e["ph"], e["tid"]) == ("X", n)] for n in (1, 2, 3))
    assert [e["name"] for e in steps] == [f"step {n}" for n in range(8)]
    for lane in (steps, *threads):
        for one, other in pairwise(lane):
            assert other["ts"] >= one["ts"] + one["dur"] - 1e-6
    args = [event["args"] for lane in threads for event in lane]
    chunks = sorted((a["call"], a["phase"], a["chunk"]) for a in args)
    phases = profile.timeline.phases
    assert chunks == sorted(8 * [(p.call, p.number, c) for p in phases for c in range(p.chunks)])
    one = next(e for e in threads[0] if e["args"]["call"] == 0)
    assert one["name"].endswith(profile.plan.calls[0].kernel)


def test_long_timelines_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [moved(STEP, 20 * n) for n in range(5)]
    profile = dataclasses.replace(small_profile(), timeline=timeline(*steps), threads=2)
    for most, whole in ((1, 1), (18, 3), (1000, 5)):
        monkeypatch.setattr(trace, "_MOST_CHUNKS", most)
        found = [event for event in events(profile, tmp_path) if event["ph"] == "X"]
        assert len(found) == whole * (1 + len(STEP))
