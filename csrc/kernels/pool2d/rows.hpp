// The layout of an image's rows in the pooling kernels: windows are side by side.
//
// Row q of a padded image belongs to *phase* q % stride, at index q / stride; columns likewise.
// Split by both, position (r, c) of all windows is one range of one phase, in the order of the
// windows. With rows of the same length, a block of windows is one flat array for any window and
// stride. So a vector of windows costs one load for each position, rows are not too short for
// vectors, and there is no code for edges: pads hold a value that changes nothing.
#pragma once

#include "kernels/core/chunks.hpp"
#include "kernels/core/row_copies.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kWordBits = 16;  // of a winner mask that a lane holds in a buffer

template <class T>
TGM_INLINE int64_t whole_vectors(int64_t n) {
  return ceil_div(n, kLanes<T>) * kLanes<T>;
}

struct PoolShape {
  int64_t window[2], stride[2], pad[2];
  int64_t image[2], pooled[2];
  int64_t channels, planes;

  PoolShape(const Tensor& x, const Tensor& y, const int64_t* ints)
      : window{ints[0], ints[1]},
        stride{ints[2], ints[3]},
        pad{ints[4], ints[5]},
        image{x.shape[2], x.shape[3]},
        pooled{y.shape[2], y.shape[3]},
        channels(x.shape[1]),
        planes(x.shape[0] * x.shape[1]) {}

  int64_t positions() const { return window[0] * window[1]; }
  int64_t mask_bytes() const { return ceil_div(positions(), 8); }
  int64_t mask_words() const { return ceil_div(positions(), kWordBits); }

  // Whether a window has positions outside the image.
  bool has_pads() const {
    for (int axis = 0; axis < 2; axis++) {
      const int64_t end = (pooled[axis] - 1) * stride[axis] + window[axis] - pad[axis];
      if (pad[axis] > 0 || end > image[axis]) return true;
    }
    return false;
  }

  // The positions of window `p` along an axis that are inside the image.
  Span inside(int axis, int64_t p) const {
    const int64_t start = p * stride[axis] - pad[axis];
    const int64_t first = std::clamp<int64_t>(-start, 0, window[axis]);
    return {first, std::clamp<int64_t>(image[axis] - start, first, window[axis])};
  }
};

// Where plane (n, c) of a tensor (N, C, ...) begins.
template <class T>
TGM_INLINE T* plane_of(const Tensor& t, const PoolShape& pool, int64_t plane) {
  return t.as<T>() + plane / pool.channels * t.stride[0] + plane % pool.channels * t.stride[1];
}

// How a row of the image is split into phases, which are `plane` elements apart.
template <class T>
struct PhaseRow {
  int64_t stride, pad, width;
  int64_t phases;  // that windows reach
  int64_t plane = 0;
  int64_t starts[3];  // where the first columns go

  PhaseRow(const PoolShape& pool, int64_t width)
      : stride(pool.stride[1]),
        pad(pool.pad[1]),
        width(width),
        phases(std::min(stride, pool.window[1])) {}

  void set_plane(int64_t size) {
    plane = size;
    for (int64_t w = 0; w < 3; w++) starts[w] = index_of(w);
  }

  // Where column `w` of the image goes.
  int64_t index_of(int64_t w) const { return (w + pad) % stride * plane + (w + pad) / stride; }

  void split(const T* from, int64_t step, T* to) const {
    if (stride == 1) return copy_row(from, step, width, to + pad, 1);
    if (stride == 2 && phases == 2 && step == 1) {
      return deinterleave(from, width, to + starts[0], to + starts[1]);
    }
    if (stride == 3 && phases == 3 && step == 1) {
      return deinterleave3(from, width, to + starts[0], to + starts[1], to + starts[2]);
    }
    for (int64_t w = first(0), phase = 0; phase < phases; w = first(++phase)) {
      copy_row(from + w * step, stride * step, count(w), to + index_of(w), 1);
    }
  }

  void merge(const T* from, T* to, int64_t step) const {
    if (stride == 1) return copy_row(from + pad, 1, width, to, step);
    if (stride == 2 && phases == 2 && step == 1) {
      return interleave(from + starts[0], from + starts[1], width, to);
    }
    if (stride == 3 && phases == 3 && step == 1) {
      return interleave3(from + starts[0], from + starts[1], from + starts[2], width, to);
    }
    if (phases < stride) clear(to, step);
    for (int64_t w = first(0), phase = 0; phase < phases; w = first(++phase)) {
      copy_row(from + index_of(w), 1, count(w), to + w * step, stride * step);
    }
  }

  void clear(T* to, int64_t step) const {
    for (int64_t w = 0; w < width; w++) to[w * step] = T(0);
  }

 private:
  // The first column of a phase, and how many there are from it on.
  int64_t first(int64_t phase) const {
    const int64_t w = (phase - pad) % stride;
    return w < 0 ? w + stride : w;
  }
  int64_t count(int64_t w) const { return w < width ? (width - 1 - w) / stride + 1 : 0; }
};

// Winner masks are bytes in memory; in buffers a lane of T's size holds a word of two bytes.
template <class T>
using LaneMask = decltype(Vec<T>{} == Vec<T>{});
template <class T>
using Lane = Element<LaneMask<T>>;

// x where the mask's bit is set, 0 elsewhere: other positions add nothing, not even inf * 0.
template <class T>
TGM_INLINE Vec<T> where_marked(LaneMask<T> marks, int bit, Vec<T> x) {
  return (marks & (LaneMask<T>{} + (1 << bit))) != 0 ? x : Vec<T>{};
}

}  // namespace tgm::TGM_TARGET
