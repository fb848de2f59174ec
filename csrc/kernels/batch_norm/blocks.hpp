// What batch_norm and batch_norm_grad share: how x (A, C, B) is cut, and loops over the pieces.
//
// The first pass works on *blocks*, about 4096 values that stay in the first-level cache while
// their statistics are computed. Where B > 1, a block has rows of values of one channel, and the
// lanes of a vector are summed in the end. Where B = 1, channels are side by side: a block has
// rows of up to 64 channels, and every lane is a channel of its own. Blocks depend only on
// shapes, and their results are combined in one order, in double, so the bits don't depend on the
// threads.
//
// The last pass works on *tiles*, also of 4096 values: rows of A, and positions of C * B.
#pragma once

#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kNormBlock = 4096;     // values
constexpr int64_t kNormWidth = 64;       // channels of a block where B = 1
constexpr int64_t kNormLeastWidth = 16;  // that a row of channels fills in a buffer: a vector
constexpr int64_t kNormFlops = 8;        // of a pass, for each value, roughly

struct NormShape {
  int64_t A, C, B;
  bool across;                 // B = 1
  int64_t rows, width;         // of a block: a's; values of B, or channels
  int64_t row_blocks, pieces;  // of A; of B, or of C

  explicit NormShape(const Tensor& x)
      : A(x.shape[0]), C(x.shape[1]), B(x.shape[2]), across(B == 1) {
    width = std::max<int64_t>(1, across ? std::min(C, kNormWidth) : std::min(B, kNormBlock));
    const int64_t fit = kNormBlock / (across ? std::max(width, kNormLeastWidth) : width);
    rows = std::clamp<int64_t>(A, 1, fit);
    row_blocks = ceil_div(A, rows);
    pieces = ceil_div(across ? C : B, width);
  }

  int64_t size() const { return A * C * B; }
  int64_t values() const { return A * B; }  // of a channel
  // Blocks that a channel's values are in, and units of the first pass.
  int64_t blocks() const { return across ? row_blocks : row_blocks * pieces; }
  int64_t units() const { return row_blocks * pieces * (across ? 1 : C); }
  // How many values of a channel are in one of its blocks.
  int64_t count(int64_t block) const {
    const int64_t row = across ? block : block / pieces, piece = across ? 0 : block % pieces;
    const int64_t n = across ? 1 : std::min(B - piece * width, width);
    return std::min(A - row * rows, rows) * n;
  }

  int64_t block_chunks() const {
    return chunks_for(units(), kNormFlops * size() / std::max<int64_t>(1, units()));
  }
  int64_t channel_chunks() const { return chunks_for(C, 50 + 16 * blocks()); }

  int64_t positions() const { return C * B; }
  int64_t tile_rows() const {
    return std::clamp<int64_t>(kNormBlock / std::max<int64_t>(1, positions()), 1,
                               std::max<int64_t>(1, A));
  }
  int64_t tile_pieces() const { return ceil_div(positions(), kNormBlock); }
  int64_t tiles() const { return ceil_div(A, tile_rows()) * tile_pieces(); }
  int64_t tile_chunks(int64_t flops) const {
    return chunks_for(tiles(), flops * size() / std::max<int64_t>(1, tiles()));
  }
};

// A unit of the first pass.
struct NormBlock {
  int64_t channel;  // the first
  int64_t number;   // among the blocks of these channels
  Span a;
  int64_t first, n;  // values of B, or channels

  NormBlock(const NormShape& s, int64_t unit) {
    const int64_t rest = s.across ? unit : unit / s.C;
    const int64_t row = rest / s.pieces, piece = rest % s.pieces;
    a = {row * s.rows, std::min(s.A, (row + 1) * s.rows)};
    first = piece * s.width;
    n = std::min(s.width, (s.across ? s.C : s.B) - first);
    channel = s.across ? first : unit % s.C;
    number = s.across ? row : rest;
  }
  int64_t rows() const { return a.last - a.first; }
  int64_t count() const { return rows() * n; }
};

// Calls visit(block) for the blocks of a chunk.
template <class Visit>
TGM_INLINE void for_norm_blocks(const NormShape& s, int64_t chunk, int64_t n_chunks, Visit visit) {
  const Span units = span_of(s.units(), chunk, n_chunks);
  for (int64_t unit = units.first; unit < units.last; unit++) visit(NormBlock(s, unit));
}

// The element of a channel in a vector of C elements.
template <class T>
TGM_INLINE T& of_channel(const Tensor& t, int64_t c) {
  return t.as<T>()[c * t.stride[0]];
}

// Rows of values side by side: a tensor's own, or a copy.
template <class T>
struct NormRows {
  const T* data;
  int64_t step;

  const T* row(int64_t r) const { return data + r * step; }
};

// The values of a block. `buffer` has room for kNormBlock of them. Rows of channels that are
// shorter than a vector are padded with zeros.
template <class T>
NormRows<T> block_rows(const NormShape& s, const NormBlock& block, const Tensor& x, T* buffer) {
  const int64_t inner = s.across ? x.stride[1] : x.stride[2];
  const T* const from = x.as<T>() + block.a.first * x.stride[0] +
                        (s.across ? 0 : block.channel * x.stride[1]) + block.first * inner;
  const bool fill = s.across && block.n < kLanes<T>;
  if ((inner == 1 || block.n == 1) && !fill) return {from, x.stride[0]};
  const int64_t pitch = fill ? kLanes<T> : block.n;
  for (int64_t r = 0; r < block.rows(); r++) {
    for (int64_t i = 0; i < pitch; i++) {
      buffer[r * pitch + i] = i < block.n ? from[r * x.stride[0] + i * inner] : T(0);
    }
  }
  return {buffer, pitch};
}

// The first n lanes of v, zeros behind.
template <class T>
TGM_INLINE Vec<T> first_lanes(Vec<T> v, int64_t n) {
  using Mask = decltype(v == v);
  Mask lane;
  for (int i = 0; i < kLanes<T>; i++) lane[i] = i;
  return lane < Mask{} + static_cast<Element<Mask>>(n) ? v : Vec<T>{};
}

// The sums of K vectors each, over rows of n values: body(r, i, lanes, add) passes the terms of
// `lanes` values from i on to add(k, terms).
template <class T, int K, class Body>
TGM_INLINE void sum_rows(int64_t rows, int64_t n, T (&sums)[K], Body body) {
  constexpr int kUnroll = 4;
  constexpr int64_t L = kLanes<T>;
  Vec<T> partial[kUnroll][K] = {};
  for (int64_t r = 0; r < rows; r++) {
    int64_t i = 0;
    for (; i + kUnroll * L <= n; i += kUnroll * L) {
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; u++) {
        body(r, i + u * L, L, [&](int k, Vec<T> terms) { partial[u][k] += terms; });
      }
    }
    for (; i + L <= n; i += L) {
      body(r, i, L, [&](int k, Vec<T> terms) { partial[0][k] += terms; });
    }
    if (i < n) {
      body(r, i, n - i,
           [&](int k, Vec<T> terms) { partial[1][k] += first_lanes<T>(terms, n - i); });
    }
  }
  for (int k = 0; k < K; k++) {
    sums[k] = reduce_add((partial[0][k] + partial[1][k]) + (partial[2][k] + partial[3][k]));
  }
}

template <class T>
TGM_INLINE Vec<T> load_lanes(const T* p, int64_t lanes) {
  return lanes == kLanes<T> ? load(p) : load_part(p, lanes);
}

// The sums of K vectors each, over rows, in every lane for itself: body(r, add).
template <class T, int K, class Body>
TGM_INLINE void sum_columns(int64_t rows, Vec<T> (&sums)[K], Body body) {
  constexpr int kUnroll = 4;
  Vec<T> partial[kUnroll][K] = {};
  int64_t r = 0;
  for (; r + kUnroll <= rows; r += kUnroll) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; u++) {
      body(r + u, [&](int k, Vec<T> terms) { partial[u][k] += terms; });
    }
  }
  for (; r < rows; r++) body(r, [&](int k, Vec<T> terms) { partial[0][k] += terms; });
  for (int k = 0; k < K; k++) {
    sums[k] = (partial[0][k] + partial[1][k]) + (partial[2][k] + partial[3][k]);
  }
}

// Calls visit(i, lanes) for vectors that cover n >= 1 values, the last of them overlapping the one
// before; lanes < kLanes<T> only where n is.
template <class T, class Visit>
TGM_INLINE void for_columns(int64_t n, Visit visit) {
  constexpr int64_t L = kLanes<T>;
  if (n < L) return visit(0, n);
  for (int64_t i = 0; i + L <= n; i += L) visit(i, L);
  if (n % L) visit(n - L, L);
}

template <class T>
TGM_INLINE void store_lanes(T* p, Vec<T> v, int64_t lanes) {
  lanes == kLanes<T> ? store(p, v) : store_part(p, v, lanes);
}

// A unit of the last pass.
struct NormTile {
  Span rows, positions;

  NormTile(const NormShape& s, int64_t number) {
    const int64_t row = number / s.tile_pieces() * s.tile_rows();
    const int64_t position = number % s.tile_pieces() * kNormBlock;
    rows = {row, std::min(s.A, row + s.tile_rows())};
    positions = {position, std::min(s.positions(), position + kNormBlock)};
  }
  int64_t width() const { return positions.last - positions.first; }
  // Where a value is among those of the tile.
  int64_t index_of(int64_t a, int64_t p) const {
    return (a - rows.first) * width() + p - positions.first;
  }
};

// Calls visit(tile) for the tiles of a chunk.
template <class Visit>
TGM_INLINE void for_norm_tiles(const NormShape& s, int64_t chunk, int64_t n_chunks, Visit visit) {
  const Span tiles = span_of(s.tiles(), chunk, n_chunks);
  for (int64_t number = tiles.first; number < tiles.last; number++) visit(NormTile(s, number));
}

// Whether the positions of a row of a tensor are side by side.
inline bool is_dense(const NormShape& s, const Tensor& t) {
  return (s.B == 1 || t.stride[2] == 1) && (s.C == 1 || t.stride[1] == s.B);
}

// Calls visit(c, a, p, n, from) for runs of n values from position p of row a on: of channel c, or,
// where B = 1, one each of n channels from c on. from: these values of each of x, side by side.
template <class T, int N, class Visit>
void for_runs(const NormShape& s, const Tensor* const (&x)[N], const NormTile& tile, Visit visit) {
  alignas(64) T copy[N][kNormBlock];
  for (int64_t a = tile.rows.first; a < tile.rows.last; a++) {
    for (int64_t p = tile.positions.first, n = 0; p < tile.positions.last; p += n) {
      const int64_t c = s.across ? p : p / s.B, b = s.across ? 0 : p % s.B;
      n = s.across ? tile.positions.last - p : std::min(s.B - b, tile.positions.last - p);
      const T* from[N];
      for (int k = 0; k < N; k++) {
        const Tensor& t = *x[k];
        const int64_t inner = s.across ? t.stride[1] : t.stride[2];
        from[k] = t.as<T>() + a * t.stride[0] + c * t.stride[1] + b * t.stride[2];
        if (inner == 1 || n == 1) continue;
        for (int64_t i = 0; i < n; i++) copy[k][i] = from[k][i * inner];
        from[k] = copy[k];
      }
      visit(c, a, p, n, from);
    }
  }
}

// to[i] = f(vectors of the inputs, i, lanes) for n >= 1 values, the last vector overlapping the one
// before; lanes < kLanes<T> only where n is.
template <class T, int N, class F>
TGM_INLINE void map_run(const T* const (&from)[N], int64_t n, T* to, F f) {
  for_columns<T>(n, [&](int64_t i, int64_t lanes) {
    Vec<T> x[N];
    for (int k = 0; k < N; k++) x[k] = load_lanes(from[k] + i, lanes);
    store_lanes<T>(to + i, f(x, i, lanes), lanes);
  });
}

// For the tables of both kernels.
inline int64_t norm_block_chunks(const Args& args) { return NormShape(args.in[0]).block_chunks(); }
inline int64_t norm_channel_chunks(const Args& args) {
  return NormShape(args.in[0]).channel_chunks();
}

inline const char* check_channels(const Tensor& t, const char* name, const Tensor& x) {
  return check_operand(t, name, x.dtype, 1, x.shape + 1);
}

inline const char* check_values(const Tensor& t, const char* name, const Tensor& x) {
  return check_operand(t, name, x.dtype, 3, x.shape);
}

inline const char* check_floats(const Tensor& x) {
  const bool floats = x.dtype == DType::Float32 || x.dtype == DType::Float64;
  if (!floats) return "computes in float32 or float64";
  return x.ndim == 3 ? nullptr : "input 0 (x) must have 3 dimensions";
}

}  // namespace tgm::TGM_TARGET
