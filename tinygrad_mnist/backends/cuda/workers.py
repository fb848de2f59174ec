"""Compilation in several processes: Numba's compiler uses one thread of a process.

A worker is a new Python process that calls `work`. It reads recipes from its standard input and
writes their code to its standard output, both as pickles. `multiprocessing` is not used because it
would run the user's main module again in each process.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from tinygrad_mnist.backends.cuda.cache import CACHE, writable_folder
from tinygrad_mnist.backends.cuda.code import (
    Code,
    Recipe,
    compile_here,
    compile_recipe,
    effort,
)
from tinygrad_mnist.errors import DeviceError

MAX_WORKERS = 16
WORK = f"from {__name__} import work; work()"  # the program of a worker
_SIMULATOR = "NUMBA_ENABLE_CUDASIM"


def compile_codes(recipes: Sequence[Recipe]) -> Iterator[tuple[Recipe, Code]]:
    """The code of each recipe, in the order in which they finish.

    Compiles in this process if there is one recipe or only one processor. A worker takes a second
    to start, and so does Numba in this process.
    """
    n_workers = min(len(recipes), _processors(), MAX_WORKERS)
    if n_workers < 2 or not sys.executable:
        return compile_here(recipes)
    return _compile_in_workers(recipes, n_workers)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compile_in_workers(recipes: Sequence[Recipe], n_workers: int) -> Iterator[tuple[Recipe, Code]]:
    waiting: queue.SimpleQueue[Recipe] = queue.SimpleQueue()
    # The longest first, or the last one would be compiled alone.
    for recipe in sorted(recipes, key=effort, reverse=True):
        waiting.put(recipe)
    done: queue.SimpleQueue[tuple[Recipe, Code | Exception]] = queue.SimpleQueue()
    workers = [_start() for _ in range(n_workers)]
    threads = [
        threading.Thread(target=_serve, args=(w, waiting, done), daemon=True) for w in workers
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in recipes:
            recipe, answer = done.get()
            if isinstance(answer, Exception):
                raise answer
            yield recipe, answer
    finally:
        for worker in workers:
            worker.kill()
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.communicate()


def _start() -> subprocess.Popen[bytes]:
    environment = {name: v for name, v in os.environ.items() if name != _SIMULATOR}
    environment[CACHE] = str(writable_folder())  # said once to be another, if it is
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", WORK]
    pipe = subprocess.PIPE
    # In a session of their own, so that Ctrl-C reaches this process alone, which then ends them.
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
    )


def _serve(
    worker: subprocess.Popen[bytes],
    waiting: queue.SimpleQueue[Recipe],
    done: queue.SimpleQueue[tuple[Recipe, Code | Exception]],
) -> None:
    """Sends recipes to one worker, one at a time, until none are left or it has ended."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    while True:
        try:
            recipe = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            pickle.dump(recipe, worker.stdin)
            worker.stdin.flush()
            answer = pickle.load(worker.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            answer = DeviceError(f"the process that compiled {recipe.kernel} has ended: {error!r}")
        done.put((recipe, answer))


def work() -> None:
    """The program of a worker: compiles recipes until its standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that output of libraries goes elsewhere
    while True:
        try:
            recipe = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: Any
        try:
            answer = compile_recipe(recipe)
        except (NotImplementedError, DeviceError) as error:
            answer = error
        except Exception:
            answer = DeviceError(f"{recipe.kernel} doesn't compile:\n{traceback.format_exc()}")
        pickle.dump(answer, answers)
        answers.flush()
