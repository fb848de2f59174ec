"""The text of a progress line, in Keras's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_BAR = 20  # its full width
_LEAST_BAR = 5
_INDENT = "    "
_GREEN, _GREY, _END = "\x1b[32m", "\x1b[37m", "\x1b[0m"


@dataclass(frozen=True)
class Style:
    """How lines are drawn. width: columns. bar: the character of the bar. has_colour: whether the
    done part of the bar is green and the rest grey."""

    width: int = 80
    bar: str = "━"
    has_colour: bool = False


@dataclass(frozen=True)
class State:
    """How far a pass is. target: number of its steps, if known. seconds: since it began;
    step_seconds: what a step takes."""

    step: int
    target: int | None
    seconds: float
    step_seconds: float


def running_line(state: State, logs: Mapping[str, float], style: Style) -> str:
    """One line while the pass runs, with the time that is left. The bar becomes shorter, then
    values are left out, so that it fits."""
    left = state.seconds
    if state.target:
        left = state.step_seconds * (state.target - state.step)
    count, tail = _count(state), f"{_duration(left)} {_rate(state.step_seconds)}"
    values = _values(logs)
    room = style.width - 1  # a full line would wrap on some terminals
    while values and _width(count, 0, tail, values) > room:
        values.pop()
    bar = _bar(state, room - _width(count, 0, tail, values) - 1, style)
    return " - ".join([" ".join(filter(None, (count, bar, tail))), *values])


def final_lines(state: State, logs: Mapping[str, float], style: Style) -> str:
    """The line of a pass that has ended. The bar becomes shorter so that it fits; what still
    doesn't is continued on indented lines."""
    count = _count(state)
    tail = f"{_duration(state.seconds)} {_rate(state.step_seconds)}"
    values = _values(logs)
    whole = _width(count, 0, tail, values) + 1
    wanted = style.width - whole if whole + _LEAST_BAR <= style.width else _BAR
    wanted = min(wanted, style.width - _width(count, 0, tail, []) - 1)
    bar = _bar(state, wanted, style)
    head = " ".join(filter(None, (count, bar, tail)))
    length = len(" ".join(filter(None, (count, "x" * min(wanted, _BAR) if bar else "", tail))))
    return _wrapped(head, length, values, style.width)


def plain_line(state: State, logs: Mapping[str, float], style: Style) -> str:
    """The line of `verbose=2`, without a bar."""
    head = f"{_count(state)} - {_duration(state.seconds)} - {_rate(state.step_seconds)}"
    return _wrapped(head, len(head), _values(logs), style.width)


def _count(state: State) -> str:
    if not state.target:
        return f"{state.step}/Unknown"
    return f"{state.step:>{len(str(state.target))}}/{state.target}"


def _width(count: str, bar: int, tail: str, values: list[str]) -> int:
    head = len(count) + 1 + len(tail) + (bar + 1 if bar else 0)
    return head + sum(3 + len(value) for value in values)


def _bar(state: State, width: int, style: Style) -> str:
    """A bar of at most `width` columns; none where they are too few or the number of steps isn't
    known."""
    width = min(width, _BAR)
    if width < _LEAST_BAR or not state.target:
        return ""
    done = min(width, width * state.step // state.target)
    if style.has_colour:
        return f"{_GREEN}{style.bar * done}{_END}{_GREY}{style.bar * (width - done)}{_END}"
    return style.bar * done + "." * (width - done)


def _wrapped(head: str, length: int, values: list[str], width: int) -> str:
    """Values behind a head of that length, on further lines where there is no room."""
    lines = [head]
    for value in values:
        if length + 3 + len(value) <= width:
            lines[-1] += f" - {value}"
            length += 3 + len(value)
        else:
            lines.append(f"{_INDENT}{value}")
            length = len(lines[-1])
    return "\n".join(lines)


def _values(logs: Mapping[str, float]) -> list[str]:
    return [
        f"{name}: {value:.4f}" if abs(value) > 1e-3 else f"{name}: {value:.4e}"
        for name, value in logs.items()
    ]


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:02.0f}"
    if seconds >= 60:
        return f"{seconds // 60:.0f}:{int(seconds % 60):02d}"
    return f"{seconds:.0f}s"


def _rate(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/step"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/step"
    return f"{seconds * 1e6:.0f}us/step"
