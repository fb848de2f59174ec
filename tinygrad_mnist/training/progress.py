"""Output of a training run: lines on standard output, a bar on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_CHUNK = 100  # mini-batches between two updates of the bar; divides 1000, after which a line comes


def chunks(first: int, last: int, every: int | None = None) -> Iterator[tuple[int, int]]:
    """Cuts the mini-batches first..last into pieces between two updates of the bar; also after
    `every` of them, counted from 0."""
    while first < last:
        ends = [(first // n + 1) * n for n in (_CHUNK, every) if n is not None]
        end = min(last, *ends)
        yield first, end
        first = end


class Reporter:
    """Prints a run's lines and, on a terminal, draws a bar; a context manager.

    Only the lines go to standard output, so that it can be parsed and compared. The bar goes to
    standard error.

    steps: how many steps the whole run has.
    images_per_step: the mini-batch size, for the bar's images per second.
    progress: True or False to have the bar or not; None: when standard error is a terminal.
    quiet: leave out the lines.
    """

    def __init__(
        self, steps: int, images_per_step: int, progress: bool | None = None, quiet: bool = False
    ) -> None:
        self._steps = steps
        self._images_per_step = images_per_step
        self._quiet = quiet
        self._wanted = sys.stderr.isatty() if progress is None else progress
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Reporter:
        if self._wanted:
            self._bar = _make_bar()
            self._task = self._bar.add_task("", total=self._steps, cost="", rate="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def line(self, text: str) -> None:
        """Print one line; the bar is hidden meanwhile, since both may share a terminal."""
        if self._quiet:
            return
        in_the_way = self._bar is not None and self._bar.console.is_terminal
        if self._bar is not None and in_the_way:
            self._bar.stop()
        print(text, flush=True)
        if self._bar is not None and in_the_way:
            self._bar.start()

    def status(self, text: str) -> None:
        """Set the text of the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)

    def skip(self, steps: int) -> None:
        """Move the bar to where an earlier run has ended."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=steps)

    def advance(self, steps: int, cost: float) -> None:
        """Move the bar on by `steps`, of which the last one cost `cost`."""
        if self._bar is None or self._task is None:
            return
        speed = self._bar.tasks[0].speed
        rate = f"{speed * self._images_per_step:,.0f} images/s" if speed else ""
        self._bar.update(self._task, advance=steps, cost=f"cost {cost:.4f}", rate=rate)


def _make_bar() -> Progress:
    # Imported here: it takes longer to load than the rest of the package.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    # Each with the width of a terminal from which there is room for it.
    columns: list[tuple[int, ProgressColumn]] = [
        (0, TextColumn("{task.description}")),
        (50, BarColumn(10 if console.width < 100 else 20)),
        (0, TextColumn("{task.percentage:.0f} %")),
        (115, TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps")),
        (0, TextColumn("{task.fields[cost]}")),
        (75, TextColumn("{task.fields[rate]}")),
        (90, TimeRemainingColumn()),
        (90, TextColumn("left")),
    ]
    return Progress(
        *(column for width, column in columns if console.width >= width),
        console=console,
        transient=True,
        # Standard output must not get into the bar's console; what else goes to standard error,
        # such as the lines of `config.debug`, is printed above the bar.
        redirect_stdout=False,
    )
