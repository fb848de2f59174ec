// Every kernel of the vocabulary, listed once: the file csrc/kernels/<name>.cpp defines
// `const Kernel <name>_kernel`.
#pragma once

#include "kernel.hpp"

#define TGM_KERNELS(X)       \
  X(conv2d)                  \
  X(conv2d_grad_filter)      \
  X(conv2d_grad_input)       \
  X(conv2d_pool)             \
  X(conv2d_pool_grad_filter) \
  X(conv2d_pool_grad_input)  \
  X(elementwise)             \
  X(gemm)                    \
  X(pool2d)                  \
  X(pool2d_grad)             \
  X(reduce)

namespace tgm::TGM_TARGET {

// Ends with a null pointer.
extern const Kernel* const kernels[];

}  // namespace tgm::TGM_TARGET
