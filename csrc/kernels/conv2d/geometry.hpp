// What all kernels of a convolution share: its sizes, and the check of its operands, which is made
// when a program is built.
#pragma once

#include <algorithm>

#include "kernel.hpp"
#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "simd.hpp"
#include "sizes.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kMaxStrips = 64;    // images or accumulators that are in the workspace at once
constexpr int64_t kEnoughUnits = 16;  // of work: keeps 8 threads busy

constexpr int32_t kConvInts = 5, kPoolInts = 7;

// Sizes and parameters of a convolution y (N, O, OH, OW) of x (N, C, H, W) with w (O, C, KH, KW).
struct ConvShape {
  int64_t N, C, H, W, O, KH, KW;
  int64_t stride_h, stride_w, pad_h, pad_w;
  bool flip, pooled;
  int64_t pool_h, pool_w;  // 1, 1 without a pool
  bool first;              // of a pool's winners, only the first is kept
  int64_t OH, OW;          // of the convolution
  int64_t PH, PW;          // behind the pool

  bool is_padded() const { return pad_h || pad_w; }
  int64_t padded_h() const { return H + 2 * pad_h; }
  int64_t padded_w() const { return W + 2 * pad_w; }
  int64_t taps() const { return C * KH * KW; }
  int64_t pool_size() const { return pool_h * pool_w; }
  int64_t winner_bytes() const { return (pool_size() + 7) / 8; }
  int64_t flops_per_position() const { return 2 * taps() * pool_size(); }
};

// x and w are operands with these shapes: a result or a gradient may take their place. The call's
// ints are stride_h, stride_w, pad_h, pad_w, flip and, of kernels with a pool, pool_h, pool_w; and
// `first`, of those that store winners, which may be left out.
ConvShape conv_shape(const Tensor& x, const Tensor& w, const Args& args);

// Which of the call's operands are those of y = x * w; numbers from kOut on are outputs.
struct ConvRoles {
  int x, w, y;
  int winners = -1;  // -1: the kernel has no pool
  int bias = -1;     // -1: none

  bool pooled() const { return winners >= 0; }
  int n_own() const {  // inputs before the extras
    return bias >= 0 || (pooled() && winners < kOut) ? 3 : 2;
  }
};

// Null, or what is wrong.
const char* check_conv(const Args& args, const ConvRoles& roles);

}  // namespace tgm::TGM_TARGET
