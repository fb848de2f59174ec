"""The kernels of several functions, compiled together before any of them runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from tinygrad_mnist.backends import Backend
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.compile.specialise import ValuesNeededError
from tinygrad_mnist.functions.callable import Function


def prepare(calls: Iterable[tuple[Function, Sequence[Any]]]) -> None:
    """Compiles what the first calls of these functions need, for all of them at once.

    calls: pairs of a function and arguments. Their shapes count, as in a call; nothing is computed.
    A function compiles its kernels at its first call anyway; together they are spread over more
    processors. A function that is cut still compiles at its first call, since its plans depend on
    values. On a backend whose kernels need no compiling this does nothing.
    """
    plans: dict[str, tuple[Backend, list[Plan]]] = {}
    for function, arguments in calls:
        backend = function.backend
        if backend.compiles:
            with suppress(ValuesNeededError):
                plan = function.plan_for(*arguments)
                plans.setdefault(backend.name, (backend, []))[1].append(plan)
    for backend, wanted in plans.values():
        backend.prepare(wanted)
