"""Every kernel's cases for a GPU, a module per family with a list `CASES`; it drives all modes."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from helpers.gpu_cases.case import Case

CASES: list[Case] = [
    case
    for module in iter_modules(__path__)
    if module.name != "case"
    for case in import_module(f"{__name__}.{module.name}").CASES
]

__all__ = ["CASES", "Case"]
