// Rows of an image as the pooling kernels hold them: windows lie side by side.
//
// Row q of a padded image belongs to *phase* q % stride, at index q / stride; columns alike. Split
// by both, position (r, c) of all windows lies in one stretch of one phase, in the windows' own
// order: with rows of the same length, a block of windows is one flat array, whatever window and
// stride. So a vector of windows costs one load for each position, rows are not too short for
// vectors, and there is no code for edges: pads hold a value that changes nothing.
#pragma once

#include "kernels/conv_common.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kWordBits = 16;  // of a winner mask, that a lane holds in a buffer

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

  // The positions of window `p` along an axis that lie inside the image.
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

// n elements to or from any stride.
template <class T>
TGM_INLINE void copy_row(const T* from, int64_t from_step, int64_t n, T* to, int64_t to_step) {
  if (from_step == 1 && to_step == 1) {
    int64_t i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) store(to + i, load(from + i));
    copy_part(to + i, from + i, n - i);
    return;
  }
  for (int64_t i = 0; i < n; i++) to[i * to_step] = from[i * from_step];
}

// The same for rows of n elements, from one type of integers to another if wanted; joined to one
// row where both sides allow it.
template <class From, class To>
TGM_INLINE void copy_rows(const From* from, int64_t from_row, int64_t from_step, int64_t rows,
                          int64_t n, To* to, int64_t to_row, int64_t to_step) {
  if (from_row == n * from_step && to_row == n * to_step) n *= rows, rows = 1;
  for (; rows > 0; rows--, from += from_row, to += to_row) {
    if constexpr (std::is_same_v<From, To>) {
      copy_row(from, from_step, n, to, to_step);
    } else if (from_step == 1 && to_step == 1) {
      for (int64_t i = 0; i < n; i++) to[i] = static_cast<To>(from[i]);
    } else {
      for (int64_t i = 0; i < n; i++) to[i * to_step] = static_cast<To>(from[i * from_step]);
    }
  }
}

template <class T, int... I>
TGM_INLINE void deinterleave_vector(const T* from, T* even, T* odd,
                                    std::integer_sequence<int, I...>) {
  const Vec<T> a = load(from), b = load(from + kLanes<T>);
  store(even, __builtin_shufflevector(a, b, 2 * I...));
  store(odd, __builtin_shufflevector(a, b, 2 * I + 1 ...));
}

template <class T, int... I>
TGM_INLINE void interleave_vector(const T* even, const T* odd, T* to,
                                  std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  const Vec<T> a = load(even), b = load(odd);
  store(to, __builtin_shufflevector(a, b, I / 2 + I % 2 * L...));
  store(to + L, __builtin_shufflevector(a, b, L / 2 + I / 2 + I % 2 * L...));
}

// Calls pairs(i) for i = 0, 2 L, 4 L, ... so that [i, i + 2 L) covers n elements, the last time
// overlapping the one before, and one(i) for what is left: an odd last element, or all if few.
template <class T, class Pairs, class One>
TGM_INLINE void in_pairs_of_vectors(int64_t n, Pairs pairs, One one) {
  constexpr int64_t step = 2 * kLanes<T>;
  int64_t i = 0;
  for (; i + step <= n; i += step) pairs(i);
  if (n >= step && i + 1 < n) {
    pairs((n - step) / 2 * 2);
    i = n / 2 * 2;
  }
  for (; i < n; i++) one(i);
}

// even[i] = from[2 i], odd[i] = from[2 i + 1], for n elements in all.
template <class T>
TGM_INLINE void deinterleave(const T* from, int64_t n, T* even, T* odd) {
  in_pairs_of_vectors<T>(
      n,
      [=](int64_t i) {
        deinterleave_vector(from + i, even + i / 2, odd + i / 2,
                            std::make_integer_sequence<int, kLanes<T>>{});
      },
      [=](int64_t i) { (i % 2 ? odd : even)[i / 2] = from[i]; });
}

template <class T>
TGM_INLINE void interleave(const T* even, const T* odd, int64_t n, T* to) {
  in_pairs_of_vectors<T>(
      n,
      [=](int64_t i) {
        interleave_vector(even + i / 2, odd + i / 2, to + i,
                          std::make_integer_sequence<int, kLanes<T>>{});
      },
      [=](int64_t i) { to[i] = (i % 2 ? odd : even)[i / 2]; });
}

// The same for three phases; the compiler makes shuffles of it.
template <class T>
TGM_INLINE void deinterleave3(const T* __restrict from, int64_t n, T* __restrict a, T* __restrict b,
                              T* __restrict c) {
  for (int64_t i = 0; i < n / 3; i++) {
    a[i] = from[3 * i];
    b[i] = from[3 * i + 1];
    c[i] = from[3 * i + 2];
  }
  if (n % 3 > 0) a[n / 3] = from[n - n % 3];
  if (n % 3 > 1) b[n / 3] = from[n - 1];
}

template <class T>
TGM_INLINE void interleave3(const T* __restrict a, const T* __restrict b, const T* __restrict c,
                            int64_t n, T* __restrict to) {
  for (int64_t i = 0; i < n / 3; i++) {
    to[3 * i] = a[i];
    to[3 * i + 1] = b[i];
    to[3 * i + 2] = c[i];
  }
  if (n % 3 > 0) to[n - n % 3] = a[n / 3];
  if (n % 3 > 1) to[n - 1] = b[n / 3];
}

// How a row of the image is split into phases, which lie `plane` elements apart.
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
    for (int64_t w = 0; w < 3; w++) starts[w] = place(w);
  }

  // Where column `w` of the image goes.
  int64_t place(int64_t w) const { return (w + pad) % stride * plane + (w + pad) / stride; }

  void split(const T* from, int64_t step, T* to) const {
    if (stride == 1) return copy_row(from, step, width, to + pad, 1);
    if (stride == 2 && phases == 2 && step == 1) {
      return deinterleave(from, width, to + starts[0], to + starts[1]);
    }
    if (stride == 3 && phases == 3 && step == 1) {
      return deinterleave3(from, width, to + starts[0], to + starts[1], to + starts[2]);
    }
    for (int64_t w = first(0), phase = 0; phase < phases; w = first(++phase)) {
      copy_row(from + w * step, stride * step, count(w), to + place(w), 1);
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
      copy_row(from + place(w), 1, count(w), to + w * step, stride * step);
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

// x where the mask's bit is set, 0 elsewhere: what does not win adds nothing, not even inf * 0.
template <class T>
TGM_INLINE Vec<T> where_marked(LaneMask<T> marks, int bit, Vec<T> x) {
  return (marks & (LaneMask<T>{} + (1 << bit))) != 0 ? x : Vec<T>{};
}

}  // namespace tgm::TGM_TARGET
