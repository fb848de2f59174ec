// Arithmetic of sizes, checked: all products and sums of lengths, strides and bytes that decide
// what memory is used are computed here.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <vector>

namespace tgm {

// The most bytes of an operand, each repeated element counted: no address space holds more. What
// kernels compute of the lengths of such operands stays far below 2^63.
constexpr int64_t kMostBytes = int64_t{1} << 56;
constexpr int64_t kMaxSize = int64_t{1} << 62;    // bytes from one end of an operand to the other
constexpr int64_t kMaxLength = int64_t{1} << 31;  // of an axis of an image, a window, a step
constexpr int64_t kMaxPlane = int64_t{1} << 40;   // elements of a padded image, or of its windows
constexpr int64_t kMaxNumber = int64_t{1} << 20;  // of bound addresses, and of slots
constexpr int64_t kMaxWorkspace = int64_t{1} << 46;  // bytes of one call

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

// The same of numbers that are not negative, without exceptions: a result that int64 lacks is
// INT64_MAX, larger than any limit, so one comparison refuses it.
inline int64_t checked_product(std::initializer_list<int64_t> factors) {
  int64_t product = 1;
  bool fits = true;
  for (const int64_t factor : factors) {
    if (factor == 0) return 0;
    fits = fits && !__builtin_mul_overflow(product, factor, &product);
  }
  return fits ? product : INT64_MAX;
}

inline int64_t checked_sum(std::initializer_list<int64_t> terms) {
  int64_t sum = 0;
  for (const int64_t term : terms) {
    if (__builtin_add_overflow(sum, term, &sum)) return INT64_MAX;
  }
  return sum;
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
