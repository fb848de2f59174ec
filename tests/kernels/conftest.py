"""A test that is marked as covering kernels has to do so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.native import RUNS, TARGETS

FLOATS = ("float32", "float64")
MIN_SHAPES = 8


@pytest.fixture(autouse=True)
def _covers_what_it_says(request: pytest.FixtureRequest) -> Iterator[None]:
    """The mark `covers` names kernels; each of them that the test ran (some parametrised tests take
    one at a time) must have run on every target, in several shapes, in dtypes from `dtypes`
    (at least half of them, as draws are random), with inputs and outputs that are not contiguous.
    """
    RUNS.clear()
    yield
    mark = request.node.get_closest_marker("covers")
    if mark is None:
        return
    parameters = getattr(request.node, "callspec", None)
    target = parameters.params.get("target") if parameters else None
    ran = {run.kernel for run in RUNS} & set(mark.args)
    assert ran, f"none of {mark.args} ran"
    for kernel in ran:
        runs = [run for run in RUNS if run.kernel == kernel]
        assert {run.target for run in runs} == ({target} if target else set(TARGETS)), kernel
        assert len({run.shapes for run in runs}) >= MIN_SHAPES, kernel
        dtypes = frozenset(mark.kwargs.get("dtypes", FLOATS))
        seen = frozenset[str]().union(*(run.dtypes for run in runs)) & dtypes
        assert len(seen) >= len(dtypes) / 2, kernel
        assert any(run.strided_input for run in runs), kernel
        has_outputs = any(len(run.shapes) > 1 for run in runs)
        assert not has_outputs or any(run.strided_output for run in runs), kernel
