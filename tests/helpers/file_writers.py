"""Everything of the package that writes a file, where it may not or can't.

    python -m helpers.file_writers CONDITION FOLDER

Writes one file after the other into the folder, as a user without rights where it runs as root, and
prints for each a line of JSON: its name, the error, whether that names the file, and what is left.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_mnist as theano
from tinygrad_mnist import cli, files, keras
from tinygrad_mnist.backends.cuda import cache
from tinygrad_mnist.datasets import draw_digits
from tinygrad_mnist.datasets.download import Original, download
from tinygrad_mnist.datasets.save import save_idx, save_splits
from tinygrad_mnist.datasets.splits import DatasetError, Pair, Splits
from tinygrad_mnist.network3 import Checkpoint, Network, SoftmaxLayer
from tinygrad_mnist.plots.figures import new_figure, save
from tinygrad_mnist.printing import pydotprint
from tinygrad_mnist.profiling.trace import write_trace

NOBODY = 65534
LIMIT = 64  # bytes of a file
FILLER = "filler"  # the file that fills a disk
Writer = Callable[[Path], Any]


@contextmanager
def mirror() -> Iterator[Original]:
    """A data set of one file, which a server of this process has."""
    content = bytes(100_000)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        sums = {"images.gz": hashlib.sha256(content).hexdigest()}
        yield Original("small", "A small set", "NO_VARIABLE", (address,), sums)
        server.shutdown()


def _network() -> Network:
    return Network([SoftmaxLayer(784, 10)], 10)


def _train(path: Path, data: Splits) -> None:
    training, validation, test = (
        (theano.shared(p.images), theano.shared(p.labels.astype("int32"))) for p in data
    )
    checkpoint = Checkpoint(path)
    _network().SGD(training, 1, 10, 0.1, validation, test, quiet=True, checkpoint=checkpoint)


def writers(original: Original) -> dict[str, Writer]:
    """By the name of the file or folder that they write; all write more than LIMIT bytes."""
    images, labels = draw_digits(40, seed=1)
    pixels = (images.reshape(40, 784) / 256).astype(np.float32)
    data = Splits(*(Pair(pixels[a : a + 20], labels[a : a + 20]) for a in (0, 10, 20)))
    net = _network()
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    logger = {"loss": 1.0, "val_loss": 2.0}

    def csv(path: Path) -> None:
        callback = keras.callbacks.CSVLogger(path)
        callback.on_train_begin()
        for epoch in range(10):
            callback.on_epoch_end(epoch, logger)

    def figure(path: Path) -> None:
        save(new_figure(1, 1), path)

    return {
        "net": net.save,
        "model.keras": model.save,
        "checkpoint": functools.partial(_train, data=data),
        "entry": lambda path: cache.write_if_new(path, bytes(1000)),
        "trace.json": lambda path: write_trace(path, [{"name": "x" * 1000}]),
        "data.npz": lambda path: save_splits(path, data),
        "data.pkl.gz": lambda path: save_splits(path, data),
        "idx": lambda path: save_idx(path, data),
        "downloaded": lambda path: download(original, path),
        "picture.png": figure,
        "graph.dot": lambda path: pydotprint(net.output, path, print_output_file=False),
        "log.csv": csv,
        "report.md": lambda path: files.write_whole(path, b"| row |\n" * 1000),
    }


COMMANDS: dict[str, list[str]] = {
    "data.pkl.gz": ["expand", "--data", "digits", "--out"],
    "trace.json": ["profile", "--data", "digits", "--net", "fc", "--trace"],
    "checkpoint": ["train", "--data", "digits", "--net", "fc", "--checkpoint"],
    "model": ["train", "--data", "digits", "--model", "mlp", "--save"],
    "curves.png": ["train", "--data", "digits", "--model", "mlp", "--plot"],
    "report.md": ["book", "--data", "digits", "--only", "shallow", "--folder", ".", "--output"],
}


def prepare(condition: str) -> None:
    """What makes writing impossible, as far as this process does it."""
    if condition == "limited":
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    elif condition != "full" and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def left_in(folder: Path) -> list[str]:
    """What is in a folder and in its folders; files with their sizes."""
    found = [(p, p.stat()) for p in folder.rglob("*") if p.name != FILLER]
    return sorted(f"{p.relative_to(folder)} {s.st_size if p.is_file() else ''}" for p, s in found)


def main() -> None:
    """Prints a line for each writer, and for each command where a folder may not be written."""
    condition, folder = sys.argv[1], Path(sys.argv[2])
    with mirror() as original:
        each = writers(original)
        with tempfile.TemporaryDirectory() as elsewhere:  # loads what they load when they run
            for name, write in each.items():
                write(Path(elsewhere, name))
        prepare(condition)
        for name, write in each.items():
            before, error = left_in(folder), None
            try:
                write(folder / name)
            except (OSError, DatasetError) as caught:
                error = caught
            named = "images.gz" if name == "downloaded" else str(folder / name)
            is_named = named in str(error)
            new = sorted(set(left_in(folder)) ^ set(before))
            print(json.dumps([name, type(error).__name__, is_named, new]), flush=True)
    if condition == "read-only":
        for name, arguments in COMMANDS.items():
            with redirect_stderr(io.StringIO()) as errors:
                code = cli.main([*arguments, str(folder / name)])
            is_named = str(folder / name) in errors.getvalue()
            print(json.dumps([" ".join(arguments), code, is_named, left_in(folder)]), flush=True)


if __name__ == "__main__":
    main()
