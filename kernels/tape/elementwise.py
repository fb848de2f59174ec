"""elementwise: a tape over arrays of one shape.

Shapes: inputs of any layout, broadcast to the outputs' shape.

Algorithm: the tape as straight-line code; nothing is read twice. A thread computes one element, or
16 bytes of elements (4 float32 or 2 float64) if all outputs can be stored that way; inputs are then
read by 16 bytes where possible.

Versions: one element a thread throughout. A dropout then takes 101 instructions for each element,
with one block of random bits; with four elements a thread, 27.

Launch: see `each.py`. Reference: contracts/tape/elementwise.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Launches, factory
from ..core.each import each

BYTES = {"float32": 4, "float64": 8}


@factory("elementwise")
def elementwise(call: Call) -> Launches:
    """One kernel."""
    output, one, several = call.outputs[0], call.element, call.wide_element
    assert one is not None
    if several is None:

        def element(i: Any, p: Any) -> None:
            one(i, p)

        return Launches((each(output.size, element),))
    lanes = 16 // BYTES[output.dtype]

    def elements(k: Any, p: Any) -> None:
        several(k * lanes, p)

    return Launches((each(output.size // lanes, elements),))
