#include "kernels/philox.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

// Blocks computed at a time: enough for the loops over them to become vector code.
constexpr int kWide = 16;

// Four numbers each of kWide blocks in a row, of which the first is `block`.
struct Blocks {
  uint32_t x[4][kWide];
};

void philox(Blocks& blocks, uint64_t block, uint64_t step, uint64_t key) {
  for (int i = 0; i < kWide; i++) {
    blocks.x[0][i] = static_cast<uint32_t>(block + i);
    blocks.x[1][i] = static_cast<uint32_t>((block + i) >> 32);
    blocks.x[2][i] = static_cast<uint32_t>(step);
    blocks.x[3][i] = static_cast<uint32_t>(step >> 32);
  }
  uint32_t key0 = static_cast<uint32_t>(key);
  uint32_t key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < kRounds; round++) {
    for (int i = 0; i < kWide; i++) {
      const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * blocks.x[0][i];
      const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * blocks.x[2][i];
      blocks.x[0][i] = static_cast<uint32_t>(product1 >> 32) ^ blocks.x[1][i] ^ key0;
      blocks.x[1][i] = static_cast<uint32_t>(product1);
      blocks.x[2][i] = static_cast<uint32_t>(product0 >> 32) ^ blocks.x[3][i] ^ key1;
      blocks.x[3][i] = static_cast<uint32_t>(product0);
    }
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
}

// A float takes the high 24 bits of one number, a double the high 27 and 26 bits of two.
template <class T>
constexpr int kPerBlock = std::is_same_v<T, float> ? 4 : 2;

TGM_INLINE float uniform_of(const Blocks& blocks, int i, int lane, float) {
  return static_cast<float>(blocks.x[lane][i] >> 8) * 0x1p-24f;
}

TGM_INLINE double uniform_of(const Blocks& blocks, int i, int lane, double) {
  const uint32_t high = blocks.x[2 * lane][i] >> 5;
  const uint32_t low = blocks.x[2 * lane + 1][i] >> 6;
  return (high * 67108864.0 + low) * 0x1p-53;
}

template <class T>
void fill(T* to, int64_t n, int64_t index, int64_t index_stride, int64_t step, uint64_t key) {
  constexpr int64_t per_block = kPerBlock<T>;
  Blocks blocks;
  int64_t first = 0;  // first block of `blocks`, once there is one
  bool filled = false;
  for (int64_t i = 0; i < n;) {
    const int64_t element = index + i * index_stride;
    const int64_t block = element / per_block;
    if (!filled || block < first || block >= first + kWide) {
      philox(blocks, static_cast<uint64_t>(block), static_cast<uint64_t>(step), key);
      first = block;
      filled = true;
    }
    const bool whole_run = index_stride == 1 && block == first && element % per_block == 0 &&
                           n - i >= kWide * per_block;
    if (whole_run) {
      for (int b = 0; b < kWide; b++) {
        for (int lane = 0; lane < per_block; lane++) {
          to[i + b * per_block + lane] = uniform_of(blocks, b, lane, T{});
        }
      }
      i += kWide * per_block;
    } else {
      to[i] = uniform_of(blocks, static_cast<int>(block - first),
                         static_cast<int>(element % per_block), T{});
      i++;
    }
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
