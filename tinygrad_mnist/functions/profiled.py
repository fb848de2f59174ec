"""Functions made with `profile=True`, which record the times of their calls."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, TextIO

import numpy as np

from tinygrad_mnist.backends.base import Backend
from tinygrad_mnist.functions.callable import Function
from tinygrad_mnist.profiling import Profile, SegmentedProfile, recording
from tinygrad_mnist.profiling.measure import of_each_plan, profile_of
from tinygrad_mnist.profiling.watch import Recorded

_KEPT = 1000  # runs whose times are kept, so that a long training does not fill the memory

Measured = Profile | SegmentedProfile  # of a function without and with cuts


class RecordedProfile:
    """The `profile` of a function that records its calls.

    Called, it measures anew, as `profile` of other functions does. fct_callcount: the number of
    calls so far. fct_call_time: their seconds in all. Both have Theano's names. The times of kernel
    calls are kept for the last runs.
    """

    def __init__(self, name: str, backend: Backend, measure: Callable[..., Measured]) -> None:
        self.fct_callcount = 0
        self.fct_call_time = 0.0
        self._name = name
        self._backend = backend
        self._measure = measure
        self._records: deque[Recorded] = deque(maxlen=_KEPT)
        self._is_measuring = False

    def __call__(self, *args: Any, **options: Any) -> Measured:
        self._is_measuring = True
        try:
            return self._measure(*args, **options)
        finally:
            self._is_measuring = False

    def record(self, call: Callable[[], Any]) -> Any:
        """The result of a call, whose times are recorded unless it is one of a measurement."""
        if self._is_measuring:
            return call()
        begin = perf_counter()
        with recording() as records:
            result = call()
        self.fct_call_time += perf_counter() - begin
        self.fct_callcount += 1
        self._records.extend(records)
        return result

    @property
    def profiles(self) -> list[Profile]:
        """A profile for each plan that ran, in the order of their first runs that are kept."""
        return [self._profile(records) for records in of_each_plan(self._records)]

    def _profile(self, records: list[Recorded]) -> Profile:
        """step_seconds: as measured with the timing of calls."""
        ends, begins = (
            np.concatenate([getattr(r.timings, name) for r in records])
            for name in ("ends", "begins")
        )
        return profile_of(records, self._backend, float(np.median(ends - begins)))

    def summary(self, file: TextIO | None = None) -> None:
        """Prints the number of calls, their time, and a table for each plan; by default to standard
        error."""
        out = sys.stderr if file is None else file
        print(f"{self._name}: {self.fct_callcount} calls in {self.fct_call_time:.3g} s", file=out)
        for profile in self.profiles:
            print(profile, file=out)


class ProfiledFunction(Function):
    """A function that records its calls; `profile` has them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        measure = super().profile
        self.profile = RecordedProfile(self._title, self._backend, measure)  # type: ignore[method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = super().__call__
        return self.profile.record(lambda: call(*args, **kwargs))  # type: ignore[attr-defined]

    def sweep(self, *args: Any, n_steps: int | None = None, **kwargs: Any) -> Any:
        sweep = super().sweep
        return self.profile.record(lambda: sweep(*args, n_steps=n_steps, **kwargs))  # type: ignore[attr-defined]
