"""The device `ptx` with counts in place of times."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.backends.cuda.code import Code, machine_code
from tinygrad_mnist.backends.cuda.design import Capability
from tinygrad_mnist.backends.cuda.gpu import Bound
from tinygrad_mnist.backends.cuda.workers import compile_codes
from tinygrad_mnist.backends.ptx.count import Counts, count
from tinygrad_mnist.backends.ptx.gpu import PtxGpu, Recipe, bound_launch, recipe_of


class CountingGpu(PtxGpu):
    """A `PtxGpu` that counts the launches that it is asked to time; the times that it answers are
    zeros.

    counted: the recipe and the counts of each such launch, in order.
    """

    def __init__(self, capability: Capability) -> None:
        super().__init__(capability=capability)
        self.counted: list[tuple[Recipe, Counts]] = []

    def time(self, launches: Sequence[Bound]) -> list[float]:
        for bound in launches:
            self.counted.append((recipe_of(bound), count(*bound_launch(bound))))
        return [0.0] * len(launches)

    def code(self, recipes: Sequence[Recipe]) -> dict[Recipe, Code]:
        """The machine code of recipes, which says how many registers and how much memory they
        need; from the cache, or compiled."""
        found = machine_code(recipes, compile_codes)
        return {recipe: found[recipe] for recipe in recipes}
