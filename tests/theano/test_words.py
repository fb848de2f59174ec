"""Every name of the table that is here works: as NumPy has it, called as Theano has it."""

from __future__ import annotations

import pytest
from helpers.theano_names import CALLS, FACTS
from helpers.theano_names.case import Call, check, present, resolve

DEVICES = ("cpu", "reference")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_call(call: Call, device: str, dtype: str) -> None:
    check(call, device, dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("names", FACTS, ids=lambda names: names.split()[0])
def test_fact(names: str, device: str) -> None:
    FACTS[names](device)


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
