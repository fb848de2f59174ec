// Sums that an inner loop keeps in vector registers: how many there is room for, a rectangle of
// them, and loops whose width is a constant.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace tgm::TGM_TARGET {

// Vectors of sums that an inner loop keeps in registers. Of 16 registers, 12 leave room for three
// vectors of an operand and a broadcast value of the other; of 32, 24 leave room for six. The x86
// baseline, for processors from before 2013, has fewer: every width is a loop to compile.
#if defined(TGM_64_BYTE_VECTORS) || defined(__aarch64__)
constexpr int kAccumulators = 24;
#elif defined(TGM_TARGET_baseline) && defined(__x86_64__)
constexpr int kAccumulators = 6;
#else
constexpr int kAccumulators = 12;
#endif

// Calls f.template operator()<V>() with the constant V = width, which is 1 to kMost.
template <int kMost, class F>
TGM_INLINE void with_width(int64_t width, F&& f) {
  if constexpr (kMost == 1) {
    f.template operator()<1>();
  } else {
    if (width == kMost) return f.template operator()<kMost>();
    with_width<kMost - 1>(width, f);
  }
}

// R x V vectors of sums.
template <class T, int R, int V>
struct RegisterTile {
  Vec<T> at[R][V];

  __attribute__((always_inline)) void clear() {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) at[r][v] = Vec<T>{};
    }
  }

  // From and to memory; vector (r, v) is where(r, v).
  template <class Where>
  __attribute__((always_inline)) void read(Where where) {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) at[r][v] = load(where(r, v));
    }
  }
  template <class Where>
  __attribute__((always_inline)) void write(Where where) const {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) store(where(r, v), at[r][v]);
    }
  }

  // The same at memory[r * row + v * column].
  __attribute__((always_inline)) void read(const T* memory, int64_t row,
                                           int64_t column = kLanes<T>) {
    read([=](int r, int v) { return memory + r * row + v * column; });
  }
  __attribute__((always_inline)) void write(T* memory, int64_t row,
                                            int64_t column = kLanes<T>) const {
    write([=](int r, int v) { return memory + r * row + v * column; });
  }

  __attribute__((always_inline)) void add(const RegisterTile& other) {
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) at[r][v] += other.at[r][v];
    }
  }

  // Row r += factor * the vectors at `values`.
  __attribute__((always_inline)) void add_row(int r, Vec<T> factor, const T* values) {
#pragma GCC unroll 32
    for (int v = 0; v < V; v++) {
      at[r][v] = fmadd(factor, load(values + v * kLanes<T>), at[r][v]);
    }
  }

  // Vector (r, v) += row(r) * column(v). The columns are in registers, too; the rows come and go.
  template <class Row, class Column>
  __attribute__((always_inline)) void add_products(Row row, Column column) {
    Vec<T> columns[V];
#pragma GCC unroll 32
    for (int v = 0; v < V; v++) columns[v] = column(v);
#pragma GCC unroll 32
    for (int r = 0; r < R; r++) {
      const Vec<T> factor = row(r);
#pragma GCC unroll 32
      for (int v = 0; v < V; v++) at[r][v] = fmadd(factor, columns[v], at[r][v]);
    }
  }
};

}  // namespace tgm::TGM_TARGET
