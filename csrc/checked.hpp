// Arithmetic on sizes that plans and users choose. A result that int64 lacks is INT64_MAX: larger
// than any limit, so one comparison refuses it.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace tgm {

constexpr int64_t kMaxSize = int64_t{1} << 62;    // bytes from one end of an operand to the other
constexpr int64_t kMaxLength = int64_t{1} << 31;  // of an axis of an image, a window, a step
constexpr int64_t kMaxPlane = int64_t{1} << 40;   // elements of a padded image, or of its windows
constexpr int64_t kMaxWorkspace = int64_t{1} << 46;  // bytes of one call

// Of numbers that are not negative.
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

}  // namespace tgm
