"""`keras`: Keras's names on this package's engine."""
