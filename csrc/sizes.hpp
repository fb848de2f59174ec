// Arithmetic of sizes, checked: all products and sums of lengths, strides and bytes that decide
// what memory is used are computed here.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace tgm {

// The most bytes of an operand, each repeated element counted: no address space holds more. What
// kernels compute of the lengths of such operands stays far below 2^63.
constexpr int64_t kMostBytes = int64_t{1} << 56;

// a + b and a * b; std::length_error where they leave the range of int64.
inline int64_t size_sum(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) throw std::length_error("a size passes 2^63");
  return sum;
}

inline int64_t size_product(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) throw std::length_error("a size passes 2^63");
  return product;
}

// Whether an array of this shape has at most kMostBytes. Lengths of 0 count as 1, since strides are
// made of the others.
inline bool is_addressable(const std::vector<int64_t>& shape, int64_t item_bytes) {
  int64_t bytes = item_bytes;
  for (const int64_t length : shape) {
    if (length > 1 && __builtin_mul_overflow(bytes, length, &bytes)) return false;
    if (bytes > kMostBytes) return false;
  }
  return true;
}

}  // namespace tgm
