// What a convolution's operands must be, checked when a program is built.
#pragma once

#include "kernels/conv2d/geometry.hpp"
#include "kernels/core/check.hpp"

namespace tgm::TGM_TARGET {

// Where a kernel has the operands of y = x * w (see kOut).
struct ConvRoles {
  int x, w, y;
  int winners;  // -1: none
  int n_own;    // inputs before the extras
  bool pooled;
};

// Null, or what is wrong.
const char* check_conv(const Args& args, const ConvRoles& roles);

}  // namespace tgm::TGM_TARGET
