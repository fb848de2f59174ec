"""What `fit`, `evaluate` and `predict` print on standard output."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.training.line import (
    State,
    Style,
    final_lines,
    plain_line,
    running_line,
)

_INTERVAL = 0.1  # seconds between two drawings of a line
_CLEAR = "\r\x1b[K"

Snapshot = Callable[[], tuple[int, Mapping[str, float]]]


def verbosity(verbose: Any) -> int:
    """0, 1 or 2 of the argument `verbose`; "auto" is 1. Raises ValueError."""
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ArgumentError(f"verbose is {shown(verbose)}; it can be 'auto', 0, 1 or 2")


class Progress:
    """The progress line of one pass; a context manager.

    verbose: 0 prints nothing, 1 a line with a bar, 2 a line when the pass has ended. On a terminal
    the line with a bar is drawn again and again, by a thread that reads `snapshot`: the number of
    steps and the means so far. Elsewhere it is printed once. target: number of steps, if known.
    """

    def __init__(self, verbose: int, target: int | None, snapshot: Snapshot) -> None:
        self._verbose = verbose
        self._target = target
        self._snapshot = snapshot
        self._out = sys.stdout
        self._is_live = verbose == 1 and _is_terminal(self._out)
        self._begin = time.perf_counter()
        self._steps_end: float | None = None
        self._is_line_open = False
        self._stopped = Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    def __enter__(self) -> Progress:
        if self._is_live:
            self._thread = Thread(target=self._draw_on, name="progress line", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        if self._is_line_open:  # an exception: what follows begins on a line of its own
            self._write("\n")
            self._is_line_open = False

    def end_steps(self) -> None:
        """Says that all steps are made: what is measured afterwards isn't their time."""
        self._steps_end = time.perf_counter()
        if self._is_live:
            self._draw()

    def finish(self, logs: Mapping[str, float]) -> None:
        """Prints the final line."""
        self._stop()
        if not self._verbose:
            return
        step, _ = self._snapshot()
        state = self._state(step, self._target if self._target and step < self._target else step)
        lines = (final_lines if self._verbose == 1 else plain_line)(state, logs, self._style())
        self._write((_CLEAR if self._is_line_open else "") + lines + "\n")
        self._is_line_open = False

    def _stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _draw_on(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            self._draw()

    def _draw(self) -> None:
        step, logs = self._snapshot()
        if step:
            with self._lock:
                line = running_line(self._state(step, self._target), logs, self._style())
                self._write(_CLEAR + line)
                self._is_line_open = True

    def _state(self, step: int, target: int | None) -> State:
        now = time.perf_counter()
        of_steps = (self._steps_end or now) - self._begin
        return State(step, target, now - self._begin, of_steps / max(1, step))

    def _style(self) -> Style:
        has_colour = _is_terminal(self._out) and "NO_COLOR" not in os.environ
        width = max(20, shutil.get_terminal_size().columns)
        return Style(width, "━" if _can_encode(self._out, "━") else "=", has_colour)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _is_terminal(out: Any) -> bool:
    is_tty = getattr(out, "isatty", lambda: False)()
    return bool(is_tty) and os.environ.get("TERM") != "dumb"


def _can_encode(out: Any, text: str) -> bool:
    try:
        text.encode(getattr(out, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
