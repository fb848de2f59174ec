"""A machine for PTX: what the compiler makes of the CUDA kernels, run and checked on the processor."""
