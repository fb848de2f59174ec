"""Figures from times: ratios of neighbours, rates, shares of the peak; tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from benchmarks.match import TOLERANCE, Result
from benchmarks.workloads import DEFAULT, Workload

COUNTS = ("cudagraph_skips", "executed_flops")  # details that are no versions
#: What reports must share to be one, beside the frameworks' versions.
SAME = (
    *("device", "machine", "processor", "simd", "threads"),
    *("gpu", "driver", "python", "numpy", "tinygrad_mnist"),
)


def ratio(peer: Sequence[float], ours: Sequence[float]) -> tuple[float, float]:
    """Median and lower quartile of a peer's time over ours, block by block."""
    quotients = np.array(peer) / np.array(ours)
    return float(np.median(quotients)), float(np.quantile(quotients, 0.25))


def disagreement(costs: Sequence[float], ours: Sequence[float]) -> float:
    """The largest difference of the first costs, or logits, beside the largest of them."""
    a, b = np.array(costs), np.array(ours)
    return float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-6))


def figures(workload: Workload, results: Sequence[Result], peak: float) -> dict[str, Any]:
    """Everything that a report says of one workload. peak: FLOP/s of the threads in use."""
    own = {r.job.loops: r for r in results if r.job.framework == "ours"}
    rows = []
    for result in results:
        mine = own[result.job.loops]
        row: dict[str, Any] = {
            "job": asdict(result.job),
            "name": result.job.name,
            "version": result.facts["version"],
            "details": result.details,
            "import_s": result.facts["import_s"],
            "first_call_s": result.first_s,
            "peak_bytes": result.memory,
            "data": {},
        }
        for data, times in result.times.items():
            step = median(times)
            against, lower = ratio(times, mine.times[data])
            row["data"][data] = {
                "step_s": step,
                "step_quartiles_s": [float(q) for q in np.quantile(times, (0.25, 0.75))],
                "images_per_s": workload.batch / step,
                "share_of_peak": workload.flops / step / peak,
                "ratio": against,
                "ratio_lower_quartile": lower,
                "blocks_s": times,
            }
        # On one data set, and said of the row: costs don't depend on what is timed.
        # Of nets with dropout they are those without it, and there may be none.
        for data, costs in result.costs.items():
            own_costs = mine.costs.get(data)
            if result is not mine and own_costs is not None:
                row["cost_disagreement"] = disagreement(costs, own_costs)
                row["agrees"] = row["cost_disagreement"] <= TOLERANCE
        rows.append(row)
    executed = [r.details.get("executed_flops") for r in own.values()]
    return {
        "workload": workload.name,
        "net": workload.net.summary,
        "batch": workload.batch,
        "flops": workload.flops,
        "executed_flops": executed[0],
        "peak_flops": peak,
        "rows": rows,
        "best_peer": {d: best_peer(results, own, d) for d in results[0].times},
    }


def best_peer(
    results: Sequence[Result], own: dict[bool, Result], data: str
) -> dict[str, dict[str, Any]]:
    """Per kind of mode, called per step or in a loop, and in all: the fastest peer, and our ratio.

    `any` is our sweep against the best mode of any peer.
    """
    best: dict[str, dict[str, Any]] = {}
    kinds = {"call": (False, [False]), "loop": (True, [True]), "any": (True, [False, True])}
    for kind, (mine, theirs) in kinds.items():
        peers = [r for r in results if r.job.framework != "ours" and r.job.loops in theirs]
        if peers and mine in own:
            fastest = min(peers, key=lambda r: median(r.times[data]))
            against, lower = ratio(fastest.times[data], own[mine].times[data])
            best[kind] = {
                "name": fastest.job.name,
                "images_per_s": fastest.job.workload.batch / median(fastest.times[data]),
                "our_images_per_s": fastest.job.workload.batch / median(own[mine].times[data]),
                "ratio": against,
                "ratio_lower_quartile": lower,
            }
    return best


def heading(report: dict[str, Any]) -> str:
    """What a report was measured on."""
    on = ""
    if "threads" in report:
        on = f"{report['processor']}, {report['threads']} threads, {report['simd']}"
    if "gpu" in report:
        on = (
            f"{report['gpu']}, driver {report['driver']} (CUDA {report['driver_cuda']}),"
            f" {report['multiprocessors']} multiprocessors, peak"
            f" {report['peak_flops'] / 1e12:.1f} TFLOP/s of float32, counted"
        )
    return (
        f"{report['date']}: {on}; Python {report['python']}, NumPy {report['numpy']},"
        f" {', '.join(versions(report).values())}.\n\n"
    )


def versions(report: dict[str, Any]) -> dict[str, str]:
    """Each framework with its version, and those of its libraries."""
    found: dict[str, str] = {}
    for workload in report.get("workloads", ()):
        for row in workload["rows"]:
            extras = [f"{k} {v}" for k, v in row["details"].items() if k not in COUNTS]
            text = f"{row['job']['framework']} {row['version']}"
            found[row["job"]["framework"]] = f"{text} ({', '.join(extras)})" if extras else text
    return found


def check_same_machine(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raises ValueError where two reports are of different machines or versions. The newer one
    need have no workloads yet."""
    pairs = {key: (old.get(key), new.get(key)) for key in SAME}
    theirs, ours = versions(old), versions(new)
    pairs |= {name: (theirs[name], ours[name]) for name in theirs if name in ours}
    for key, (before, now) in pairs.items():
        if before != now:
            raise ValueError(
                f"{key} is {now}, but {before} in the report to add to: choose another output"
            )


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A report with what an older one has beside it, the newer one's workloads in place of equal
    ones; in the table's order. Raises ValueError where they are of different machines or versions.
    """
    check_same_machine(old, new)
    parts = {p["workload"]: p for r in (old, new) for p in r.get("workloads", ())}
    order = {name: place for place, name in enumerate(DEFAULT)}
    names = sorted(parts, key=lambda name: order.get(name, len(order)))
    both = {**old, **new, "workloads": [parts[name] for name in names]}
    for key in ("missing", "late"):
        united = dict.fromkeys([*old.get(key, ()), *new.get(key, ())])
        both[key] = [name for name in united if name not in parts]
    both["seconds"] = old.get("seconds", 0.0) + new.get("seconds", 0.0)
    return both


def summary(report: Sequence[dict[str, Any]]) -> str:
    """A line per workload: our sweep against the best peer, and our calls against its."""
    lines = [
        "| | MFLOP a step, useful (executed) | sweep, images/s | best peer, images/s | ratio "
        "(lower quartile) | call, images/s | best peer called per step, images/s | ratio (lower "
        "quartile) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for workload in report:
        data = next(iter(workload["best_peer"]))
        best = workload["best_peer"][data]
        if "any" in best and "call" in best:
            executed = f" ({_short(workload['executed_flops'] / 1e6)})"
            name, flops = workload["workload"], _short(workload["flops"] / 1e6) + executed
            lines.append(f"| {name} | {flops} | {_versus(best['any'])} | {_versus(best['call'])} |")
    return "\n".join([*lines, "", ""])


def _versus(best: dict[str, Any]) -> str:
    return (
        f"{best['our_images_per_s']:,.0f} | {best['images_per_s']:,.0f} ({best['name']}) "
        f"| **{best['ratio']:.2f}** ({best['ratio_lower_quartile']:.2f})"
    )


def markdown(report: Sequence[dict[str, Any]]) -> str:
    """A table per workload and data set."""
    lines: list[str] = []
    for workload in report:
        rate = workload["flops"] / 1e6
        for data in workload["best_peer"]:
            lines += [
                f"### {workload['workload']} on {data}: {workload['net']}, "
                f"mini-batch {workload['batch']}, {rate:.1f} MFLOP a step, of which we execute "
                f"{workload['executed_flops'] / 1e6:.1f}",
                "",
                "| | images/s | us/step (quartiles) | of peak | time / ours (lower quartile) |"
                " first call, s |"
                " import, s | memory, MB |",
                "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            ]
            lines += [_line(row, data) for row in workload["rows"]]
            best = workload["best_peer"][data].get("any")
            if best is not None:
                lines += [
                    "",
                    f"Our sweep against the best peer in any mode ({best['name']}): "
                    f"{best['ratio']:.2f} times as fast, lower quartile "
                    f"{best['ratio_lower_quartile']:.2f}.",
                ]
            lines.append("")
    return "\n".join(lines)


def _line(row: dict[str, Any], data: str) -> str:
    d = row["data"][data]
    wrong = "" if row.get("agrees", True) else f" (costs differ by {row['cost_disagreement']:.1e})"
    low, high = (q * 1e6 for q in d["step_quartiles_s"])
    step = f"{_short(d['step_s'] * 1e6)} ({_short(low)}-{_short(high)})"
    return (
        f"| {row['name']}{wrong} | {d['images_per_s']:,.0f} | {step} "
        f"| {d['share_of_peak']:.0%} | {d['ratio']:.2f} ({d['ratio_lower_quartile']:.2f}) "
        f"| {row['first_call_s']:.2f} | {row['import_s']:.2f} | {row['peak_bytes'] / 1e6:.0f} |"
    )


def _short(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
