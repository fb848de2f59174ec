// Sums whose error does not grow with the number of terms.
//
// A running sum of k terms of one sign errs by up to k roundings, in one direction where the terms
// are equal. So terms are added in order only within runs, and the sums of the runs pairwise: k
// terms err by at most kInOrder + log2(k / kInOrder) roundings.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kInOrder = 256;  // terms that are added in order

// Where sums are in memory: the terms of a run, if the sum of each run is added to a total. With
// runs of about the square root of k, k terms err by at most 2 sqrt(k) roundings. Up to kFewTerms
// are one run.
constexpr int64_t kFewTerms = 1024;

inline int64_t run_length(int64_t k) {
  return std::max(kFewTerms, static_cast<int64_t>(std::sqrt(static_cast<double>(k))));
}

// The sum of values that arrive one by one, added pairwise: level i is the sum of 2^i of them, and
// exists where bit i of their number is set.
template <class V>
class PairwiseSum {
 public:
  __attribute__((always_inline)) void add(V value) {
    int i = 0;
    for (; count_ >> i & 1; i++) value = levels_[i] + value;
    levels_[i] = value;
    count_++;
  }

  __attribute__((always_inline)) V total() const {
    V sum{};
    for (int i = 0; count_ >> i != 0; i++) {
      if (count_ >> i & 1) sum = levels_[i] + sum;
    }
    return sum;
  }

 private:
  int64_t count_ = 0;
  V levels_[63];
};

// term(0) + ... + term(n - 1). Up to kInOrder terms are added in order.
template <class V, class Term>
TGM_INLINE V long_sum(int64_t n, Term term) {
  const auto run = [&](int64_t first, int64_t last) __attribute__((always_inline)) {
    V sum{};
#pragma GCC unroll 16
    for (int64_t i = first; i < last; i++) sum += term(i);
    return sum;
  };
  if (n <= kInOrder) return run(0, n);
  PairwiseSum<V> sum;
  for (int64_t i = 0; i < n; i += kInOrder) sum.add(run(i, std::min(n, i + kInOrder)));
  return sum.total();
}

}  // namespace tgm::TGM_TARGET
