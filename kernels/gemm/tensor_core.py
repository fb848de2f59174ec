"""Tensor cores: products of small matrices by a warp, in tf32; also in Python, for the simulator.

tf32 is float32 with 10 bits of mantissa: factors are rounded to it, products and sums are float32.
Needs compute capability 8.0.
"""

from __future__ import annotations

import threading
from typing import Any

from ..core.device import SIMULATED, np, types

# The matrices of one instruction: a (ROWS, TERMS), b (TERMS, COLUMNS), c (ROWS, COLUMNS). With
# g, q = divmod(lane, 4), a lane has of a: (g, q), (g + 8, q), (g, q + 4), (g + 8, q + 4); of b:
# (q, g), (q + 4, g); of c and the result: (g, 2 q), (g, 2 q + 1), (g + 8, 2 q), (g + 8, 2 q + 1).
ROWS, COLUMNS, TERMS = 16, 8, 8
LANES = 32

if SIMULATED:

    class _Warp:
        """The exchange of values between the lanes of a warp."""

        def __init__(self) -> None:
            self.barrier = threading.Barrier(LANES)
            self.values: list[Any] = [None] * LANES

    _lock = threading.Lock()

    def _exchanged(value: Any) -> tuple[int, list[Any]]:
        """The lane's number, and the values of all lanes of its warp. All of them must call
        this."""
        thread: Any = threading.current_thread()
        number, lane = divmod(thread.thread_id, LANES)
        with _lock:
            warp = thread._manager.__dict__.setdefault(f"warp {number}", _Warp())
        warp.values[lane] = value
        warp.barrier.wait(60)
        values = list(warp.values)
        warp.barrier.wait(60)  # no lane writes its next value before all have read these
        return lane, values

    def tf32(x: Any) -> Any:
        """x rounded to tf32: to nearest, ties away from zero; infinities and NaN stay."""
        if not np.isfinite(x):
            return x
        bits = (int(np.float32(x).view(np.uint32)) + 0x1000) & 0xFFFFE000
        return np.uint32(bits).view(np.float32)

    def multiply_add_tf32(a: Any, b: Any, c: Any) -> tuple[Any, ...]:
        """The lane's elements of a @ b + c; see above."""
        lane, fragments = _exchanged((a, b, c))
        left = np.zeros((ROWS, TERMS), np.float32)
        right = np.zeros((TERMS, COLUMNS), np.float32)
        total = np.zeros((ROWS, COLUMNS), np.float32)
        for other, (x, y, z) in enumerate(fragments):
            g, q = divmod(other, 4)
            left[[g, g + 8, g, g + 8], [q, q, q + 4, q + 4]] = x
            right[[q, q + 4], g] = y
            total[[g, g, g + 8, g + 8], [2 * q, 2 * q + 1] * 2] = z
        assert (left.view(np.uint32) & 0x1FFF == 0).all(), "factors must be tf32"
        assert (right.view(np.uint32) & 0x1FFF == 0).all(), "factors must be tf32"
        total += left @ right
        g, q = divmod(lane, 4)
        return tuple(total[[g, g, g + 8, g + 8], [2 * q, 2 * q + 1] * 2])

else:
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    _FLOAT, _BITS = ir.FloatType(), ir.IntType(32)
    _MULTIPLY_ADD = (
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
        " {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
    )

    def _assembly(builder: Any, result: Any, text: str, constraints: str, args: list[Any]) -> Any:
        """A line of PTX, executed by all lanes of a warp together; it accesses no memory."""
        kind = ir.FunctionType(result, [arg.type for arg in args])
        assembly = ir.InlineAsm(kind, text, constraints, side_effect=False)
        return builder.call(assembly, args, attrs=("convergent", "nounwind"))

    @intrinsic  # type: ignore[untyped-decorator]
    def tf32(typing: Any, x: Any) -> Any:
        """x rounded to tf32: to nearest, ties away from zero."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = _assembly(builder, _BITS, "cvt.rna.tf32.f32 $0, $1;", "=r,f", list(args))
            return builder.bitcast(bits, _FLOAT)

        return types.float32(types.float32), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def multiply_add_tf32(typing: Any, a: Any, b: Any, c: Any) -> Any:
        """The lane's elements of a @ b + c; see above. a, b: rounded by `tf32`."""
        four, two = types.UniTuple(types.float32, 4), types.UniTuple(types.float32, 2)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            counts = zip(args, (4, 2, 4), strict=True)
            values = [builder.extract_value(arg, k) for arg, n in counts for k in range(n)]
            factors = [builder.bitcast(value, _BITS) for value in values[:6]]
            result = _assembly(
                builder,
                ir.LiteralStructType([_FLOAT] * 4),
                _MULTIPLY_ADD,
                "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f",
                [*factors, *values[6:]],
            )
            lanes = [builder.extract_value(result, k) for k in range(4)]
            return context.make_tuple(builder, signature.return_type, lanes)

        return four(four, two, four), generate
