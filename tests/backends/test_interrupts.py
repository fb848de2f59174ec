"""Interrupts that wait for the end of a step."""

from __future__ import annotations

import signal
import threading

import pytest

from tinygrad_mnist.backends.interrupts import interrupts_deferred


def test_ctrl_c_waits_for_the_end() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117
        with interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            seen.append("end")
    assert seen == ["end"]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_outermost_end_counts() -> None:
    seen = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117
        with interrupts_deferred():
            with interrupts_deferred():
                signal.raise_signal(signal.SIGINT)
                seen.append("inside")
            seen.append("end")
    assert seen == ["inside", "end"]
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        signal.raise_signal(signal.SIGINT)  # they are held back again


def test_nothing_happens_without_a_signal_or_in_another_thread() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts_deferred():
        pass
    inside = []

    def work() -> None:
        with interrupts_deferred():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
    assert signal.getsignal(signal.SIGINT) is before


def test_ignored_interrupts_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_inside_comes_out_unless_an_interrupt_came_too() -> None:
    with pytest.raises(ValueError, match="inside"), interrupts_deferred():
        raise ValueError("inside")
