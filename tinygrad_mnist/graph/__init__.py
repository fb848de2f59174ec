"""The ground: types, variables, nodes, and the registry of ops. Imports nothing above itself."""
