// conv2d_pool_grad_filter: the filters' gradient, the result's coming from behind a pool.
//
//   x (N, C, H, W), g (N, O, PH, PW), winners uint8 (N, O, PH, PW, bytes), extras (O, C, KH, KW)
//     -> epilogue(dw, extras); the output may alias an extra: an update in place
// ints: stride_h, stride_w, pad_h, pad_w, flip, pool_h, pool_w. tapes: epilogue.
//
//   dw[o] = sum over images and windows, over the window's winners, of g * (patch of x there)
//
// Only winners have a gradient: for a 2 x 2 pool that is a quarter of the dense arithmetic, and
// those whose gradient is zero, as behind ReLU many are, are left out too. Phase 0 packs x channels
// last, in groups of channels. Phase 1 sums the gradients of some filters, in one of two ways:
//
// * The terms (gradient, location of the patch) of some blocks of windows are listed filter by
//   filter, and then, group by group, the patches are added up with the sums in registers. Groups
//   have one vector of channels, so that loads don't cross cache lines, and many windows of a group
//   fit the L1 cache.
// * Small patches, as in a first layer, are not listed but added window by window
//   (small_patches.hpp).
#include <optional>

#include "kernel.hpp"
#include "kernels/conv2d/filter_sums.hpp"
#include "kernels/conv2d/small_patches.hpp"
#include "kernels/core/by_dtype.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kBlockBytes = 20 * 1024;      // of a packed group that is worked on at once
constexpr int64_t kListBytes = 192 * 1024;      // of terms, one for each window
constexpr int64_t kRoomBytes = 8 * kListBytes;  // for them, should all positions tie
constexpr int64_t kFlopsPerWindow = 40;         // of listing a term, roughly
constexpr int64_t kImagesAhead = 8;   // whose gradients are requested while terms are listed
constexpr int64_t kStripFlops = 128;  // of packing a strip's vector, and finding what is live

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.out[0], args); }

template <class T>
bool is_small(const ConvShape& s) {
  return Strips<T>(s).fit(s);
}

// Of one vector; but few channels stay together, as filled up to a vector they would be mostly
// zeros, and so do those of small patches.
template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  if (is_small<T>(s)) return {s, s.C};
  return {s, std::clamp<int64_t>(s.C, 1, kLanes<T>)};
}

template <class T>
int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t flops = is_small<T>(s)
                            ? kStripFlops * s.padded_h() * s.OW * ceil_div(s.KW * s.C, kLanes<T>)
                            : kPackFlops * s.C * s.H * s.W;
  return std::clamp<int64_t>(chunks_for(s.N, flops), 1, kMaxStrips);
}

// A chunk is a number of filters: several, that share what comes to the L1 cache of x, but there
// are enough chunks.
int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return std::min(filter_sum_chunks(args, s, s.O, 2 * s.taps() + kFlopsPerWindow),
                  std::clamp<int64_t>(s.O / 32, 4, 16));
}

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
        rows(groups.part),
        packed(groups.part),
        blocks(s, packed, kBlockBytes),
        sums(s, groups, is_small<T>(s) ? s.KW * s.C : rows.padded(), layout) {
    if (is_small<T>(s)) {
      small.emplace(s, pack_chunks<T>(args), filter_chunks(args), layout);
    } else {
      images = layout.take<T>(packed.size(groups.count * s.N));
      by_term.emplace(s, blocks, filter_chunks(args), layout);
    }
  }

  bool far(const ConvShape& s) const { return are_far<T>(groups.count * s.N * packed.image); }

  // As much as the images of a block are, behind them: of the next block, if images aren't cut.
  Ahead behind(const ConvShape& s, const WindowBlock& block, const T* images) const {
    const int64_t n = block.images.last - block.images.first, size = n * packed.image;
    const int64_t left = (s.N - block.images.last) * packed.image;
    if (!far(s) || blocks.row_blocks * blocks.column_blocks > 1) return {};
    return {images + size, std::min(size, left) * static_cast<int64_t>(sizeof(T))};
  }
};

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, s, args.workspace);
  if (work.small) return work.small->pack(args.in[0], span_of(s.N, chunk, n_chunks), chunk);
  pack_groups(s, work.groups, args.in[0], chunk, n_chunks, work.images);
  if (chunk > 0) return;
  fill_single_winner(s, work.by_term->single_winner, [&](int64_t p) {
    return p / s.pool_w * s.stride_h * work.packed.row +
           p % s.pool_w * s.stride_w * work.groups.part.C;
  });
}

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
        const int32_t winner = single_winner[mask & -mask];
        if (winner >= 0) *next++ = {factor, static_cast<int32_t>(offset + winner)};
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
  const bool far = work.far(s);
  Term<T>* next = terms;
  for (int64_t n = images.first; n < images.last; n++) {
    for (int64_t h = rows.first; h < rows.last; h++) {
      const T* factors = g.as<T>() + n * g.stride[0] + o * g.stride[1] + h * g.stride[2] +
                         columns.first * g.stride[3];
      const uint8_t* masks = winners.as<uint8_t>() + n * stride[0] + o * stride[1] + h * stride[2] +
                             columns.first * stride[3];
      if (far) {
        __builtin_prefetch(factors + kImagesAhead * g.stride[0]);
        __builtin_prefetch(masks + kImagesAhead * stride[0]);
      }
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
void add_lists(const Work<T>& work, const T* images, int64_t first_list, int64_t n_filters, T* sums,
               Ahead ahead) {
  const TermWork<T>& lists = *work.by_term;
  for (int64_t i = 0; i < work.rows.blocks(); i++) {
    const PatchBlock part = work.rows.block(i);
    const auto add = find_add_patch_block<T>(part);
    T* to = sums + part.row * work.sums.row + part.vector * kLanes<T>;
    for (int64_t f = 0; f < n_filters; f++, to += work.sums.filter) {
      ahead.request((work.rows.blocks() - i) * n_filters - f);
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
        const T* images = work.images + (group * s.N + block.images.first) * work.packed.image;
        add_lists(work, images, lists.list(chunk, b, 0), n_filters,
                  work.sums.of(filters.first, group), work.behind(s, block, images));
        if (block.ends_run) work.sums.end_run(filters, group);
      }
    }
  }
}

template <class T>
void sum_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, s, args.workspace);
  const Span filters = span_of(s.O, chunk, n_chunks);
  work.sums.clear(filters);
  if (work.small) {
    work.small->add(args.in[1], args.in[2], filters, chunk, work.sums.of(filters.first),
                    work.sums.filter, [&](Span some) { work.sums.end_run(some, 0); });
  } else {
    add_by_term(args, s, work, chunk, filters);
  }
  finish_filters(args, s, work.groups, work.sums, filters);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(args, shape(args), nullptr).layout.used;
}

template <class T>
const char* invalid(const Args& args) {
  if (const char* why = check_conv(args, {0, kOut, 1, 2})) return why;
  return check_offsets<T>(channel_groups<T>(shape(args)));
}

}  // namespace

extern const Kernel conv2d_pool_grad_filter_kernel = {
    "conv2d_pool_grad_filter",
    2,
    {{TGM_BY_DTYPE(pack_chunks), TGM_BY_DTYPE(pack_images)},
     {filter_chunks, TGM_BY_DTYPE(sum_filters)}},
    TGM_BY_DTYPE(work_bytes),
    TGM_BY_DTYPE(invalid)};

}  // namespace tgm::TGM_TARGET
