// The operations of `reduce`: how elements combine in vectors, and how block results combine.
#pragma once

#include <limits>
#include <type_traits>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

enum class ReduceOp : int64_t { Sum, Prod, Max, Min };

template <class T>
struct SumOp {
  static constexpr T identity = 0;
  template <class V>
  TGM_INLINE V of(V a, V b) {
    return add(a, b);
  }
};

template <class T>
struct ProdOp {
  static constexpr T identity = 1;
  template <class V>
  TGM_INLINE V of(V a, V b) {
    return multiply(a, b);
  }
};

template <class T>
struct MaxOp {
  static constexpr T identity = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                                            : std::numeric_limits<T>::min();
  template <class V>
  TGM_INLINE V of(V a, V b) {
    return vmax(a, b);
  }
};

template <class T>
struct MinOp {
  static constexpr T identity = std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity()
                                                            : std::numeric_limits<T>::max();
  template <class V>
  TGM_INLINE V of(V a, V b) {
    return vmin(a, b);
  }
};

// Accumulates block results. Sums of floats are accumulated in double; sums of doubles also keep
// what rounding lost (Neumaier), so that errors do not grow with the number of blocks. Of the other
// operations, a float's results are floats.
template <class T>
struct Total {
  using Wide = std::conditional_t<std::is_same_v<T, float>, double, T>;

  Wide value;
  Wide lost = 0;

  template <class Op>
  __attribute__((always_inline)) void add(Wide x) {
    if constexpr (!std::is_same_v<Op, SumOp<T>> || std::is_integral_v<T>) {
      value = Op::of(static_cast<T>(value), static_cast<T>(x));
    } else if constexpr (std::is_same_v<T, float>) {
      value += x;
    } else {
      const double sum = value + x;
      const bool is_greater = __builtin_fabs(value) >= __builtin_fabs(x);
      lost += is_greater ? (value - sum) + x : (x - sum) + value;
      value = sum;
    }
  }

  // Only sums of doubles have lost anything; an infinite sum has lost NaN.
  __attribute__((always_inline)) T result() const {
    if constexpr (std::is_same_v<T, double>) {
      return lost != 0 && __builtin_isfinite(lost) ? value + lost : value;
    } else {
      return static_cast<T>(value);
    }
  }
};

// The n contiguous elements at p combined, in an order that depends only on n.
template <class T, class Op>
TGM_INLINE T reduce_block(const T* p, int64_t n) {
  constexpr int64_t lanes = kLanes<T>;
  Vec<T> sums[4];
  for (Vec<T>& sum : sums) sum = splat<T>(Op::identity);
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    for (int k = 0; k < 4; k++) sums[k] = Op::of(sums[k], load(p + i + k * lanes));
  }
  for (; i + lanes <= n; i += lanes) sums[0] = Op::of(sums[0], load(p + i));
  if (i < n) {
    alignas(kVectorBytes) T rest[kLanes<T>];
    store(rest, splat<T>(Op::identity));
    copy_part(rest, p + i, n - i);
    sums[1] = Op::of(sums[1], load(rest));
  }
  const Vec<T> sum = Op::of(Op::of(sums[0], sums[1]), Op::of(sums[2], sums[3]));
  alignas(kVectorBytes) T lane[kLanes<T>];
  store(lane, sum);
  for (int64_t width = lanes / 2; width > 0; width /= 2) {
    for (int64_t k = 0; k < width; k++) lane[k] = Op::of(lane[k], lane[k + width]);
  }
  return lane[0];
}

// to[i] = op(to[i], from[i]) for i < n.
template <class T, class Op>
TGM_INLINE void combine_rows(T* to, const T* from, int64_t n) {
  constexpr int64_t lanes = kLanes<T>;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, Op::of(load(to + i), load(from + i)));
  if (i < n)
    store_part(to + i, Op::of(load_part(to + i, n - i), load_part(from + i, n - i)), n - i);
}

}  // namespace tgm::TGM_TARGET
