"""Every name of the table that is here works: as NumPy has it, called as Theano has it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from helpers import theano_names
from helpers.theano_names import CALLS, FACTS
from helpers.theano_names.case import Call, check, present, resolve

DEVICES = ("cpu", "reference")
# `name(arguments)`, as Theano 1.0 has them, for all names that have names for their arguments.
SIGNATURES = (Path(theano_names.__path__[0]) / "signatures.txt").read_text().splitlines()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_call(call: Call, device: str, dtype: str) -> None:
    check(call, device, dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("names", FACTS, ids=lambda names: names.split()[0])
def test_fact(names: str, device: str) -> None:
    FACTS[names](device)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda text: text.partition("(")[0])
def test_signature(signature: str) -> None:
    """Theano's arguments, in its order, with its defaults; what is added comes after them."""
    name, _, arguments = signature.removesuffix(")").partition("(")
    own = inspect.signature(resolve(name)).parameters.values()
    texts = [str(p.replace(annotation=inspect.Parameter.empty)) for p in own]
    assert ", ".join([*texts, ""]).startswith(f"{arguments}, " if arguments else "")


def test_every_name_has_a_case() -> None:
    """A name that modules share needs one case, if it is the same function in all of them."""
    tested = [*(call.name for call in CALLS), *(n for names in FACTS for n in names.split())]
    covered = {(name.rpartition(".")[2], id(resolve(name))) for name in tested}
    missing = [
        f"{module}.{name}"
        for module, name in present()
        if (name, id(resolve(f"{module}.{name}".removeprefix("theano.")))) not in covered
    ]
    assert missing == []
