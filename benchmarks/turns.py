"""Processes that train an epoch when it is their turn, and are stopped while it isn't.

Requests and answers are lines of JSON: the process reads `{"do": ...}` from standard input and
writes an object to what was its standard output when it began.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tinygrad_mnist import _native


class Worker:
    """A process that answers requests; it is stopped whenever it isn't asked for anything.

    command: starts it. env: additions to the environment. is_quiet: what it writes to standard
    error isn't shown.
    """

    def __init__(
        self, command: Sequence[str], env: dict[str, str] | None = None, is_quiet: bool = False
    ) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if is_quiet else None,
            text=True,
            env={**os.environ, **(env or {})},
            process_group=0,
        )

    def ask(self, do: str) -> dict[str, Any]:
        """The answer to a request. Raises RuntimeError if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.killpg(self._process.pid, signal.SIGCONT)
        self._process.stdin.write(json.dumps({"do": do}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process has ended")
        os.killpg(self._process.pid, signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def keep(
    kind: str,
    names: Iterable[str],
    measure: Callable[[str], dict[str, Any]],
    row: Callable[[str, dict[str, Any]], str],
    output: Path,
) -> None:
    """Measures each name, prints its row, and writes its figures to a file of JSON at once, where
    those of names that are not measured now stay. kind: what the names are of, in that file."""
    kept = json.loads(output.read_text()) if output.exists() else {kind: {}}
    kept["machine"] = f"{platform.machine()}, {os.cpu_count()} CPUs, {_native.target()}"
    for name in names:
        kept[kind][name] = measure(name)
        print(row(name, kept[kind][name]), flush=True)
        output.write_text(json.dumps(kept, indent=1) + "\n")
