"""The Python blocks of README.md and docs/ run, one after the other, as a reader runs them.

MNIST is small and random there, training stops after an epoch, and where Graphviz is missing a
command of its name takes its place. A text may use `theano`, `T`, `np`, `network3`, and the
training step `train_mb` of the book's first net with its `cost`, without having made them. A block
behind the comment `<!-- not run: REASON -->` is left out; where the reason is `it is in FILE`, its
lines have to be in that file. One behind `<!-- run with MODULE -->` is left out where the module
isn't installed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sybil import Document, Example
from sybil.parsers.markdown import PythonCodeBlockParser
from tinygrad_mnist.kernels.core.call import FACTORIES

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import network3
from tinygrad_mnist.booknets import book_net
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.graph.op import HOMES, OPS

REPOSITORY = Path(__file__).parents[1]
NOT_RUN = re.compile(r"<!-- not run: \S.* -->\n\s*\Z")


RUN_WITH = re.compile(r"<!-- run with ([\w.]+) -->\n\s*\Z")


def is_run(example: Example) -> bool:
    before = example.document.text[: example.region.start]
    needed = RUN_WITH.search(before)
    return not NOT_RUN.search(before) and (needed is None or is_installed(needed[1]))


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def blocks(path: Path) -> list[Example]:
    return list(Document.parse(str(path), PythonCodeBlockParser()))


QUOTED = re.compile(r"<!-- not run: it is in (\S+) -->\n\s*```\w+\n(.*?)```", re.DOTALL)


def lines(text: str) -> str:
    """Without indentation."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


TEXTS = [
    path
    for path in sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
    if any(map(is_run, blocks(path)))
]


@pytest.fixture
def graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command `dot`; where none is installed, one that copies its input."""
    if shutil.which("dot") is None:
        command = tmp_path / "dot"
        command.write_text('#!/bin/sh\nexec /bin/cat > "$3"\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def names() -> dict[str, Any]:
    """What the texts use without having made it."""
    rng = np.random.default_rng(0)
    (data,) = network3.share_data([(rng.random((500, 784)), rng.integers(0, 10, 500))])
    net = book_net("fc", 10)
    return {
        "theano": theano,
        "T": T,
        "np": np,
        "network3": network3,
        "train_mb": net.network.training_function(data, net.recipe.eta, net.recipe.lmbda),
        "cost": net.network.layers[-1].cost(net.network),
    }


@pytest.fixture
def registries() -> Iterator[None]:
    """Contracts, ops and kernels that a text registers are gone after it."""
    kept = [(registry, dict(registry)) for registry in (CONTRACTS, FACTORIES, OPS, HOMES)]
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)


@pytest.mark.usefixtures("one_epoch", "graphviz", "registries")
@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_code_blocks_run(text: Path) -> None:
    if text.name == "pictures.md":
        pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra 'plot'")
    examples = blocks(text)
    examples[0].namespace.update(names())
    for example in filter(is_run, examples):
        example.evaluate()


def test_quoted_lines_are_in_the_file() -> None:
    quotes = QUOTED.findall((REPOSITORY / "docs" / "adding-an-op.md").read_text())
    assert len(quotes) > 5
    for file, quote in quotes:
        assert lines(quote) in lines((REPOSITORY / file).read_text()), file
