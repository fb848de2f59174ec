// The loops of `probe.hpp` for this target.
#include "probe.hpp"

#include "simd.hpp"

namespace tgm::TGM_TARGET {

extern const Probe probe;

namespace {

// Two units with a latency of 4 or 5 cycles need 8 to 10 sums; without fused multiply-adds the two
// latencies add up, and 12 sums are enough for two units of each kind. With two operands more they
// fit in 16 registers.
constexpr int kSums = 12;
constexpr int kUnroll = 8;  // vectors; also the independent sums of `read`

// A number that the compiler can't know, so that it computes with it.
template <class T>
T unknown(T value) {
  volatile T hidden = value;
  return hidden;
}

// Keeps what has been computed or stored from being left out.
template <class T>
TGM_INLINE void keep(T value) {
  volatile T kept = value;
  (void)kept;
}

template <class T>
int64_t multiply_adds_of(int64_t rounds) {
  // x * 0.5 + 0.5 goes to 1: no value gets extreme. The sums start at different numbers, or one
  // would do for all.
  const Vec<T> half = splat(unknown(T(0.5)));
  Vec<T> sums[kSums];
#pragma GCC unroll 16
  for (int k = 0; k < kSums; k++) sums[k] = splat(unknown(T(k)));
  for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 16
    for (Vec<T>& sum : sums) sum = fmadd(sum, half, half);
  }
  Vec<T> total = sums[0];
  for (int k = 1; k < kSums; k++) total = total + sums[k];
  keep(reduce_add(total));
  return rounds * kSums * kLanes<T> * 2;
}

int64_t multiply_adds(DType dtype, int64_t rounds) {
  return dtype == DType::Float64 ? multiply_adds_of<double>(rounds)
                                 : multiply_adds_of<float>(rounds);
}

constexpr int64_t kStep = kUnroll * kLanes<float>;

int64_t triad(float* memory, int64_t n, int64_t passes) {
  const int64_t third = n / (3 * kStep) * kStep;
  float* const a = memory;
  const float* const b = memory + third;
  const float* const c = b + third;
  const Vec<float> half = splat(unknown(0.5F));
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t i = 0; i < third; i += kStep) {
#pragma GCC unroll 8
      for (int k = 0; k < kUnroll; k++) {
        const int64_t j = i + k * kLanes<float>;
        store(a + j, fmadd(load(c + j), half, load(b + j)));
      }
    }
    asm volatile("" ::: "memory");  // each pass is to be made
  }
  return passes * third * 3 * static_cast<int64_t>(sizeof(float));
}

int64_t read(const float* memory, int64_t n, int64_t passes) {
  const int64_t whole = n / kStep * kStep;
  Vec<float> sums[kUnroll] = {};
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t i = 0; i < whole; i += kStep) {
#pragma GCC unroll 8
      for (int k = 0; k < kUnroll; k++) sums[k] = sums[k] + load(memory + i + k * kLanes<float>);
    }
    asm volatile("" ::: "memory");
  }
  Vec<float> total = sums[0];
  for (int k = 1; k < kUnroll; k++) total = total + sums[k];
  keep(reduce_add(total));
  return passes * whole * static_cast<int64_t>(sizeof(float));
}

}  // namespace

const Probe probe = {multiply_adds, triad, read};

}  // namespace tgm::TGM_TARGET
