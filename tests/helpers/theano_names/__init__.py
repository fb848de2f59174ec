"""Tables of calls for every one of Theano's names, and facts about those that compute nothing."""

from helpers.theano_names import (
    arrays,
    derivatives,
    elementwise,
    images,
    matrices,
    networks,
    programs,
    reductions,
    variables,
)

CALLS = [
    *elementwise.CALLS,
    *reductions.CALLS,
    *arrays.CALLS,
    *networks.CALLS,
    *images.CALLS,
    *matrices.CALLS,
]
FACTS = [derivatives, programs, variables]
