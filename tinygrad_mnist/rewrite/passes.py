"""The passes, in the order in which a specialised graph goes through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.rewrite.algebra import ALGEBRA
from tinygrad_mnist.rewrite.cross_entropy import CROSS_ENTROPY
from tinygrad_mnist.rewrite.engine import Context, apply_rules, check_type
from tinygrad_mnist.rewrite.fuse import (
    fuse_epilogues,
    fuse_prologues,
    sink_views,
)
from tinygrad_mnist.rewrite.lower import lower
from tinygrad_mnist.rewrite.pools import fuse_pools
from tinygrad_mnist.rewrite.simplify import SIMPLIFY
from tinygrad_mnist.rewrite.softmax_layer import fuse_softmax_layers
from tinygrad_mnist.rewrite.sparse import SPARSE, join_disjoint_parts
from tinygrad_mnist.rewrite.tapes import join_results, make_tapes

Pass = Callable[[Sequence[Variable], Context], list[Variable]]

_SIMPLIFY = SIMPLIFY + ALGEBRA

# Every pass gives a graph with the same results; after `lower` all ops have kernels or are views.
PASSES: tuple[tuple[str, Pass], ...] = (
    ("simplify", lambda outputs, context: apply_rules(outputs, _SIMPLIFY, context)),
    (
        "cross_entropy",
        lambda outputs, context: apply_rules(outputs, CROSS_ENTROPY, context, _SIMPLIFY),
    ),
    ("sparse", lambda outputs, context: _sparse(outputs, context)),
    ("lower", lower),
    ("fuse_pools", fuse_pools),
    ("make_tapes", lambda outputs, context: make_tapes(outputs, join=True)),
    ("fuse_prologues", fuse_prologues),
    ("sink_views", sink_views),
    ("fuse_epilogues", fuse_epilogues),
    ("fuse_softmax_layers", fuse_softmax_layers),
    ("join_results", join_results),
)
# The passes that a backend without fused kernels needs. The oracle runs the graph as it is written.
PLAIN_PASSES: tuple[tuple[str, Pass], ...] = (
    ("lower", lower),
    ("make_tapes", lambda outputs, context: make_tapes(outputs, join=False)),
)


def _sparse(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    return apply_rules(join_disjoint_parts(outputs, context), SPARSE, context, _SIMPLIFY)


def rewrite(
    outputs: Sequence[Variable], context: Context, passes: Sequence[tuple[str, Pass]]
) -> list[Variable]:
    """Runs the passes; each must leave the dtype and shape of every result as they are."""
    current = list(outputs)
    for name, run in passes:
        with context.stage(name):
            rewritten = run(current, context)
            for old, new in zip(current, rewritten, strict=True):
                check_type(name, old, new)
            current = rewritten
    return current
