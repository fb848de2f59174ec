"""Tables of calls for every one of Theano's names, and facts about those that compute nothing."""

from helpers.theano_names import arrays, elementwise, images, matrices, networks, reductions

CALLS = [
    *elementwise.CALLS,
    *reductions.CALLS,
    *arrays.CALLS,
    *networks.CALLS,
    *images.CALLS,
    *matrices.CALLS,
]
