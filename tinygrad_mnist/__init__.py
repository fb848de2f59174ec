"""A symbolic-graph autodiff engine that runs a whole training step in one native call."""
