// How the pooling kernels cut their work: blocks of rows of a plane, and the buffers of a block.
//
// The planes (n, c) are cut into blocks of rows whose buffers fit the first-level cache; every
// chunk has buffers of its own in the workspace. `GatherWork` goes from the image to the windows,
// `SpreadWork` from the windows to the image; both compute on flat arrays, in the layout that
// rows.hpp describes, and elements between the rows are not stored.
#pragma once

#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/workspace.hpp"
#include "kernels/pool2d/rows.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kPoolBlockBytes = 16384;  // of a block's buffers: half a first-level cache
constexpr int64_t kPoolChunks = 64;         // at most: each has buffers
constexpr int64_t kPoolRowFlops = 800;      // cost of a row apart from its elements, in arithmetic

// Blocks of rows of all planes: the units of work.
struct PoolBlocks {
  int64_t rows, per_block, count;  // rows of a plane, and of a block; blocks of a plane

  PoolBlocks(int64_t rows, int64_t per_block)
      : rows(rows), per_block(std::clamp<int64_t>(per_block, 1, std::max<int64_t>(1, rows))) {
    count = ceil_div(rows, this->per_block);
  }
  int64_t units(const PoolShape& pool) const { return pool.planes * count; }
  Span of(int64_t block) const {
    return {block * per_block, std::min(rows, (block + 1) * per_block)};
  }
  int64_t chunks(const PoolShape& pool, int64_t flops_per_row) const {
    return std::min(kPoolChunks, chunks_for(units(pool), per_block * flops_per_row));
  }
};

// Calls visit(plane, rows) for the units of a chunk.
template <class Visit>
TGM_INLINE void for_blocks(const PoolShape& pool, const PoolBlocks& blocks, int64_t chunk,
                           int64_t n_chunks, Visit visit) {
  const Span units = span_of(blocks.units(pool), chunk, n_chunks);
  for (int64_t unit = units.first; unit < units.last; unit++) {
    visit(unit / blocks.count, blocks.of(unit % blocks.count));
  }
}

// --- from the image to the windows --------------------------------------------------------------

// A block of rows of windows, and the part of the image that they cover, in phases.
template <class T>
struct GatherWork {
  PoolShape pool;
  PhaseRow<T> row;
  int64_t row_phases;
  int64_t pitch;  // of a row of windows
  PoolBlocks blocks;
  int64_t height;  // rows of a phase of the image
  T* image;        // [row phase][phase][height][pitch]
  T* result;       // [row of windows][pitch]
  Lane<T>* marks;  // [word][row of windows][pitch]
  int64_t mark_plane;
  T* divisors;       // [pitch], of an average
  int64_t* offsets;  // [position of a window]
  size_t bytes;      // of one chunk

  GatherWork(const PoolShape& pool, char* workspace, int64_t chunk)
      : pool(pool),
        row(pool, reached_columns(pool)),
        row_phases(std::min(pool.stride[0], pool.window[0])),
        pitch(pool.pooled[1] + (pool.window[1] - 1) / pool.stride[1]),
        blocks(pool.pooled[0], block_rows()),
        height(blocks.per_block + (pool.window[0] - 1) / pool.stride[0]) {
    row.set_plane(whole_vectors<T>(height * pitch + (pool.window[1] - 1) / pool.stride[1]) +
                  kLanes<T>);
    mark_plane = whole_vectors<T>(blocks.per_block * pitch);
    layout(nullptr);
    layout(workspace + chunk * static_cast<int64_t>(bytes));
  }

  int64_t chunks() const {
    return blocks.chunks(pool, kPoolRowFlops * (1 + pool.stride[0]) + pitch * pool.positions() * 8);
  }

  // Fills the pads and the table of offsets.
  void prepare(T padding) const {
    std::fill_n(image, row_phases * row.phases * row.plane, padding);
    for (int64_t t = 0; t < pool.positions(); t++) {
      const int64_t r = t / pool.window[1], c = t % pool.window[1];
      const int64_t phase = r % pool.stride[0] * row.phases + c % pool.stride[1];
      offsets[t] = phase * row.plane + r / pool.stride[0] * pitch + c / pool.stride[1];
    }
  }

  // Loads the part of the image that the windows of rows [span) of a plane cover.
  void load_block(const Tensor& x, int64_t plane, Span span, T padding) const {
    const PhaseRow<T> row = this->row;  // a copy that stores through T* can't alias
    const T* const pixels = plane_of<T>(x, pool, plane);
    const int64_t rows = (span.last - span.first - 1) * pool.stride[0] + pool.window[0];
    int64_t h = span.first * pool.stride[0] - pool.pad[0], phase = 0;
    T* to = image;
    for (int64_t i = 0; i < rows; i++, h++) {
      T* const target = to + phase * row.phases * row.plane;
      if (phase >= row_phases) {
        // No window covers this row.
      } else if (h >= 0 && h < pool.image[0]) {
        row.split(pixels + h * x.stride[2], x.stride[3], target);
      } else {
        for (int64_t p = 0; p < row.phases; p++)
          std::fill_n(target + p * row.plane, pitch, padding);
      }
      if (++phase == pool.stride[0]) phase = 0, to += pitch;
    }
  }

  // Windows of a block, in whole vectors.
  int64_t size(Span span) const { return whole_vectors<T>((span.last - span.first) * pitch); }

  void store_block(const Tensor& y, int64_t plane, Span span) const {
    T* const to = plane_of<T>(y, pool, plane) + span.first * y.stride[2];
    copy_rows(result, pitch, 1, span.last - span.first, pool.pooled[1], to, y.stride[2],
              y.stride[3]);
  }

 private:
  static int64_t reached_columns(const PoolShape& pool) {
    const int64_t reached = (pool.pooled[1] - 1) * pool.stride[1] + pool.window[1] - pool.pad[1];
    return std::clamp<int64_t>(reached, 0, pool.image[1]);
  }
  int64_t block_rows() const {
    const int64_t phases = row_phases * row.phases;
    const int64_t row_bytes =
        pitch * static_cast<int64_t>(sizeof(T)) * (phases + pool.mask_words());
    return kPoolBlockBytes / std::max<int64_t>(1, row_bytes) -
           (pool.window[0] - 1) / pool.stride[0];
  }
  void layout(char* start) {
    WorkspaceLayout layout{start};
    image = layout.take<T>(row_phases * row.phases * row.plane);
    result = layout.take<T>(mark_plane);
    marks = layout.take<Lane<T>>(pool.mask_words() * mark_plane);
    divisors = layout.take<T>(pitch);
    offsets = layout.take<int64_t>(pool.positions());
    bytes = layout.used;
  }
};

// --- from the windows to the image --------------------------------------------------------------

// A block of rows of the image in phases, and the rows of windows that cover it, with zeros around.
// Pixel q of the padded image is covered by windows q / stride - back, at their positions
// q % stride + back * stride: the offsets of these windows depend only on the phase.
template <class T>
struct SpreadWork {
  PoolShape pool;
  PhaseRow<T> row;
  int64_t row_phases;
  int64_t above, before;  // how far back a pixel's first window is
  int64_t pitch;          // of a row of windows, and of a phase of the image
  PoolBlocks blocks;
  int64_t height;  // rows of a phase of a block
  T* values;       // [above + height][pitch], each row behind `before` zeros
  Lane<T>* marks;  // [word][above + height][pitch]
  int64_t mark_plane;
  T* result;    // [row phase][phase][height][pitch]
  T* divisors;  // [pitch], of an average
  struct Term {
    int64_t values, marks;  // offsets
    int64_t bit;
  };
  Term* terms;   // of the pixels of one phase
  size_t bytes;  // of one chunk

  SpreadWork(const PoolShape& pool, char* workspace, int64_t chunk)
      : pool(pool),
        row(pool, pool.image[1]),
        row_phases(std::min(pool.stride[0], pool.window[0])),
        above((pool.window[0] - 1) / pool.stride[0]),
        before((pool.window[1] - 1) / pool.stride[1]),
        pitch(before + std::max(pool.pooled[1], (row.width - 1 + row.pad) / row.stride + 1)),
        blocks(pool.image[0], block_rows()),
        height((blocks.per_block - 1) / pool.stride[0] + 2) {
    row.set_plane(whole_vectors<T>(height * pitch));
    mark_plane = whole_vectors<T>((above + height) * pitch + before) + kLanes<T>;
    layout(nullptr);
    layout(workspace + chunk * static_cast<int64_t>(bytes));
  }

  int64_t chunks() const {
    return blocks.chunks(pool, kPoolRowFlops + row.phases * pitch * (above + 1) * (before + 1) * 8);
  }

  void prepare() const {
    std::fill_n(values, mark_plane, T(0));
    std::fill_n(marks, pool.mask_words() * mark_plane, Lane<T>(0));
  }

  // Loads n rows of the gradient of the windows, from h on, `pitch` apart.
  void load_gradients(const Tensor& g, int64_t plane, int64_t h, int64_t n, T* to) const {
    copy_rows(plane_of<T>(g, pool, plane) + h * g.stride[2], g.stride[2], g.stride[3], n,
              pool.pooled[1], to, pitch, 1);
  }

  // Computes one block of a plane of dx. copy(h, n, values, marks) writes n rows of windows, from h
  // on, to `values` and `marks`, `pitch` apart; marks of word k begin k * mark_plane later. Then
  // the windows of every pixel are added in C order (long_sum.hpp). kMarked: only those in which it
  // is marked.
  template <bool kMarked, class Copy>
  void spread(const Tensor& dx, int64_t plane, Span span, Copy copy) const {
    const int64_t top = span.first + pool.pad[0];
    const int64_t nearest = top / pool.stride[0];
    const int64_t n = (span.last - 1 + pool.pad[0]) / pool.stride[0] + 1 - nearest;
    const int64_t first = nearest - above, last = nearest + n;
    const int64_t begin = std::max<int64_t>(0, first);
    const int64_t end = std::max(begin, std::min(last, pool.pooled[0]));
    // Zeros around. Marks left there by another block select these zeros.
    std::fill_n(values, (begin - first) * pitch, T(0));
    std::fill_n(values + (end - first) * pitch, (last - end) * pitch, T(0));
    const int64_t at = (begin - first) * pitch + before;
    if (begin < end) copy(begin, end - begin, values + at, marks + at);
    for (int64_t phase = 0; phase < row_phases * row.phases; phase++) {
      const int64_t n_terms = list_terms(phase / row.phases, phase % row.phases);
      add_terms<kMarked>(n_terms, n * pitch, result + phase * row.plane);
    }
    const PhaseRow<T> row = this->row;  // a copy that stores through T* can't alias
    int64_t phase = top % pool.stride[0];
    const T* from = result;
    T* to = plane_of<T>(dx, pool, plane) + span.first * dx.stride[2];
    for (int64_t i = span.first; i < span.last; i++, to += dx.stride[2]) {
      if (phase < row_phases) {
        row.merge(from + phase * row.phases * row.plane, to, dx.stride[3]);
      } else {
        row.clear(to, dx.stride[3]);
      }
      if (++phase == pool.stride[0]) phase = 0, from += pitch;
    }
  }

 private:
  int64_t list_terms(int64_t row_phase, int64_t phase) const {
    const int64_t far_up = (pool.window[0] - 1 - row_phase) / pool.stride[0];
    const int64_t far_back = (pool.window[1] - 1 - phase) / pool.stride[1];
    int64_t n = 0;
    for (int64_t up = far_up; up >= 0; up--) {
      for (int64_t back = far_back; back >= 0; back--) {
        const int64_t r = row_phase + up * pool.stride[0], c = phase + back * pool.stride[1];
        const int64_t bit = r * pool.window[1] + c;
        const int64_t at = (above - up) * pitch + before - back;
        terms[n++] = {at, at + bit / kWordBits * mark_plane, bit % kWordBits};
      }
    }
    return n;
  }

  template <bool kMarked>
  void add_terms(int64_t n_terms, int64_t n, T* to) const {
    for (int64_t i = 0; i < n; i += kLanes<T>) {
      store(to + i, long_sum<Vec<T>>(n_terms, [&](int64_t t) {
              const Vec<T> x = load(values + terms[t].values + i);
              if constexpr (!kMarked) return x;
              const LaneMask<T> mask = load(marks + terms[t].marks + i);
              return where_marked<T>(mask, static_cast<int>(terms[t].bit), x);
            }));
    }
  }

  int64_t block_rows() const {
    const int64_t buffers = 1 + pool.mask_words() + row_phases * row.phases;
    const int64_t row_bytes = pitch * static_cast<int64_t>(sizeof(T)) * buffers;
    return (kPoolBlockBytes / row_bytes - above - 1) * pool.stride[0];
  }
  void layout(char* start) {
    WorkspaceLayout layout{start};
    values = layout.take<T>(mark_plane);
    marks = layout.take<Lane<T>>(pool.mask_words() * mark_plane);
    result = layout.take<T>(row_phases * row.phases * row.plane);
    divisors = layout.take<T>(pitch);
    terms = layout.take<Term>((above + 1) * (before + 1));
    bytes = layout.used;
  }
};

// choose<N>() with the constant N = the positions of a window of 2 x 2 or 3 x 3, and 0 for others:
// the compiler unrolls the loops over the positions of those two.
template <class Choose>
auto with_positions(const PoolShape& pool, Choose choose) {
  if (pool.positions() == 4) return choose.template operator()<4>();
  if (pool.positions() == 9) return choose.template operator()<9>();
  return choose.template operator()<0>();
}

// For the tables of kernels: chunks and workspace.
template <class T>
int64_t gather_chunks(const Args& args) {
  return GatherWork<T>(PoolShape(args.in[0], args.out[0], args.ints), nullptr, 0).chunks();
}

template <class T>
size_t gather_bytes(const Args& args) {
  const GatherWork<T> work(PoolShape(args.in[0], args.out[0], args.ints), nullptr, 0);
  return work.bytes * work.chunks();
}

template <class T>
int64_t spread_chunks(const Args& args) {
  return SpreadWork<T>(PoolShape(args.out[0], args.in[0], args.ints), nullptr, 0).chunks();
}

template <class T>
size_t spread_bytes(const Args& args) {
  const SpreadWork<T> work(PoolShape(args.out[0], args.in[0], args.ints), nullptr, 0);
  return work.bytes * work.chunks();
}

// For `invalid`: the geometry and the operands; x: the image, y: the pooled image, winners: null
// if there are none; n_ints: the number of the kernel's parameters. Null, or what is wrong.
inline const char* check_pool(const Args& args, int32_t n_ints, const Tensor& x, const Tensor& y,
                              const Tensor* winners) {
  if (args.n_ints != n_ints) return check_failed("takes %d integer parameters", n_ints);
  const int64_t* ints = args.ints;
  if (ints[0] < 1 || ints[1] < 1) return "the window must be 1 or more each way";
  if (ints[2] < 1 || ints[3] < 1) return "strides must be 1 or more";
  if (ints[4] < 0 || ints[5] < 0) return "padding must not be negative";
  const DType dtype = args.in[0].dtype;
  if (dtype != DType::Float32 && dtype != DType::Float64) return "computes in float32 or float64";
  if (const char* why = check_operand(x, "the image", dtype, 4, nullptr)) return why;
  if (const char* why = check_operand(y, "the pooled image", dtype, 4, nullptr)) return why;
  const WindowSizes sizes{x.shape + 2, y.shape + 2, ints, ints + 2, ints + 4};
  if (const char* why = check_windows(sizes)) return why;
  const int64_t shape[] = {x.shape[0], x.shape[1], y.shape[2], y.shape[3],
                           (ints[0] * ints[1] + 7) / 8};
  if (const char* why = check_operand(y, "the pooled image", dtype, 4, shape)) return why;
  return winners ? check_operand(*winners, "winners", DType::UInt8, 5, shape) : nullptr;
}

}  // namespace tgm::TGM_TARGET
