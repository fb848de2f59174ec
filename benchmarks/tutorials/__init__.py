"""The tutorials' models: their accuracies, and an epoch's time beside Keras's on TensorFlow."""
