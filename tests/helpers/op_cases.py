"""The differentiable cases of all tests of ops, for tests of other derivatives than gradients."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
from helpers.expressions import STEP, AnyArray, Case

OPS = Path(__file__).parents[1] / "ops"


def cases_of_ops(differentiable: bool = True) -> dict[str, Case]:
    """Every case of `CASES` in `tests/ops`, by the name of its file and its own; or only those that
    are differentiable."""
    found: dict[str, Case] = {}
    for path in sorted(OPS.glob("test_*.py")):
        spec = spec_from_file_location(f"cases_of_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        for number, case in enumerate(getattr(module, "CASES", ())):
            if isinstance(case, Case) and (case.has_gradient or not differentiable):
                found[f"{path.stem.removeprefix('test_')}-{number}-{case}"] = case
    return found


def directional_difference(
    case: Case, arguments: Sequence[AnyArray], directions: Sequence[AnyArray | None]
) -> AnyArray:
    """The case's value in NumPy, differentiated by central differences along `directions`, one for
    each argument that moves."""
    values = []
    for step in (STEP, -STEP):
        at = [a if d is None else a + step * d for a, d in zip(arguments, directions, strict=True)]
        values.append(np.asarray(case.expected(*at), np.float64))
    difference: AnyArray = np.asarray((values[0] - values[1]) / (2 * STEP))
    return difference
