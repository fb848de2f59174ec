// conv2d_grad_filter: the filters' gradient.
//
//   x (N, C, H, W), g (N, O, OH, OW), extras (O, C, KH, KW) -> epilogue(dw, extras)
//   (the output may alias an extra: an update in place)
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
//   dw[o] = sum over images and positions of g * (patch of x there)
//
// Phase 0 packs x channels last, in groups of up to four vectors of channels. Phase 1 keeps the
// sums of up to three filters x four vectors of a patch in registers while it goes over a block of
// positions; what the block sees of a group stays in the cache for all filters of a chunk.
#include "kernel.hpp"
#include "kernels/conv2d/patch_rows.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/registers.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int kFilters = 3;        // that share what is loaded of x
constexpr int kSharedVectors = 4;  // of a patch

// Of packed channels that are worked on at once: an eighth of L2, for seven loads serve twelve
// multiply-adds, and longer walks over positions load and store the sums less often.
constexpr int64_t kBlockBytes = 64 * 1024;

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.out[0], args); }

// Groups of equal size, of up to kSharedVectors vectors.
template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  const int64_t count = std::max<int64_t>(1, ceil_div(s.C, kSharedVectors * kLanes<T>));
  return {s, std::max<int64_t>(1, ceil_div(s.C, count))};
}

template <class T>
struct Work {
  WorkspaceLayout layout;
  ChannelGroups groups;
  PatchRows<T> rows;
  PatchImages<T> packed;
  FilterSums<T> sums;
  T* images;  // [group][n][h][w][c]

  Work(const ConvShape& s, char* workspace)
      : layout{workspace},
        groups(channel_groups<T>(s)),
        rows(groups.part, kSharedVectors),
        packed(groups.part),
        sums(s, groups, rows.padded(), layout),
        images(layout.take<T>(packed.size(groups.count * s.N))) {}
};

// The positions of one image under a patch block, and the block's sums for F filters.
template <class T>
struct Plane {
  const T* x;   // first position's patch
  int64_t row;  // from one row of the image to the next
  int64_t step_h, step_w;
  const T* g;  // first filter, first position
  int64_t g_filter, g_h, g_w;
  int64_t height, width;
  T* sums;
  int64_t sums_filter, sums_row;
};

template <class T, int F, int R, int V>
void add_plane(const Plane<T>& plane) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[F][R][V];
  auto each = [&](auto visit) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int f = 0; f < F; f++) {
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
          visit(sum[f][r][v], plane.sums + f * plane.sums_filter + r * plane.sums_row + v * L);
        }
      }
    }
  };
  each([](Vec<T>& s, const T* from) { s = load(from); });
  for (int64_t h = 0; h < plane.height; h++) {
    const T* x = plane.x + h * plane.step_h;
    const T* g = plane.g + h * plane.g_h;
    for (int64_t w = 0; w < plane.width; w++, x += plane.step_w, g += plane.g_w) {
      Vec<T> patch[R][V];
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) patch[r][v] = load(x + r * plane.row + v * L);
      }
#pragma GCC unroll 4
      for (int f = 0; f < F; f++) {
        const Vec<T> factor = splat<T>(g[f * plane.g_filter]);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
          for (int v = 0; v < V; v++) sum[f][r][v] = fmadd(factor, patch[r][v], sum[f][r][v]);
        }
      }
    }
  }
  each([](Vec<T>& s, T* to) { store(to, s); });
}

template <class T, int F>
void add_plane_of(const Plane<T>& plane, int64_t rows, int64_t vectors) {
  if (rows == 1) {
    if (vectors == 1) return add_plane<T, F, 1, 1>(plane);
    if (vectors == 2) return add_plane<T, F, 1, 2>(plane);
    if (vectors == 3) return add_plane<T, F, 1, 3>(plane);
    return add_plane<T, F, 1, 4>(plane);
  }
  if (vectors == 2) return add_plane<T, F, 2, 2>(plane);
  if (rows == 2) return add_plane<T, F, 2, 1>(plane);
  if (rows == 3) return add_plane<T, F, 3, 1>(plane);
  return add_plane<T, F, 4, 1>(plane);
}

int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return std::max<int64_t>(1, chunks_for(s.N, kPackFlops * s.C * s.H * s.W));
}

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  pack_patch_images(work.groups, args.in[0], chunk, n_chunks, work.images);
}

// A chunk is a number of sets of filters: some, that share what comes to the L1 cache of x.
int64_t filter_sets(const ConvShape& s) { return ceil_div(s.O, kFilters); }

int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t sets = filter_sets(s);
  const int64_t flops =
      s.O * s.taps() * (2 * s.N * s.OH * s.OW + 4 + epilogue_cost(*args.tapes[0]));
  return std::min(chunks_for(sets, flops / std::max<int64_t>(1, sets)),
                  std::max<int64_t>(4, sets / 10));
}

// Adds the positions of a block, its images at `x`, to a group's sums of the filters `o`.
template <class T>
void add_block(const ConvShape& s, const Work<T>& work, const T* x, const Tensor& g, Span images,
               Span lines, Span o, int64_t group) {
  const PatchRows<T>& rows = work.rows;
  const PatchImages<T>& packed = work.packed;
  for (int64_t block = 0; block < rows.blocks(); block++) {
    const Span r = rows.block_rows(block), v = rows.block_vectors(block);
    const int64_t down = r.last - r.first, across = v.last - v.first;
    for (int64_t image = images.first; image < images.last; image++) {
      const int64_t first_line =
          (image - images.first) * packed.image + (lines.first * s.stride_h + r.first) * packed.row;
      const Plane<T> plane{
          x + first_line + v.first * kLanes<T>,
          packed.row,
          s.stride_h * packed.row,
          s.stride_w * work.groups.part.C,
          g.as<T>() + image * g.stride[0] + o.first * g.stride[1] + lines.first * g.stride[2],
          g.stride[1],
          g.stride[2],
          g.stride[3],
          lines.last - lines.first,
          s.OW,
          work.sums.of(o.first, group) + r.first * rows.padded() + v.first * kLanes<T>,
          work.sums.filter,
          rows.padded()};
      with_width<kFilters>(o.last - o.first,
                           [&]<int F>() { add_plane_of<T, F>(plane, down, across); });
    }
  }
}

template <class T>
void sum_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  const WindowBlocks<T> blocks(s, work.packed, kBlockBytes);
  const Span sets = span_of(filter_sets(s), chunk, n_chunks);
  const Span filters{span_of(s.O, sets.first, filter_sets(s)).first,
                     span_of(s.O, sets.last, filter_sets(s)).first};
  work.sums.clear(filters);
  for (int64_t group = 0; group < work.groups.count; group++) {
    for (int64_t block = 0; block < blocks.count; block++) {
      const Span images = blocks.images_of(block);
      const T* x = work.images + (group * s.N + images.first) * work.packed.image;
      for (int64_t set = sets.first; set < sets.last; set++) {
        add_block(s, work, x, args.in[1], images, blocks.rows_of(s, block),
                  span_of(s.O, set, filter_sets(s)), group);
      }
    }
  }
  work.sums.finish(args, filters, 2);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(shape(args), nullptr).layout.used;
}

const char* invalid(const Args& args) { return check_conv(args, {0, kOut, 1, -1, 2, false}); }

}  // namespace

extern const Kernel conv2d_grad_filter_kernel = {
    "conv2d_grad_filter",
    2,
    {{pack_chunks, TGM_BY_DTYPE(pack_images)}, {filter_chunks, TGM_BY_DTYPE(sum_filters)}},
    TGM_BY_DTYPE(work_bytes),
    invalid};

}  // namespace tgm::TGM_TARGET
