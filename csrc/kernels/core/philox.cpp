#include "kernels/core/philox.hpp"

#include "math/half_products.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

// Blocks computed at a time: a vector of 64-bit lanes holds one word of each of its blocks.
using Words = Vec<uint64_t>;
constexpr int kGroup = kLanes<uint64_t>;
constexpr int kGroups = 2;  // independent of each other; more would not fit the registers
constexpr int kWide = kGroups * kGroup;

// Computes the words of kWide blocks in a row, of which `first` is the first: four words per block.
// The upper halves of the lanes hold leftovers, which the multiplication doesn't read.
void philox(uint32_t* words, uint64_t first, uint64_t step, uint64_t key) {
  Words x0[kGroups], x1[kGroups], x2[kGroups], x3[kGroups];
  for (int g = 0; g < kGroups; g++) {
    for (int lane = 0; lane < kGroup; lane++) {
      const uint64_t block = first + static_cast<uint64_t>(g * kGroup + lane);
      x0[g][lane] = block;
      x1[g][lane] = block >> 32;
    }
    x2[g] = splat<uint64_t>(step);
    x3[g] = splat<uint64_t>(step >> 32);
  }
  uint32_t key0 = static_cast<uint32_t>(key);
  uint32_t key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kRounds; round++) {
    for (int g = 0; g < kGroups; g++) {
      const Words product0 = multiply_low_halves(x0[g], splat<uint64_t>(kMultiplier0));
      const Words product1 = multiply_low_halves(x2[g], splat<uint64_t>(kMultiplier1));
      x0[g] = (product1 >> 32) ^ x1[g] ^ key0;
      x1[g] = product1;
      x2[g] = (product0 >> 32) ^ x3[g] ^ key1;
      x3[g] = product0;
    }
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  // Two words at a time, the first in the lower half (of a little-endian lane).
  uint64_t front[kWide];
  uint64_t back[kWide];
  uint64_t pairs[2 * kWide];
  for (int g = 0; g < kGroups; g++) {
    store(front + g * kGroup, (x0[g] & 0xFFFFFFFF) | (x1[g] << 32));
    store(back + g * kGroup, (x2[g] & 0xFFFFFFFF) | (x3[g] << 32));
  }
  for (int block = 0; block < kWide; block++) {
    pairs[2 * block] = front[block];
    pairs[2 * block + 1] = back[block];
  }
  std::memcpy(words, pairs, sizeof pairs);
}

// A float takes the high 24 bits of one word, a double the high 27 and 26 bits of two.
template <class T>
constexpr int kWords = sizeof(T) / sizeof(uint32_t);

// From int32_t, which has vector conversions: the shifted words fit.
TGM_INLINE float uniform_of(const uint32_t* words, float) {
  return static_cast<float>(static_cast<int32_t>(words[0] >> 8)) * 0x1p-24f;
}

TGM_INLINE double uniform_of(const uint32_t* words, double) {
  const auto high = static_cast<int32_t>(words[0] >> 5);
  const auto low = static_cast<int32_t>(words[1] >> 6);
  return (high * 67108864.0 + low) * 0x1p-53;
}

template <class T>
void fill(T* to, int64_t n, int64_t index, int64_t index_stride, int64_t step, uint64_t key) {
  constexpr int64_t per_call = kWide * 4 / kWords<T>;  // elements
  constexpr int64_t per_block = per_call / kWide;
  uint32_t words[kWide * 4];
  int64_t begin = 0;  // elements begin .. end - 1 are in `words`
  int64_t end = 0;
  for (int64_t i = 0; i < n;) {
    const int64_t element = index + i * index_stride;
    if (element < begin || element >= end) {
      const int64_t block = element / per_block;
      philox(words, static_cast<uint64_t>(block), static_cast<uint64_t>(step), key);
      begin = block * per_block;
      end = begin + per_call;
    }
    int64_t run = 1;
    if (index_stride == 1) run = end - element < n - i ? end - element : n - i;
    const uint32_t* from = words + (element - begin) * kWords<T>;
    for (int64_t k = 0; k < run; k++) to[i + k] = uniform_of(from + k * kWords<T>, T{});
    i += run;
  }
}

}  // namespace

void fill_uniform(float* to, int64_t n, int64_t index, int64_t index_stride, int64_t step,
                  uint64_t key) {
  fill(to, n, index, index_stride, step, key);
}

void fill_uniform(double* to, int64_t n, int64_t index, int64_t index_stride, int64_t step,
                  uint64_t key) {
  fill(to, n, index, index_stride, step, key);
}

}  // namespace tgm::TGM_TARGET
