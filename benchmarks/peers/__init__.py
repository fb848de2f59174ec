"""One module per framework, each with a class `Steps`; imported in its own process only."""
