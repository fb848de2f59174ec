// Checks of a call's operands, made when a program is built.
#pragma once

#include "kernel.hpp"
#include "kernels/core/tile.hpp"

namespace tgm::TGM_TARGET {

// Operands of the output have numbers from kOut on.
constexpr int kOut = 100;

// Null, or what is wrong.
const char* check_operand(const Tensor& tensor, const char* name, DType dtype, int32_t ndim,
                          const int64_t* shape);
// Sizes of images, windows and steps, each a pair (height, width): whether their sums and products
// are numbers that kernels can compute with. `window` may be a filter.
struct WindowSizes {
  const int64_t *image, *pooled, *window, *stride, *pad;
};
const char* check_windows(const WindowSizes& sizes);
const char* check_epilogue(const Args& args, int32_t n_own);
// The operand with this number, and its name in messages: "input 1 (w)"; good until the next call.
const Tensor& operand(const Args& args, int number);
const char* operand_name(int number, const char* role);
const char* check_failed(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace tgm::TGM_TARGET
