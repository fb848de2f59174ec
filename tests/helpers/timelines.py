"""What holds of every timeline of a native program."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.native import AnyArray

from tinygrad_mnist.backends.base import Phase


def check_timeline(program: Any, times: AnyArray, threads: int) -> None:
    """Of steps that ran whole, as `program.timeline` returns it."""
    phases = [Phase(*phase) for phase in program.phases]
    first = np.cumsum([0, *(phase.chunks for phase in phases)])
    assert times.shape[1:] == (first[-1] + 1, 3)
    spans, chunks = times[:, -1], times[:, :-1]
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    for span, step in zip(spans, chunks, strict=True):
        begins, ends, members = step.T
        assert (ends >= begins).all()
        assert np.isin(members, np.arange(threads)).all()
        assert (begins >= span[0]).all()
        assert (ends <= span[1]).all()
        for member in range(threads):  # one after the other
            order = np.lexsort((ends[members == member], begins[members == member]))
            of_member = step[members == member][order]
            assert (of_member[1:, 0] >= of_member[:-1, 1]).all()
        for number, phase in enumerate(phases):
            for other in phase.after:
                done = ends[first[other] : first[other + 1]].max()
                assert begins[first[number] : first[number + 1]].min() >= done
