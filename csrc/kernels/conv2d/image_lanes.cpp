// pack_lanes: see image_lanes.hpp.
#include "kernels/conv2d/image_lanes.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int L = kImageLanes;

// n elements, side by side in every image, to rows of `W` in `width`.
// Returns a vector that is 0 unless a value isn't finite.
Vec<float> pack_run(const LanePlanes& planes, const float* from, int64_t step, int64_t images,
                    int64_t n, float* to) {
  const int64_t gap = (planes.width - planes.W) * L;
  Vec<float> nonfinite{};
  for (int64_t q = 0; q < n; q += L) {
    q = std::min(q, n - L);
    for (int i = 0; i < L; i++) __builtin_prefetch(from + (i < images ? i : 0) * step + q + 4 * L);
    Vec<float> block[L];
    for (int i = 0; i < L; i++) block[i] = i < images ? load(from + i * step + q) : Vec<float>{};
    for (int i = 0; i < L; i++) nonfinite += block[i] - block[i];
    transpose_registers<float>(block);
    int64_t column = q % planes.W;
    float* at = to + (q / planes.W * planes.width + column) * L;
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) {
      store(at, block[i]);
      const bool ends = ++column == planes.W;
      column = ends ? 0 : column;
      at += ends ? L + gap : L;
    }
  }
  return nonfinite;
}

// The same for images of any strides.
Vec<float> pack_elements(const LanePlanes& planes, const float* from, const int64_t* stride,
                         int64_t images, int64_t rows, float* to) {
  Vec<float> nonfinite{};
  for (int64_t h = 0; h < rows; h++, from += stride[2], to += planes.row()) {
    for (int64_t w = 0; w < planes.W; w++) {
      Vec<float> vector{};
      for (int64_t i = 0; i < images; i++) vector[i] = from[i * stride[0] + w * stride[3]];
      nonfinite += vector - vector;
      store(to + w * L, vector);
    }
  }
  return nonfinite;
}

}  // namespace

bool pack_lanes(const LanePlanes& planes, const Tensor& x, Span images, int64_t first, float* to) {
  const int64_t *stride = x.stride, count = images.last - images.first;
  const int64_t above = std::clamp<int64_t>(-first, 0, planes.rows);
  const int64_t last = std::clamp<int64_t>(planes.H - first, above, planes.rows);
  const int64_t n = (last - above) * planes.W, right = planes.width - planes.left - planes.W;
  const bool contiguous = stride[3] == 1 && stride[2] == planes.W && n >= L;
  Vec<float> nonfinite{};  // x - x is 0, unless x is NaN or inf
  for (int64_t c = 0; c < planes.C; c++, to += planes.plane()) {
    float* const image = to + above * planes.row();
    std::fill(to, image, 0.0F);
    std::fill(to + last * planes.row(), to + planes.plane(), 0.0F);
    for (int64_t h = above; h < last; h++) {
      float* const row = to + h * planes.row();
      for (int64_t i = 0; i < planes.left; i++) store(row + i * L, Vec<float>{});
      for (int64_t i = planes.width - right; i < planes.width; i++)
        store(row + i * L, Vec<float>{});
    }
    const float* from =
        x.as<float>() + images.first * stride[0] + c * stride[1] + (first + above) * stride[2];
    if (contiguous) {
      nonfinite += pack_run(planes, from, stride[0], count, n, image + planes.left * L);
    } else {
      nonfinite +=
          pack_elements(planes, from, stride, count, last - above, image + planes.left * L);
    }
  }
  return reduce_add(nonfinite) == 0;
}

}  // namespace tgm::TGM_TARGET
