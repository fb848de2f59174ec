// Vectors of the widest registers that the target has, by the compiler's vector extensions.
//
//   Vec<T>            kLanes<T> elements; T float, double, int32_t, int64_t. + - * / < & | ... work
//                     element by element, `mask ? a : b` selects, v[i] reads one element.
//   splat<T>(x)       x in every lane
//   load(p) store(p, v)               any alignment
//   load_part(p, n) store_part(p, v, n)   the first n < kLanes<T> elements; the others are 0
//   add subtract multiply negate      integers wrap
//   fmadd(a, b, c)    a * b + c, fused where the target can
//   rounded(v)        v, not to be fused with what comes next
//   vmax vmin         as np.maximum, np.minimum: NaN if either is
//   reduce_add(v)     sum of the lanes in a fixed order
//
// Everything here is always_inline: a function that the linker could share between targets would
// run one target's instructions on a processor that lacks them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#ifndef TGM_TARGET
#error "compile kernels with -DTGM_TARGET=<name>"
#endif

#define TGM_INLINE static inline __attribute__((always_inline))

// For functions around an inner loop: among the pointers of a larger function g++ 12 keeps those of
// the loop on the stack.
#define TGM_NOINLINE __attribute__((noinline))

// Before a loop whose turns don't depend on each other, although its pointers may be equal.
#if defined(__clang__)
#define TGM_INDEPENDENT_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define TGM_INDEPENDENT_LOOP _Pragma("GCC ivdep")
#endif

namespace tgm::TGM_TARGET {

#if defined(TGM_TARGET_avx512) || defined(TGM_TARGET_wide)
#define TGM_64_BYTE_VECTORS
constexpr int kVectorBytes = 64;
#elif defined(TGM_TARGET_avx2)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;  // SSE2, NEON
#endif

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VecOf<T>::type;

// The element type and the number of lanes of a vector type.
template <class V>
using Element = std::remove_cvref_t<decltype(std::declval<V&>()[0])>;

template <class T>
TGM_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};  // not +: -0.0 + 0.0 is 0.0
}

template <class T>
TGM_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T, class V>
TGM_INLINE void store(T* p, V v) {
  static_assert(sizeof(V) == kVectorBytes && sizeof(Element<V>) == sizeof(T));
  std::memcpy(p, &v, sizeof v);
}

// Copies n < kLanes<T> elements, as one block per bit of n.
template <class T>
TGM_INLINE void copy_part(T* to, const T* from, int64_t n) {
#pragma GCC unroll 8
  for (int block = kLanes<T> / 2; block > 0; block /= 2) {
    if (n & block) {
      std::memcpy(to, from, block * sizeof(T));
      to += block;
      from += block;
    }
  }
}

template <class T>
TGM_INLINE Vec<T> load_part(const T* p, int64_t n) {
  alignas(kVectorBytes) T lanes[kLanes<T>] = {};
  copy_part(lanes, p, n);
  return load(lanes);
}

template <class T, class V>
TGM_INLINE void store_part(T* p, V v, int64_t n) {
  alignas(kVectorBytes) T lanes[kLanes<T>];
  store(lanes, v);
  copy_part(p, lanes, n);
}

// The unsigned type of an int64 or a vector of them, other types as they are: integers wrap, and
// only unsigned arithmetic may.
template <class V>
struct WrappingOf {
  using type = V;
};
template <>
struct WrappingOf<int64_t> {
  using type = uint64_t;
};
template <>
struct WrappingOf<Vec<int64_t>> {
  using type = Vec<uint64_t>;
};
template <class V>
using Wrapping = typename WrappingOf<V>::type;

template <class V>
TGM_INLINE V add(V a, V b) {
  return (V)((Wrapping<V>)a + (Wrapping<V>)b);
}

template <class V>
TGM_INLINE V subtract(V a, V b) {
  return (V)((Wrapping<V>)a - (Wrapping<V>)b);
}

template <class V>
TGM_INLINE V multiply(V a, V b) {
  return (V)((Wrapping<V>)a * (Wrapping<V>)b);
}

template <class V>
TGM_INLINE V negate(V a) {
  return (V)(-(Wrapping<V>)a);
}

template <class V>
TGM_INLINE V fmadd(V a, V b, V c) {
  return a * b + c;
}

// v, of which the compiler doesn't know that it is a product: a sum that it goes into is not fused
// with it, so both are rounded, as in a tape.
template <class V>
TGM_INLINE V rounded(V v) {
#if defined(TGM_TARGET_wide)
  asm("" : "+m"(v));  // no register holds 64 bytes
#elif defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#else
  asm("" : "+m"(v));
#endif
  return v;
}

template <class V>
TGM_INLINE V vmax(V a, V b) {
  return ((a > b) | (a != a)) ? a : b;
}

template <class V>
TGM_INLINE V vmin(V a, V b) {
  return ((a < b) | (a != a)) ? a : b;
}

template <class V>
TGM_INLINE auto reduce_add(V v) {
  constexpr int n = sizeof(V) / sizeof(Element<V>);
  Element<V> lanes[n];
  std::memcpy(lanes, &v, sizeof v);
  for (int width = n / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// The same bits as another element type of the same width.
template <class To, class V>
TGM_INLINE To bits(V v) {
  static_assert(sizeof(To) == sizeof(V));
  To to;
  std::memcpy(&to, &v, sizeof to);
  return to;
}

}  // namespace tgm::TGM_TARGET
