// conv2d_grad_filter: the filters' gradient.
//
//   x (N, C, H, W), g (N, O, OH, OW), extras (O, C, KH, KW) -> epilogue(dw, extras)
//   (the output may alias an extra: an update in place)
// ints: stride_h, stride_w, pad_h, pad_w, flip. tapes: epilogue.
//
//   dw[o] = sum over images and positions of g * (patch of x there)
//
// conv2d_pool_grad_filter: the same, the result's gradient coming from behind a pool.
//
//   x (N, C, H, W), g (N, O, PH, PW), winners uint8 (N, O, PH, PW, bytes), extras (O, C, KH, KW)
//     -> epilogue(dw, extras); the output may alias an extra, too
// ints: stride_h, stride_w, pad_h, pad_w, flip, pool_h, pool_w. tapes: epilogue.
//
//   dw[o] = sum over images and windows, over the window's winners, of g * (patch of x there)
//
// Phase 0 packs x channels last, in groups of channels. Phase 1 sums the gradients of some filters,
// in one of three ways:
//
// * Without a pool: the sums of up to three filters (six, with 32 registers) x four vectors of a
//   patch are kept in registers over a block of positions; what the block sees of a group of up to
//   four vectors of channels stays in the cache for all filters of a chunk.
// * Behind a pool only winners have a gradient: for a 2 x 2 pool that is a quarter of the dense
//   arithmetic, and those whose gradient is zero, as behind ReLU many are, are left out too. The
//   terms (gradient, location of the patch) of some blocks of windows are listed filter by filter,
//   and then, group by group, the patches are added up with the sums in registers. Groups have one
//   vector of channels, so that loads don't cross cache lines, and many windows of a group fit the
//   L1 cache.
// * Small patches behind a pool, as in a first layer, are not listed but added window by window
//   (small_patches.hpp).
#include <optional>

#include "kernel.hpp"
#include "kernels/conv2d/image_vectors_grad_filter.hpp"
#include "kernels/conv2d/patches.hpp"
#include "kernels/conv2d/small_patches.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/tile.hpp"

namespace tgm::TGM_TARGET {
namespace {

// Without a pool: filters of a set, which share what is loaded of x, and vectors of a patch.
constexpr int kFilters = 3, kSharedVectors = 4;
// Two sets are added together where 32 registers have room for their sums: x then comes half as
// often from the cache, whose bandwidth is the limit.
constexpr bool kJoinsSets = 2 * kFilters * kSharedVectors <= kAccumulators;

// Of a packed group that is worked on at once. Without a pool an eighth of L2, for seven loads
// serve twelve multiply-adds, and longer blocks of positions load and store the sums less often.
constexpr int64_t kBlockBytes = 64 * 1024, kPoolBlockBytes = 20 * 1024;

constexpr int64_t kListBytes = 192 * 1024;      // of terms, one for each window
constexpr int64_t kRoomBytes = 8 * kListBytes;  // for them, should all positions tie
constexpr int64_t kFlopsPerWindow = 40;         // of listing a term, roughly
constexpr int64_t kStripFlops = 128;  // of packing a strip's vector, and finding what is live

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.out[0], args); }

template <class T>
bool is_small(const ConvShape& s) {
  return s.pooled && Strips<T>(s).fit(s);
}

// Without a pool, groups of equal size, of up to kSharedVectors vectors. Behind a pool, one vector;
// but few channels stay together, as filled up to a vector they would be mostly zeros, and so do
// those of small patches.
template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  if (is_small<T>(s)) return {s, s.C};
  if (s.pooled) return {s, std::clamp<int64_t>(s.C, 1, kLanes<T>)};
  const int64_t count = std::max<int64_t>(1, ceil_div(s.C, kSharedVectors * kLanes<T>));
  return {s, std::max<int64_t>(1, ceil_div(s.C, count))};
}

template <class T>
int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t flops = is_small<T>(s)
                            ? kStripFlops * s.padded_h() * s.OW * ceil_div(s.KW * s.C, kLanes<T>)
                            : kPackFlops * s.C * s.H * s.W;
  return std::clamp<int64_t>(chunks_for(s.N, flops), 1, kMaxStrips);
}

// A chunk is a number of sets of filters: several, that share what comes to the L1 cache of x, but
// there are enough chunks. Behind a pool, a set is one filter.
int64_t filter_sets(const ConvShape& s) { return ceil_div(s.O, s.pooled ? 1 : kFilters); }
Span filters_of(const ConvShape& s, Span sets) {
  const int64_t n = filter_sets(s);
  return {span_of(s.O, sets.first, n).first, span_of(s.O, sets.last, n).first};
}

int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t sets = filter_sets(s);
  const int64_t window = 2 * s.taps() + (s.pooled ? kFlopsPerWindow : 0);
  const int64_t flops = s.N * s.PH * s.PW * window + s.taps() * (4 + epilogue_cost(*args.tapes[0]));
  const int64_t most =
      s.pooled ? std::clamp<int64_t>(s.O / 32, 4, 16) : std::max<int64_t>(4, sets / 10);
  return std::min(chunks_for(sets, s.O * flops / std::max<int64_t>(1, sets)), most);
}

// Some windows of some images.
struct WindowBlock {
  Span images, rows, columns;
  bool ends_run;
};

// Windows, or positions where there is no pool, in blocks that see at most `bytes` of a group of
// channels, or one row of windows: those of some images, or some rows of one image's. Of many
// positions, a block has no more than a run (long_sum.hpp), and rows may be cut, too.
template <class T>
struct WindowBlocks {
  int64_t images, rows, columns;  // of windows
  int64_t image_blocks, row_blocks, column_blocks, count;
  int64_t windows;  // of a block, at most
  int64_t in_run;   // blocks of a run

  WindowBlocks(const ConvShape& s, const PatchImages<T>& packed)
      : images(s.N), rows(s.PH), columns(s.PW) {
    const int64_t run = run_length(s.N * s.PH * s.PW * s.pool_size()) / s.pool_size();  // windows
    const int64_t bytes = s.pooled ? kPoolBlockBytes : kBlockBytes;
    const int64_t row_bytes = std::max<int64_t>(1, packed.row * sizeof(T));
    const int64_t image_bytes = row_bytes * s.padded_h();
    const int64_t fit = (bytes / row_bytes - s.KH) / s.stride_h + 1;  // rows of positions
    const int64_t most = image_bytes <= bytes
                             ? s.PH
                             : std::clamp<int64_t>(fit / s.pool_h, 1, std::max<int64_t>(1, s.PH));
    const auto cut = [](int64_t n, int64_t size) {
      return ceil_div(n, std::max<int64_t>(1, size));
    };
    const int64_t line = std::max<int64_t>(1, s.PW), plane = std::max<int64_t>(1, s.PH * s.PW);
    image_blocks = cut(s.N, std::min(bytes / std::max<int64_t>(1, image_bytes), run / plane));
    row_blocks = cut(s.PH, std::min(most, run / line));
    column_blocks = cut(s.PW, run);
    count = image_blocks * row_blocks * column_blocks;
    windows = count == 0 ? 0
                         : ceil_div(s.N, image_blocks) * ceil_div(s.PH, row_blocks) *
                               ceil_div(s.PW, column_blocks);
    in_run = std::max<int64_t>(1, run / std::max<int64_t>(1, windows));
  }
  WindowBlock block(int64_t number) const {
    const int64_t line = number / column_blocks;
    return {span_of(images, line / row_blocks, image_blocks),
            span_of(rows, line % row_blocks, row_blocks),
            span_of(columns, number % column_blocks, column_blocks),
            (number + 1) % in_run == 0 || number + 1 == count};
  }
};

// The sums of which the filters' gradient is made. Those of a run of positions are added to totals,
// unless all are one run.
template <class T>
struct FilterSums {
  int64_t row, group, filter;  // elements of a row of sums with its padding, of a group, a filter
  T *sums, *totals;            // [o][group][kh][row]
  T* channels_last;            // [o][kh][kw][c], on the way where rows are padded
  T* result;                   // [o][c][kh][kw], before the epilogue

  FilterSums(const ConvShape& s, const ChannelGroups& groups, int64_t row, WorkspaceLayout& layout)
      : row(row), group(ceil_div(s.KH * row, kLanes<T>) * kLanes<T>), filter(groups.count * group) {
    result = layout.take<T>(s.O * s.taps());
    sums = layout.take<T>(s.O * filter);
    totals = s.N * s.PH * s.PW * s.pool_size() > kFewTerms ? layout.take<T>(s.O * filter) : sums;
    const bool padded = row != s.KW * groups.part.C;
    channels_last = layout.take<T>(padded ? s.O * groups.part.taps() : 0);
  }

  T* of(int64_t o, int64_t g = 0) const { return sums + o * filter + g * group; }
  const T* total(int64_t o, int64_t g) const { return totals + o * filter + g * group; }

  void clear(Span filters) const {
    const int64_t first = filters.first * filter, n = (filters.last - filters.first) * filter;
    std::fill_n(sums + first, n, T(0));
    std::fill_n(totals + first, n, T(0));
  }

  // Adds the sums of a run to the totals.
  void end_run(Span filters, int64_t g) const {
    if (totals == sums) return;
    for (int64_t o = filters.first; o < filters.last; o++) {
      T *const from = of(o, g), *const to = totals + (from - sums);
      for (int64_t i = 0; i < group; i += kLanes<T>) {
        store(to + i, load(to + i) + load(from + i));
        store(from + i, Vec<T>{});
      }
    }
  }
};

// The lists of terms. A block's terms are listed for all filters of a chunk, and some blocks'
// before they are added up.
template <class T>
struct TermWork {
  int32_t* single_winner;  // offset of its patch from the window's first
  Term<T>* terms;          // [chunk of phase 1][block][filter][term]
  int64_t* counts;         // [chunk of phase 1][block][filter]
  int64_t blocks;          // listed at once
  int64_t max_filters;     // of a chunk
  int64_t max_terms;       // of a filter and block, and room for one more

  TermWork(const ConvShape& s, const WindowBlocks<T>& cut, int64_t n_chunks,
           WorkspaceLayout& layout) {
    max_filters = n_chunks == 0 ? 0 : ceil_div(s.O, n_chunks);
    max_terms = cut.windows * s.pool_size() + 1;
    const int64_t term_bytes = max_filters * static_cast<int64_t>(sizeof(Term<T>));
    const int64_t fit = std::min(kListBytes / std::max<int64_t>(1, cut.windows * term_bytes),
                                 kRoomBytes / std::max<int64_t>(1, max_terms * term_bytes));
    blocks = std::clamp<int64_t>(fit, 1, std::max<int64_t>(1, cut.count));
    single_winner = layout.take<int32_t>(256 * s.winner_bytes());
    terms = layout.take<Term<T>>(n_chunks * blocks * max_filters * max_terms);
    counts = layout.take<int64_t>(n_chunks * blocks * max_filters);
  }

  int64_t list(int64_t chunk, int64_t block, int64_t filter) const {
    return (chunk * blocks + block) * max_filters + filter;
  }
};

template <class T>
struct Work {
  WorkspaceLayout layout;
  ChannelGroups groups;
  PatchRows<T> rows;
  PatchImages<T> packed;
  WindowBlocks<T> blocks;
  FilterSums<T> sums;
  T* images = nullptr;  // [group][n][h][w][c]
  std::optional<TermWork<T>> by_term;
  std::optional<SmallPatches<T>> small;

  Work(const Args& args, const ConvShape& s, char* workspace)
      : layout{workspace},
        groups(channel_groups<T>(s)),
        rows(groups.part, s.pooled ? kMaxPatchVectors : kSharedVectors),
        packed(groups.part),
        blocks(s, packed),
        sums(s, groups, is_small<T>(s) ? s.KW * s.C : rows.padded(), layout) {
    if (is_small<T>(s)) {
      small.emplace(s, pack_chunks<T>(args), filter_chunks(args), layout);
    } else {
      images = layout.take<T>(packed.size(groups.count * s.N));
      if (s.pooled) by_term.emplace(s, blocks, filter_chunks(args), layout);
    }
  }
};

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, s, args.workspace);
  const Span span = span_of(s.N, chunk, n_chunks);
  if (work.small) return work.small->pack(args.in[0], span, chunk);
  for (int64_t n = span.first; n < span.last; n++) {
    for (int64_t group = 0; group < work.groups.count; group++) {
      T* to = work.images + (group * s.N + n) * work.packed.image;
      pack_patch_image(work.groups, group, args.in[0], n, to);
    }
  }
  if (chunk > 0) return;
  std::fill_n(work.images + work.groups.count * s.N * work.packed.image, kLanes<T>, T(0));
  if (!work.by_term) return;
  fill_single_winner(s, work.by_term->single_winner, [&](int64_t p) {
    return p / s.pool_w * s.stride_h * work.packed.row +
           p % s.pool_w * s.stride_w * work.groups.part.C;
  });
}

// ---- without a pool ----

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
void add_plane(const Plane<T>& plane) {
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

// ---- behind a pool, by terms ----

// By its bits: compiles to fewer instructions than the comparison. NaN is not zero.
template <class T>
TGM_INLINE bool is_not_zero(T x) {
  return (bits<Bits<T>>(x) << 1) != 0;
}

// Lists the terms of a row of n windows, `step` apart from `offset` on, by one byte of the winners
// of each. Returns the end of the list.
//
// Whether a gradient counts can't be foreseen, so there is no branch on it: a term is written, and
// kept if it counts. That a window has not just one winner is rare, or comes in runs.
template <class T>
TGM_NOINLINE Term<T>* list_row(const int32_t* single_winner, const T* factors, int64_t factor_step,
                               const uint8_t* masks, int64_t mask_step, int64_t offset,
                               int64_t step, int64_t n, Term<T>* next) {
  for (; n > 0; n--) {
    const T factor = *factors;
    unsigned mask = *masks;
    const int32_t inside = single_winner[mask];
    *next = {factor, static_cast<int32_t>(offset + inside)};
    if (inside < 0) [[unlikely]] {
      for (; mask != 0 && is_not_zero(factor); mask &= mask - 1) {
        *next++ = {factor, static_cast<int32_t>(offset + single_winner[mask & -mask])};
      }
    } else {
      next += is_not_zero(factor);
    }
    factors += factor_step;
    masks += mask_step;
    offset += step;
  }
  return next;
}

// The terms of a block of windows for one filter; offsets count from the block's first image.
// Returns their number.
template <class T>
int64_t list_block(const Args& args, const ConvShape& s, const Work<T>& work,
                   const WindowBlock& block, int64_t o, Term<T>* terms) {
  const Span images = block.images, rows = block.rows, columns = block.columns;
  const Tensor &g = args.in[1], &winners = args.in[2];
  const int64_t *stride = winners.stride, step = s.pool_w * s.stride_w * work.groups.part.C;
  Term<T>* next = terms;
  for (int64_t n = images.first; n < images.last; n++) {
    for (int64_t h = rows.first; h < rows.last; h++) {
      const T* factors = g.as<T>() + n * g.stride[0] + o * g.stride[1] + h * g.stride[2] +
                         columns.first * g.stride[3];
      const uint8_t* masks = winners.as<uint8_t>() + n * stride[0] + o * stride[1] + h * stride[2] +
                             columns.first * stride[3];
      const int64_t offset = (n - images.first) * work.packed.image +
                             h * s.pool_h * s.stride_h * work.packed.row + columns.first * step;
      for (int64_t byte = 0; byte < s.winner_bytes(); byte++) {
        next = list_row(work.by_term->single_winner + 256 * byte, factors, g.stride[3],
                        masks + byte * stride[4], stride[3], offset, step,
                        columns.last - columns.first, next);
      }
    }
  }
  return next - terms;
}

// Adds the lists of some filters for a block of windows, for one group of channels, to their sums.
template <class T>
void add_lists(const Work<T>& work, const T* images, int64_t first_list, int64_t n_filters,
               T* sums) {
  const TermWork<T>& lists = *work.by_term;
  for (int64_t i = 0; i < work.rows.blocks(); i++) {
    const PatchBlock part = work.rows.block(i);
    const auto add = find_add_patch_block<T>(part);
    T* to = sums + part.row * work.sums.row + part.vector * kLanes<T>;
    for (int64_t f = 0; f < n_filters; f++, to += work.sums.filter) {
      const int64_t list = first_list + f, n = lists.counts[list];
      if (n == 0) continue;
      add(images + work.packed.offset(part), work.packed.row, lists.terms + list * lists.max_terms,
          n, to, work.sums.row);
    }
  }
}

template <class T>
void add_by_term(const Args& args, const ConvShape& s, const Work<T>& work, int64_t chunk,
                 Span filters) {
  const TermWork<T>& lists = *work.by_term;
  const int64_t n_filters = filters.last - filters.first;
  for (int64_t first = 0; first < work.blocks.count; first += lists.blocks) {
    const int64_t n_blocks = std::min(lists.blocks, work.blocks.count - first);
    for (int64_t b = 0; b < n_blocks; b++) {
      const WindowBlock block = work.blocks.block(first + b);
      for (int64_t f = 0; f < n_filters; f++) {
        const int64_t list = lists.list(chunk, b, f);
        lists.counts[list] = list_block(args, s, work, block, filters.first + f,
                                        lists.terms + list * lists.max_terms);
      }
    }
    for (int64_t group = 0; group < work.groups.count; group++) {
      for (int64_t b = 0; b < n_blocks; b++) {
        const WindowBlock block = work.blocks.block(first + b);
        const int64_t image = group * s.N + block.images.first;
        add_lists(work, work.images + image * work.packed.image, lists.list(chunk, b, 0), n_filters,
                  work.sums.of(filters.first, group));
        if (block.ends_run) work.sums.end_run(filters, group);
      }
    }
  }
}

// ---- all ----

// The sums of a group of channels, in the order in which x meets the filter, to the filter's
// gradient [c][kh][kw].
template <class T>
void unpack(const ConvShape& s, const Work<T>& work, int64_t o, int64_t group) {
  const FilterSums<T>& sums = work.sums;
  const ConvShape& part = work.groups.part;
  const int64_t taps = s.KH * s.KW, size = work.groups.size(group);
  const T* from = sums.total(o, group);
  T* to = sums.result + o * s.taps() + work.groups.first(group) * taps;
  if (sums.row != s.KW * part.C) {
    T* const buffer = sums.channels_last + o * part.taps();
    copy_taps(part, from, sums.row, buffer, s.KW * part.C);
    transpose(buffer, part.C, to, taps, taps, size);
  } else if (s.flip) {
    transpose(from + (taps - 1) * part.C, -part.C, to, taps, taps, size);
  } else {
    transpose(from, part.C, to, taps, taps, size);
  }
}

template <class T>
void sum_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, s, args.workspace);
  const Span sets = span_of(filter_sets(s), chunk, n_chunks), filters = filters_of(s, sets);
  const int64_t n_filters = filters.last - filters.first;
  work.sums.clear(filters);
  if (work.small) {
    work.small->add(args.in[1], args.in[2], filters, chunk, work.sums.of(filters.first),
                    work.sums.filter, [&](Span some) { work.sums.end_run(some, 0); });
  } else if (work.by_term) {
    add_by_term(args, s, work, chunk, filters);
  } else {
    add_all_positions(args, s, work, sets);
  }
  for (int64_t o = filters.first; o < filters.last; o++) {
    for (int64_t group = 0; group < work.groups.count; group++) unpack(s, work, o, group);
  }
  const int64_t taps = s.taps();
  finish_tile(*args.tapes[0],
              {reinterpret_cast<const char*>(work.sums.result + filters.first * taps), taps, 0, 0,
               filters.first, n_filters, 0, taps},
              args.in + (s.pooled ? 3 : 2), args.out[0]);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(args, shape(args), nullptr).layout.used;
}

template <class T>
const char* pool_invalid(const Args& args) {
  if (const char* why = check_conv(args, {0, kOut, 1, 2})) return why;
  return check_offsets<T>(channel_groups<T>(shape(args)));
}

constexpr Phase kPack{TGM_BY_DTYPE(pack_chunks), TGM_BY_DTYPE(pack_images)};
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

extern const Kernel conv2d_pool_grad_filter_kernel = {"conv2d_pool_grad_filter",
                                                      2,
                                                      {kPack, kSum},
                                                      TGM_BY_DTYPE(work_bytes),
                                                      TGM_BY_DTYPE(pool_invalid)};

}  // namespace tgm::TGM_TARGET
