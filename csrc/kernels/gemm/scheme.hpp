// How gemm's work is cut: what is packed, the runs of k, the blocks.
#pragma once

#include <cmath>

#include "kernels/core/chunks.hpp"
#include "kernels/core/registers.hpp"
#include "kernels/core/tile.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

constexpr int kOwn = 2;  // inputs: a and b
constexpr int kRows = 6;
constexpr int kVectors = 6;
constexpr int64_t kStep = 256;       // of k: what is used of b stays in L1
constexpr int64_t kDirectRows = 48;  // up to which b is not packed
constexpr int64_t kShallow = 64;     // up to which a is not copied, and n is not cut
constexpr int64_t kMaxBlocks = 64;
constexpr int64_t kMaxThinBlocks = 16;  // of few rows: b is streamed, in not too narrow parts
constexpr int64_t kLong = 512;          // from which on k has two runs,
constexpr int64_t kLarge = 32768;       // if b has that many elements
constexpr int64_t kManyRuns = 1024;     // from which on it has as many as it has steps
constexpr int64_t kChildren = 16;       // of a node of the tree of runs
constexpr int kMaxLevels = 5;           // of the tree: enough for k = 2^25
constexpr int64_t kJoinFlops = 4;       // of adding an element of two halves, roughly

struct Shape {
  int64_t m, n, k;
  explicit Shape(const Args& args)
      : m(args.in[0].shape[0]), n(args.in[1].shape[1]), k(args.in[0].shape[1]) {}
};

inline bool is_scalar(const Args& args, int32_t value) {
  const Tape& tape = *args.tapes[0];
  if (value >= tape.n_inputs) return true;
  const Tensor& operand = args.in[kOwn + value - 1];
  return operand.dtype == args.out[0].dtype &&
         (operand.ndim == 0 || (operand.stride[0] == 0 && operand.stride[1] == 0));
}

// Whether the epilogue is one of those that are carried out on the registers.
inline bool goes_direct(const Args& args) {
  const Tensor& out = args.out[0];
  const Tape& tape = *args.tapes[0];
  if (out.stride[1] != 1) return false;
  if (tape.is_identity()) return true;
  if (tape.form != TapeForm::Descent || tape.dtype != out.dtype) return false;
  const Tensor& old = args.in[kOwn + tape.descent.old - 1];
  return old.dtype == out.dtype && old.ndim == 2 && old.stride[1] == 1 &&
         is_scalar(args, tape.descent.rate) &&
         (tape.descent.decay < 0 || is_scalar(args, tape.descent.decay));
}

// How a product is cut and what is packed: a function of shapes and strides alone.
//
// k is cut into `runs`. Terms are added in order within a run, and the sums of the runs as a tree:
// the root adds two halves, every other node up to kChildren sums in order. So a sum of more than
// kManyRuns terms has the error of at most kStep + kChildren * (kMaxLevels - 1) + 1 roundings.
template <class T>
struct Scheme {
  Shape s;
  bool copy_a;
  bool pack_b;       // whole, in phase 0
  bool pack_strips;  // strip by strip, as they are used
  bool direct;       // sums go from the registers into the output
  int64_t runs;      // of k, at least 1
  bool split_k;      // the halves of the runs are blocks of their own
  int64_t vectors;   // of columns
  int64_t row_blocks, column_blocks;
  T *a, *b;
  T* halves;  // two matrices (m, n), if split_k
  size_t bytes;

  Scheme(const Args& args, char* workspace) : s(args) {
    const Tensor &left = args.in[0], &right = args.in[1];
    vectors = ceil_div(s.n, kLanes<T>);
    copy_a = left.stride[1] != 1 && s.k > kShallow && s.n > kLanes<T>;
    const bool in_place = right.stride[1] == 1 && s.n >= kLanes<T> && s.m <= kDirectRows;
    const bool is_long = s.k >= kLong && s.k * s.n >= kLarge;
    runs = s.k >= kManyRuns ? ceil_div(s.k, kStep) : is_long ? 2 : 1;
    split_k = is_long && in_place;
    cut(2.0 * s.m * s.n * s.k + 1.0 * s.m * s.n * epilogue_cost(*args.tapes[0]));
    pack_strips = !in_place && row_blocks == 1 && s.k > kShallow && s.m <= tile_rows();
    pack_b = !in_place && !pack_strips;
    WorkspaceLayout layout{workspace};
    a = layout.take<T>(copy_a ? s.m * s.k : 0);
    b = layout.take<T>(pack_b ? vectors * s.k * kLanes<T> : 0);
    halves = layout.take<T>(split_k ? 2 * s.m * s.n : 0);
    bytes = layout.used;
    direct = s.n >= kLanes<T> && goes_direct(args);
  }

  void cut(double flops) {
    const int64_t most = s.m <= kDirectRows ? kMaxThinBlocks : kMaxBlocks;
    // Even, for two threads.
    const double wanted = flops < 2 * kChunkFlops
                              ? 1
                              : std::min<double>(most, 2 * std::floor(flops / kChunkFlops / 2));
    const int64_t max_rows = std::max<int64_t>(1, s.m / (2 * kRows));
    const int64_t max_columns = std::max<int64_t>(1, vectors / 4);
    if (split_k) {
      row_blocks = 1;
      column_blocks = std::clamp<int64_t>(std::ceil(wanted / 2), 1, max_columns);
      return;
    }
    const double rows =
        s.k <= kShallow ? wanted : std::sqrt(wanted * s.m / std::max<int64_t>(1, s.n));
    row_blocks = std::clamp<int64_t>(std::llround(rows), 1, max_rows);
    column_blocks = std::clamp<int64_t>(std::ceil(wanted / row_blocks), 1, max_columns);
    row_blocks = std::clamp<int64_t>(std::ceil(wanted / column_blocks), 1, max_rows);
  }

  // Rows of a tile as wide as a group of a block's columns (for_column_groups).
  int64_t tile_rows() const {
    const int64_t block = ceil_div(vectors, column_blocks);
    const int64_t groups =
        std::max<int64_t>(1, ceil_div(block, kTileElements / (kRows * kLanes<T>)));
    const int64_t width = std::max<int64_t>(1, ceil_div(block, groups)) * kLanes<T>;
    return kTileElements / width / kRows * kRows;
  }

  Span run(int64_t number) const { return span_of(s.k, number, runs); }
  // How many parts a node of the tree of runs has, at some depth and over n runs. Deeper ones have
  // kChildren each, as far as there are levels.
  int64_t children(int64_t n, int depth) const {
    if (depth == 0) return 2;
    int64_t size = 1;
    for (int level = depth + 1; level < kMaxLevels && size * kChildren < n; level++) {
      size *= kChildren;
    }
    return ceil_div(n, size);
  }

  int64_t column(int64_t vector) const {
    return std::min(vector * kLanes<T>, std::max<int64_t>(0, s.n - kLanes<T>));
  }
  // Lanes that a vector shares with the one before it: only of the last, and if there is another.
  int64_t overlap(int64_t vector) const { return vector * kLanes<T> - column(vector); }
  int64_t blocks() const {
    return s.m * s.n == 0 ? 0 : (split_k ? 2 : 1) * row_blocks * column_blocks;
  }
  int64_t a_chunks() const { return copy_a ? chunks_for(s.m, s.k * kPackFlops) : 0; }
  int64_t b_chunks() const {
    return pack_b ? chunks_for(vectors, s.k * kLanes<T> * kPackFlops) : 0;
  }
};

}  // namespace tgm::TGM_TARGET
