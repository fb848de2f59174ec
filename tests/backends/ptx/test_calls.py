"""Functions that a kernel calls."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.ptx import HEADER, REGISTERS, kernel_text, run

from tinygrad_mnist.backends.ptx.kernel import Kernel
from tinygrad_mnist.backends.ptx.types import PtxError

VALUES = np.arange(8, dtype=np.float64) - 3


def declaration(name: str, n: int = 1) -> str:
    parameters = ", ".join(f".param .b64 {name}_{k}" for k in range(n))
    return f".func (.param .b64 {name}_out) {name}\n(\n{parameters}\n)"


def function(name: str, body: str, n: int = 1) -> str:
    """One whose parameters are in %fd0, %fd1, ..., and which returns %fd9."""
    loads = "\n".join(f"ld.param.f64 %fd{k}, [{name}_{k}];" for k in range(n))
    end = f"st.param.f64 [{name}_out+0], %fd9;\nret;"
    return f"{declaration(name, n)}\n{{\n{REGISTERS}\n{loads}\n{body}\n{end}\n}}\n"


def call(name: str, target: str, *arguments: str) -> str:
    sets = "\n".join(
        f".param .b64 a{k};\nst.param.f64 [a{k}+0], {a};" for k, a in enumerate(arguments)
    )
    given = ", ".join(f"a{k}" for k in range(len(arguments)))
    return (
        f"{{\n{sets}\n.param .b64 r;\ncall.uni (r), {name}, ({given});\n"
        f"ld.param.f64 {target}, [r+0];\n}}"
    )


def module(body: str, before: str = "", behind: str = "") -> str:
    """A kernel that applies code to each thread's element, from %fd20 to %fd21."""
    text = kernel_text(
        f"""
        mov.u32 %r1, %tid.x;
        mul.wide.u32 %rd9, %r1, 8;
        add.s64 %rd9, %rd9, %rd0;
        ld.global.f64 %fd20, [%rd9];
        {body}
        st.global.f64 [%rd9], %fd21;
        """,
        1,
    )
    return HEADER + before + text.removeprefix(HEADER) + behind


def results(text: str) -> np.ndarray:
    [found], observer = run(text, [VALUES], len(VALUES))
    assert observer.findings == []
    return found


SQUARE = function("square", "mul.f64 %fd9, %fd0, %fd0;")
SIZE = function(  # threads part inside
    "size",
    """
    setp.lt.f64 %p1, %fd0, 0d0000000000000000;
    @%p1 bra $L_negative;
    mov.f64 %fd9, %fd0;
    bra $L_end;
    $L_negative:
    neg.f64 %fd9, %fd0;
    $L_end:
    """,
)
PRODUCT = function("product", "mul.f64 %fd9, %fd0, %fd1;", 2)
CUBE = function(
    "cube", f"{call('square', '%fd8', '%fd0')}\n{call('product', '%fd9', '%fd8', '%fd0')}"
)


@pytest.mark.parametrize("where", ["before", "behind", "declared", "declared twice"])
@pytest.mark.parametrize(
    ("name", "whole", "wanted"),
    [("square", SQUARE, VALUES**2), ("size", SIZE, np.abs(VALUES))],
    ids=["square", "size"],
)
def test_a_function(where: str, name: str, whole: str, wanted: np.ndarray) -> None:
    """It may be before the kernel, or behind it, with or without a declaration before."""
    body = call(name, "%fd21", "%fd20")
    if where == "before":
        text = module(body, before=whole)
    else:
        declared = f"{declaration(name)}\n;\n" * where.count("declared")
        text = module(body, declared * (1 + ("twice" in where)), whole)
    np.testing.assert_array_equal(results(text), wanted)


def test_a_function_called_twice_has_its_own_registers_and_labels() -> None:
    body = "\n".join(
        [call("size", "%fd22", "%fd20"), "neg.f64 %fd23, %fd22;", call("size", "%fd21", "%fd23")]
    )
    np.testing.assert_array_equal(results(module(body, behind=SIZE)), np.abs(VALUES))


def test_functions_that_call_others() -> None:
    declared = "".join(f"{declaration(n, k)};\n" for n, k in (("cube", 1), ("product", 2)))
    text = module(call("cube", "%fd21", "%fd20"), declared + SQUARE, CUBE + PRODUCT)
    np.testing.assert_array_equal(results(text), VALUES**3)


def kept(store: str) -> str:
    """A function that stores its value in local memory, each thread elsewhere, and loads it."""
    body = f"""
    .local .align 8 .b8 depot[64];
    setp.lt.f64 %p1, %fd0, 0d0000000000000000;
    mov.u64 %rd1, depot;
    cvta.local.u64 %rd1, %rd1;
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 8;
    add.s64 %rd2, %rd1, %rd2;
    {store} [%rd2], %fd0;
    ld.local.f64 %fd9, [%rd2];
    """
    return function("kept", body)


def test_each_call_has_its_own_local_memory() -> None:
    """What a call before has written there counts as unwritten."""
    twice = "\n".join([call("kept", "%fd22", "%fd20"), call("kept", "%fd21", "%fd22")])
    np.testing.assert_array_equal(results(module(twice, behind=kept("st.local.f64"))), VALUES)
    text = module(twice, behind=kept("@%p1 st.local.f64"))  # of values below 0 alone
    _, observer = run(text, [VALUES], len(VALUES))
    [finding] = observer.findings
    assert (finding.kind, finding.times) == ("unwritten", 2 * np.count_nonzero(VALUES >= 0))


def test_a_function_without_a_body_is_an_error() -> None:
    text = module(call("other", "%fd21", "%fd20"), before=f"{declaration('other')};\n")
    with pytest.raises(PtxError, match="the module has no function other"):
        Kernel(text)
