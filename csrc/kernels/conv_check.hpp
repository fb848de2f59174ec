// What a convolution's operands must be, checked when a program is built.
#pragma once

#include "kernels/conv_common.hpp"

namespace tgm::TGM_TARGET {

// Where a kernel has the operands of y = x * w; operands of the output have numbers from kOut on.
constexpr int kOut = 100;
struct ConvRoles {
  int x, w, y;
  int winners;  // -1: none
  int n_own;    // inputs before the extras
  bool pooled;
};

// Null, or what is wrong.
const char* check_conv(const Args& args, const ConvRoles& roles);

// Checks of one operand and of the epilogue, for other kernels too. Null, or what is wrong.
const char* check_operand(const Tensor& tensor, const char* name, DType dtype, int32_t ndim,
                          const int64_t* shape);
const char* check_epilogue(const Args& args, int32_t n_own);
const char* check_failed(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace tgm::TGM_TARGET
