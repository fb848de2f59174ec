"""PTX with line information, and without it where that isn't valid."""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_mnist.backends.cuda import compiler

WHOLE = """
	@%p1 bra 	$L__BB0_2;
	bra.uni $L__BB0_3;
$L__BB0_2:
	add.s32 %r1, %r1, 1;
$L__BB0_3: // behind it
	ret;
"""


@pytest.mark.parametrize(
    ("without", "whole"), [("", True), ("$L__BB0_2:", False), ("$L__BB0_3:", False)]
)
def test_branches_lead_to_labels(without: str, whole: bool) -> None:
    text = WHOLE.replace(without, "") if without else WHOLE
    assert compiler.has_its_labels(text) == whole


def refused() -> str:
    raise RuntimeError("symbol name with unsupported characters")


@pytest.mark.parametrize(
    ("with_lines", "expected"),
    [
        (lambda: f"{WHOLE}.loc 1 2 3", f"{WHOLE}.loc 1 2 3"),
        (lambda: WHOLE.replace("$L__BB0_3:", ""), "without lines"),
        (refused, "without lines"),
    ],
)
def test_lines_are_left_out_where_they_do_harm(
    with_lines: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def linker(kernel: Any, capability: Any, lines: bool = False, **options: Any) -> bool:
        assert options == {"ptx": True}
        return lines

    monkeypatch.setattr(compiler, "_linker", linker)
    monkeypatch.setattr(compiler, "_text", lambda lines: with_lines() if lines else "without lines")
    kernel: Any = None
    assert compiler.compile_to_ptx(kernel, (9, 0)) == expected
