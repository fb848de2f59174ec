"""A machine for PTX, which the compiler makes of CUDA kernels: runs and checks it on the CPU."""
