// gemm's inner loop: rows of a times strips of b, and where the sums go.
#pragma once

#include "kernels/core/chunks.hpp"
#include "kernels/core/tile.hpp"
#include "kernels/core/transpose.hpp"

namespace tgm::TGM_TARGET {

// Where sums go. Most epilogues work on a buffer of sums (kernels/core/tile.hpp); a step of
// descent, which reads and writes a large matrix for few terms a sum, is carried out on the
// registers.
template <class T>
struct Finish {
  enum Kind { kWrite, kDescend, kDecay } kind;  // out = x; old - rate x; old - rate (x + decay old)
  T* out;
  int64_t out_row;
  const T* old;
  int64_t old_row;
  T rate, decay;
  int64_t overlap;  // lanes that the last vector shares with the one before it, not written
};

// Vectors of columns of b.
template <class T>
struct StripsOfB {
  const T* data;
  int64_t step, vector;  // from one to the next, in elements
  int64_t overlap;       // by which the last vector begins earlier, in elements
};

// A group of rows of a, strips of b side by side, some steps of k.
template <class T>
struct StripProduct {
  const T* a;
  int64_t a_row, a_step;
  StripsOfB<T> b;
  const T* sums;  // so far; null: none, they start at zero
  int64_t sums_row;
  // Where they are complete: how many further sums they are added to, laid out as they are. The
  // first are at `level`, each other kTileElements before.
  const T* level;
  int64_t joins;
  int64_t steps;
  Finish<T> finish;
};

constexpr int64_t kAhead = 8;  // steps of k that b is fetched before its use

// The last vectors of `rows` rows, but for their first `overlap` lanes, to out, out + out_row, ...
// Out of line and for all rows at once: a call per row would take the sums out of their registers.
template <class T>
TGM_NOINLINE void store_last(T* out, int64_t out_row, const T* last, int rows, int64_t overlap) {
  for (int r = 0; r < rows; r++, out += out_row, last += kLanes<T>) {
    copy_part(out, last + overlap, kLanes<T> - overlap);
  }
}

// Stores the rows of a strip; `row(r, value)` computes the vectors of one.
template <class T, int R, int V, class Row>
TGM_INLINE void store_rows(T* out, int64_t out_row, int64_t overlap, Row row) {
  constexpr int64_t last = (V - 1) * kLanes<T>;
  alignas(kVectorBytes) T buffer[R][kLanes<T>];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    Vec<T> value[V];
    row(r, value);
    T* const to = out + r * out_row;
#pragma GCC unroll 8
    for (int v = 0; v < V - 1; v++) store(to + v * kLanes<T>, value[v]);
    store(overlap == 0 ? to + last : buffer[r], value[V - 1]);
  }
  if (overlap != 0) store_last(out + last, out_row, buffer[0], R, overlap);
}

template <class T, int R, int V>
TGM_INLINE void finish_strip(Finish<T> finish, const Vec<T> (&sum)[R][V], int64_t column) {
  constexpr int L = kLanes<T>;
  T* const out = finish.out + column;
  const T* const old = finish.old + column;
  const int64_t overlap = finish.overlap;
  // of(sum, old); all of a row is read before any of it is written: the last vector overlaps its
  // neighbour.
  const auto update = [&](auto of) __attribute__((always_inline)) {
    store_rows<T, R, V>(out, finish.out_row, overlap, [&](int r, Vec<T>* value) {
      const T* const from = old + r * finish.old_row;
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) {
        value[v] = of(sum[r][v], load(from + v * L - (v == V - 1 ? overlap : 0)));
      }
    });
  };
  const Vec<T> rate = splat(finish.rate), decay = splat(finish.decay);
  switch (finish.kind) {
    case Finish<T>::kWrite:
      return store_rows<T, R, V>(out, finish.out_row, overlap, [&](int r, Vec<T>* value) {
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) value[v] = sum[r][v];
      });
    case Finish<T>::kDescend:
      return update([&](Vec<T> x, Vec<T> before) { return before - rounded(rate * x); });
    case Finish<T>::kDecay:
      return update([&](Vec<T> x, Vec<T> before) {
        return before - rounded(rate * (x + rounded(decay * before)));
      });
  }
}

template <class T, int R, int V>
TGM_NOINLINE void add_strips(const StripProduct<T>& strips, int64_t count) {
  constexpr int L = kLanes<T>;
  const T* a[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) a[r] = strips.a + r * strips.a_row;
  for (int64_t strip = 0; strip < count; strip++) {
    Vec<T> sum[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) {
        sum[r][v] = strips.sums == nullptr
                        ? Vec<T>{}
                        : load(strips.sums + r * strips.sums_row + (strip * V + v) * L);
      }
    }
    const T* b[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) b[v] = strips.b.data + (strip * V + v) * strips.b.vector;
    b[V - 1] -= strips.b.overlap;
    int64_t a_offset = 0, b_offset = 0;
#pragma GCC unroll 2
    for (int64_t i = 0; i < strips.steps;
         i++, a_offset += strips.a_step, b_offset += strips.b.step) {
      Vec<T> row[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) row[v] = load(b[v] + b_offset);
      // Rows of b in place are too far apart for the processor to foresee the next one.
      __builtin_prefetch(b[0] + b_offset + kAhead * strips.b.step);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Vec<T> factor = splat<T>(a[r][a_offset]);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[r][v] = fmadd(factor, row[v], sum[r][v]);
      }
    }
    const T* level = strips.level + strip * V * L;
    for (int64_t i = 0; i < strips.joins; i++, level -= kTileElements) {
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
          sum[r][v] = load(level + r * strips.sums_row + v * L) + sum[r][v];
        }
      }
    }
    finish_strip(strips.finish, sum, strip * V * L);
  }
}

}  // namespace tgm::TGM_TARGET
