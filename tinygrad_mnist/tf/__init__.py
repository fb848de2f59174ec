"""TensorFlow names."""
