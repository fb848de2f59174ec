// conv2d_grad_filter: the filters' gradient.
//
//   x (N, C, H, W), g (N, O, OH, OW), extras (O, C, KH, KW) -> epilogue(dw, extras)
//   (the output may alias an extra: an update in place)
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
//   dw[o] = sum over images and positions of g * (patch of x there)
//
// Phase 0 packs x channels last, in groups of channels. Phase 1 sums the gradients of some filters:
// the sums of up to three (six, with 32 registers) x four vectors of a patch are kept in registers
// over a block of positions; what the block sees of a group of up to four vectors of channels stays
// in the cache for all filters of a chunk.
#include "kernel.hpp"
#include "kernels/conv2d/filter_sums.hpp"
#include "kernels/conv2d/image_vectors_grad_filter.hpp"
#include "kernels/core/by_dtype.hpp"

namespace tgm::TGM_TARGET {

template void pack_patch_image(const ChannelGroups&, int64_t, const Tensor&, int64_t, float*);
template void pack_patch_image(const ChannelGroups&, int64_t, const Tensor&, int64_t, double*);
template void finish_filters(const Args&, const ConvShape&, const ChannelGroups&,
                             const FilterSums<float>&, Span);
template void finish_filters(const Args&, const ConvShape&, const ChannelGroups&,
                             const FilterSums<double>&, Span);

namespace {

// Filters of a set, which share what is loaded of x, and vectors of a patch.
constexpr int kFilters = 3, kSharedVectors = 4;
// Two sets are added together where 32 registers have room for their sums: x then comes half as
// often from the cache, whose bandwidth is the limit.
constexpr bool kJoinsSets = 2 * kFilters * kSharedVectors <= kAccumulators;

// Of a packed group that is worked on at once: an eighth of L2, for seven loads serve twelve
// multiply-adds, and longer blocks of positions load and store the sums less often.
constexpr int64_t kBlockBytes = 64 * 1024;

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.out[0], args); }

// Of equal size, of up to kSharedVectors vectors.
template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  const int64_t count = std::max<int64_t>(1, ceil_div(s.C, kSharedVectors * kLanes<T>));
  return {s, std::max<int64_t>(1, ceil_div(s.C, count))};
}

int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return std::clamp<int64_t>(chunks_for(s.N, kPackFlops * s.C * s.H * s.W), 1, kMaxStrips);
}

// A chunk is a number of sets of filters: several, that share what comes to the L1 cache of x, but
// there are enough chunks.
int64_t filter_sets(const ConvShape& s) { return ceil_div(s.O, kFilters); }
Span filters_of(const ConvShape& s, Span sets) {
  const int64_t n = filter_sets(s);
  return {span_of(s.O, sets.first, n).first, span_of(s.O, sets.last, n).first};
}

int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t sets = filter_sets(s);
  return std::min(filter_sum_chunks(args, s, sets, 2 * s.taps()), std::max<int64_t>(4, sets / 10));
}

template <class T>
struct Work {
  WorkspaceLayout layout;
  ChannelGroups groups;
  PatchRows<T> rows;
  PatchImages<T> packed;
  WindowBlocks<T> blocks;
  FilterSums<T> sums;
  T* images;  // [group][n][h][w][c]

  Work(const ConvShape& s, char* workspace)
      : layout{workspace},
        groups(channel_groups<T>(s)),
        rows(groups.part, kSharedVectors),
        packed(groups.part),
        blocks(s, packed, kBlockBytes),
        sums(s, groups, rows.padded(), layout),
        images(layout.take<T>(packed.size(groups.count * s.N))) {}
};

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  pack_groups(s, work.groups, args.in[0], chunk, n_chunks, work.images);
}

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

// With 32 registers, vectors of x stay in them: `rounded` hides where they come from. Else g++
// loads them anew for every filter, and most loads are from two cache lines.
template <class T, int F, int R, int V>
TGM_NOINLINE void add_plane(const Plane<T>& plane) {
  constexpr int L = kLanes<T>;
  RegisterTile<T, F, R * V> tile;
  auto sums = [&](int f, int i) {
    return plane.sums + f * plane.sums_filter + i / V * plane.sums_row + i % V * L;
  };
  tile.read(sums);
  for (int64_t h = 0; h < plane.height; h++) {
    const T* x = plane.x + h * plane.step_h;
    const T* g = plane.g + h * plane.g_h;
    for (int64_t w = 0; w < plane.width; w++, x += plane.step_w, g += plane.g_w) {
      tile.add_products([&](int f) { return splat<T>(g[f * plane.g_filter]); },
                        [&](int i) {
                          const Vec<T> vector = load(x + i / V * plane.row + i % V * L);
                          return kJoinsSets ? rounded(vector) : vector;
                        });
    }
  }
  tile.write(sums);
}

template <class T, int F>
void add_plane_of(const Plane<T>& plane, const PatchBlock& block) {
  with_width<kSharedVectors>(block.rows, [&]<int R>() {
    with_width<kSharedVectors / R>(block.vectors, [&]<int V>() { add_plane<T, F, R, V>(plane); });
  });
}

// Whether a set is added together with the one behind it: both are full.
bool joins_next(const ConvShape& s, int64_t set, int64_t end) {
  if (!kJoinsSets || set + 2 > end) return false;
  const Span both = filters_of(s, {set, set + 2});
  return both.last - both.first == 2 * kFilters;
}

// Adds the positions of a block, its images at `x`, to a group's sums of the filters `o`.
template <class T>
void add_positions(const ConvShape& s, const Work<T>& work, const T* x, const Tensor& g,
                   const WindowBlock& block, Span o, int64_t group) {
  const PatchImages<T>& packed = work.packed;
  const Span images = block.images, lines = block.rows, columns = block.columns;
  const int64_t step_w = s.stride_w * work.groups.part.C;
  for (int64_t i = 0; i < work.rows.blocks(); i++) {
    const PatchBlock part = work.rows.block(i);
    for (int64_t n = images.first; n < images.last; n++) {
      Plane<T> plane{
          x + (n - images.first) * packed.image + lines.first * s.stride_h * packed.row +
              columns.first * step_w + packed.offset(part),
          packed.row,
          s.stride_h * packed.row,
          step_w,
          g.as<T>() + n * g.stride[0] + o.first * g.stride[1] + lines.first * g.stride[2] +
              columns.first * g.stride[3],
          g.stride[1],
          g.stride[2],
          g.stride[3],
          lines.last - lines.first,
          columns.last - columns.first,
          work.sums.of(o.first, group) + part.row * work.sums.row + part.vector * kLanes<T>,
          work.sums.filter,
          work.sums.row};
      if constexpr (kJoinsSets) {
        if (o.last - o.first == 2 * kFilters) {
          add_plane_of<T, 2 * kFilters>(plane, part);
          continue;
        }
      }
      if (o.last - o.first == kFilters) {
        add_plane_of<T, kFilters>(plane, part);
        continue;
      }
      // Sets are even: one filter alone is all there are. It is computed twice, to the same sums.
      if (o.last - o.first == 1) plane.g_filter = plane.sums_filter = 0;
      add_plane_of<T, kFilters - 1>(plane, part);
    }
  }
}

template <class T>
void add_all_positions(const Args& args, const ConvShape& s, const Work<T>& work, Span sets) {
  for (int64_t group = 0; group < work.groups.count; group++) {
    for (int64_t number = 0; number < work.blocks.count; number++) {
      const WindowBlock block = work.blocks.block(number);
      const int64_t image = group * s.N + block.images.first;
      for (int64_t set = sets.first, next; set < sets.last; set = next) {
        next = joins_next(s, set, sets.last) ? set + 2 : set + 1;
        add_positions(s, work, work.images + image * work.packed.image, args.in[1], block,
                      filters_of(s, {set, next}), group);
      }
      if (block.ends_run) work.sums.end_run(filters_of(s, sets), group);
    }
  }
}

template <class T>
void sum_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(s, args.workspace);
  const Span sets = span_of(filter_sets(s), chunk, n_chunks), filters = filters_of(s, sets);
  work.sums.clear(filters);
  add_all_positions(args, s, work, sets);
  finish_filters(args, s, work.groups, work.sums, filters);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(shape(args), nullptr).layout.used;
}

constexpr Phase kPack{pack_chunks, TGM_BY_DTYPE(pack_images)};
constexpr Phase kSum{filter_chunks, TGM_BY_DTYPE(sum_filters)};

// ---- without a pool: over images where they are many, else as above ----

int64_t first_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return ImageVectorsGradFilter(s, args, nullptr).fits() ? 1 : kPack.chunks(args);
}

void run_first(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const ImageVectorsGradFilter lanes(s, args, args.workspace);
  lanes.fits() ? lanes.prepare() : kPack.run(args, chunk, n_chunks);
}

int64_t second_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const ImageVectorsGradFilter lanes(s, args, nullptr);
  return lanes.fits() ? lanes.units() : filter_chunks(args);
}

void run_second(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const ImageVectorsGradFilter lanes(s, args, args.workspace);
  lanes.fits() ? lanes.sum_unit(args, chunk) : kSum.run(args, chunk, n_chunks);
}

int64_t third_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const ImageVectorsGradFilter lanes(s, args, nullptr);
  return lanes.fits() ? lanes.finish_chunks(args) : 0;
}

void run_third(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  ImageVectorsGradFilter(s, args, args.workspace).finish(args, chunk, n_chunks);
}

size_t dense_work_bytes(const Args& args) {
  const ConvShape s = shape(args);
  const ImageVectorsGradFilter lanes(s, args, nullptr);
  return lanes.fits() ? lanes.workspace_bytes : TGM_BY_DTYPE(work_bytes)(args);
}

}  // namespace

extern const Kernel conv2d_grad_filter_kernel = {
    "conv2d_grad_filter",
    3,
    {{first_chunks, run_first}, {second_chunks, run_second}, {third_chunks, run_third}},
    dense_work_bytes,
    [](const Args& args) { return check_conv(args, {0, kOut, 1}); }};

}  // namespace tgm::TGM_TARGET
