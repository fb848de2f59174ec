"""Processes on this machine as an executor: one that dies loses its own call and no other."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WorkerError(BrokenExecutor):
    """A worker process ended during a call, or before its first one."""


class Processes(Executor):
    """`jobs` processes, each new (`spawn`) and with one call at a time.

    Where a process dies, `concurrent.futures.ProcessPoolExecutor` ends all others. Here the call's
    future has a WorkerError, and a new process takes the place. What a process can't load is an
    UnpicklingError. Ctrl-C in the terminal reaches the
    caller alone.

    Raises WorkerError where a process ends before it is ready.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._is_closed = False
        self._threads = ThreadPoolExecutor(jobs)  # each waits for the answer of one process
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers: set[_Worker] = set()
        try:
            for _ in range(jobs):
                self._workers.add(_Worker())
            for worker in self._workers:
                worker.wait_until_ready()
                self._idle.put(worker)
        except BaseException:
            self.kill()
            raise

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._threads.submit(self._call, fn, args, kwargs)

    def _call(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        worker = self._idle.get()
        try:
            if not worker.is_alive:
                worker = self._replace(worker)
            return worker.call(fn, args, kwargs)
        finally:
            self._idle.put(worker)

    def _replace(self, worker: _Worker) -> _Worker:
        if self._is_closed:
            raise WorkerError("the executor is shut down")
        self._workers.discard(worker)
        new = _Worker()
        self._workers.add(new)
        if self._is_closed:  # `kill` may not have seen it
            new.process.kill()
        new.wait_until_ready()
        return new

    def kill(self) -> None:
        """Ends all processes at once, whatever they are doing."""
        self._is_closed = True
        for worker in list(self._workers):
            worker.process.kill()
        self.shutdown(cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the processes when their calls have ended."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            self._is_closed = True
            for worker in self._workers:
                worker.connection.close()  # which a process takes for the end
                worker.process.join()


class _Worker:
    """A process and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
        with _without_interrupts():  # which the process inherits
            self.process.start()
        theirs.close()

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive()

    def wait_until_ready(self) -> None:
        try:
            self.connection.recv()
        except (EOFError, OSError):
            raise WorkerError(
                f"a worker process {self._end()} before its first run. A worker imports the"
                " program anew, so what starts the search must be below"
                ' `if __name__ == "__main__":`'
            ) from None

    def call(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        message = pickle.dumps((fn, args, kwargs))
        try:
            self.connection.send_bytes(message)
            answer = self.connection.recv_bytes()
        except (EOFError, OSError):
            raise WorkerError(f"the worker process {self._end()}") from None
        result, error = pickle.loads(answer)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def _end(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"ended with exit code {code}"
        return f"was ended by {signal.Signals(-code).name}"


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Blocks SIGINT in this thread, and in the processes that it starts."""
    resource_tracker.ensure_running()  # the first start would do it, and unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _serve(connection: Connection) -> None:
    """Answers calls until the other end is closed. Where the caller is killed in the middle of a
    call, so is this process: another may be started for the same work."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(None)
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            return
        answer = _answer(message)
        try:
            connection.send_bytes(answer)
        except BrokenPipeError:  # the caller was ended
            return


def _answer(message: bytes) -> bytes:
    """The pickled result of a call, or the exception in its place."""
    try:
        fn, args, kwargs = pickle.loads(message)
    except Exception as error:
        text = "".join(traceback.format_exception_only(error)).strip()
        return pickle.dumps((None, pickle.UnpicklingError(text)))
    try:
        return pickle.dumps((fn(*args, **kwargs), None))
    except Exception as error:
        try:
            return pickle.dumps((None, error))
        except Exception:  # not all can be pickled
            return pickle.dumps((None, RuntimeError(repr(error))))
