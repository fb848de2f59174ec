"""Chrome traces: valid events, in order, none over another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.profiles import small_profile

from tinygrad_mnist.profiling import Profile

STEPS, CALLS = 1, 2


def trace_of(profile: Profile, folder: Path) -> list[dict[str, Any]]:
    """The events of the trace that a profile writes."""
    profile.to_chrome_trace(folder / "trace.json")
    events: list[dict[str, Any]] = json.loads((folder / "trace.json").read_text())["traceEvents"]
    return events


def lane(trace: list[dict[str, Any]], tid: int) -> list[dict[str, Any]]:
    return [e for e in trace if e["tid"] == tid and e["ph"] == "X"]


def check_lane(complete: list[dict[str, Any]]) -> None:
    """Events follow each other in time and don't overlap."""
    end = 0.0
    for event in complete:
        assert event["ts"] >= end - 1e-9
        assert event["dur"] >= 0
        end = event["ts"] + event["dur"]


def test_events(tmp_path: Path) -> None:
    trace = trace_of(small_profile(), tmp_path)
    names = [e["args"]["name"] for e in trace if e["ph"] == "M"]
    assert names == ["small on fused", "steps", "kernel calls, 1 thread"]
    calls = lane(trace, CALLS)
    assert [e["name"] for e in calls] == ["gemm", "reduce", "reduce"] * 3
    check_lane(calls)
    steps = lane(trace, STEPS)
    assert [e["name"] for e in steps] == ["step 0", "step 1", "step 2"]
    assert [e["dur"] for e in calls[:3]] == [2.0, 4.0, 1.0]
    assert [e["ts"] for e in calls[:4]] == pytest.approx([0, 2, 6, 10], abs=0.002)


def test_calls_lie_in_their_steps(tmp_path: Path) -> None:
    trace = trace_of(small_profile(), tmp_path)
    calls = lane(trace, CALLS)
    for number, step in enumerate(lane(trace, STEPS)):
        inside = calls[3 * number : 3 * number + 3]
        assert inside[0]["ts"] >= step["ts"] - 1e-9
        assert inside[-1]["ts"] + inside[-1]["dur"] <= step["ts"] + step["dur"] + 1e-9


def test_calls_tell_what_they_are(tmp_path: Path) -> None:
    gemm = lane(trace_of(small_profile(), tmp_path), CALLS)[0]
    args = gemm["args"]
    assert args["call"] == "out0:10x10 = gemm(x:10x10, y:10x10)"
    assert (args["inputs"], args["outputs"]) == ([[10, 10], [10, 10]], [[10, 10]])
    assert (args["FLOP"], args["bytes"]) == (2000, 2400)
    assert args["GFLOP/s"] == pytest.approx(1.0)
    assert "profiles.py:" in args["line"]


def test_the_file_is_json(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    small_profile().to_chrome_trace(path)
    trace = json.loads(path.read_text())
    assert trace["displayTimeUnit"] == "ns"
    assert {e["ph"] for e in trace["traceEvents"]} == {"M", "X"}
