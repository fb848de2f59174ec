"""The cases of all kernels, for all modes: a module per family with a list `CASES`."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

from helpers.gpu_cases.case import Case

CASES: list[Case] = [
    case
    for module in iter_modules(__path__)
    if module.name != "case"
    for case in import_module(f"{__name__}.{module.name}").CASES
]


def compiled_cases() -> list[Case]:
    """The cases whose machine code is tested: those of the mode, all that only a GPU runs, and all
    with an empty array. If a kernel has none for float32 or for float64, the first of its other
    cases is added."""
    chosen = [case for case in CASES if "sim" not in case.modes or "compile" in case.modes]
    others = [case for case in CASES if case not in chosen]  # small ones: they are made here
    chosen += [replace(case, doubles=case.has_float64) for case in others if case.is_empty]
    others = [case for case in others if not case.is_empty]
    covered = {(case.kernel, case.doubles) for case in chosen if "compile" in case.modes}
    for case in others:
        if {(case.kernel, d) for d in (False, True)} - covered:
            doubles = case.has_float64
            if (case.kernel, doubles) not in covered:
                covered.add((case.kernel, doubles))
                chosen.append(replace(case, doubles=doubles))
    return chosen


__all__ = ["CASES", "Case", "compiled_cases"]
