"""elementwise: a tape over arrays of one shape.

Shapes: inputs of any layout, broadcast to the outputs' shape. Algorithm: the tape as straight-line
code; nothing is read twice. A thread computes one element or, where all outputs lie so that 16
bytes of them can be written at once, those: 4 float32 or 2 float64, whose inputs are read likewise
where they can be. Launch: see `each.py`.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Launches, factory
from ..core.device import uint32
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
        several(uint32(k * uint32(lanes)), p)

    return Launches((each(output.size // lanes, elements),))
