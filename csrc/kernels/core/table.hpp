// Every kernel of the vocabulary, listed once: the file of its family in csrc/kernels/ defines
// `const Kernel <name>_kernel`.
#pragma once

#include "kernel.hpp"

#define TGM_KERNELS(X)       \
  X(argmax)                  \
  X(argmin)                  \
  X(argsort)                 \
  X(average_pool2d)          \
  X(average_pool2d_grad)     \
  X(batch_norm)              \
  X(batch_norm_grad)         \
  X(check_range)             \
  X(conv2d)                  \
  X(conv2d_bias_pool)        \
  X(conv2d_grad_filter)      \
  X(conv2d_grad_input)       \
  X(conv2d_pool)             \
  X(conv2d_pool_grad_filter) \
  X(conv2d_pool_grad_input)  \
  X(cumsum)                  \
  X(distort)                 \
  X(elementwise)             \
  X(gather)                  \
  X(gemm)                    \
  X(grouped_reduce)          \
  X(integer_gemm)            \
  X(log_softmax)             \
  X(pool2d)                  \
  X(pool2d_gather)           \
  X(pool2d_grad)             \
  X(recurrence)              \
  X(reduce)                  \
  X(scatter_add)             \
  X(scatter_set)             \
  X(softmax)                 \
  X(softmax_xent)            \
  X(softmax_xent_grad)

namespace tgm::TGM_TARGET {

// Ends with a null pointer.
extern const Kernel* const kernels[];

}  // namespace tgm::TGM_TARGET
