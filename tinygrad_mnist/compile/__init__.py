"""From a symbolic graph to a plan: specialise, (rewrite,) schedule, memory."""
