"""What kernels of every family need."""
