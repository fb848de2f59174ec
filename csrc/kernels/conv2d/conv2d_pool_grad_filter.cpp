// conv2d_pool_grad_filter: the filters' gradient, the result's gradient coming from behind a pool.
//
//   x (N, C, H, W), g (N, O, PH, PW), winners uint8 (N, O, PH, PW, bytes), extras (O, C, KH, KW)
//     -> epilogue(dw, extras); the output may alias an extra (an update in place)
// ints: stride_h, stride_w, pad_h, pad_w, flip, pool_h, pool_w. tapes: epilogue.
//
//   dw[o] = sum over images and windows, over the window's winners, of g * (patch of x there)
//
// Only winners have a gradient: for a 2 x 2 pool that is a quarter of the dense arithmetic, and
// those whose gradient is zero, as behind ReLU many are, are left out too. Phase 0 packs x channels
// last, in groups of one vector of channels: so loads don't cross cache lines, and many windows of
// a group fit the L1 cache. Phase 1 lists the terms (gradient, place of the patch) of some blocks
// of windows, filter by filter, and then, group by group, adds the patches up with the sums in
// registers.
// Small patches, as in a first layer, are not listed but added window by window
// (small_patches.hpp).
#include <optional>

#include "kernel.hpp"
#include "kernels/conv2d/patch_rows.hpp"
#include "kernels/conv2d/small_patches.hpp"
#include "kernels/core/by_dtype.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kBlockBytes = 20 * 1024;      // of a packed group that is worked on at once
constexpr int64_t kListBytes = 192 * 1024;      // of terms, one for each window
constexpr int64_t kRoomBytes = 8 * kListBytes;  // for them, should all positions tie
constexpr int64_t kFlopsPerWindow = 40;         // of listing a term, roughly
constexpr int64_t kStripFlops = 128;  // of packing a strip's vector, and finding what is live

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.out[0], args); }

template <class T>
bool is_small(const ConvShape& s) {
  return Strips<T>(s).fit(s);
}

template <class T>
int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t flops = is_small<T>(s)
                            ? kStripFlops * s.padded_h() * s.OW * ceil_div(s.KW * s.C, kLanes<T>)
                            : kPackFlops * s.C * s.H * s.W;
  return std::clamp<int64_t>(chunks_for(s.N, flops), 1, kMaxStrips);
}

// Some filters to a chunk, that share what comes to the L1 cache of x, but enough chunks.
int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t windows = s.N * s.PH * s.PW;
  const int64_t flops =
      windows * (2 * s.taps() + kFlopsPerWindow) + s.taps() * (4 + epilogue_cost(*args.tapes[0]));
  return std::min(chunks_for(s.O, flops), std::clamp<int64_t>(s.O / 32, 4, 16));
}

// Few channels stay together: filled up to a vector, they would be mostly zeros. So do those of
// small patches.
template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  return {s, is_small<T>(s) ? s.C : std::clamp<int64_t>(s.C, 1, kLanes<T>)};
}

// What listing terms needs.
template <class T>
struct TermWork {
  // By byte of the winners and its value: offset of the patch of the only winner from the window's
  // first; -1 where there is not exactly one.
  int32_t* single_winner;
  Term<T>* terms;       // [chunk of phase 1][block][filter][term]
  int64_t* n_terms;     // [chunk of phase 1][block][filter]
  int64_t blocks;       // that are listed before they are added up
  int64_t max_filters;  // of a chunk
  int64_t max_terms;    // of a filter and block, and room for one more

  TermWork(const ConvShape& s, const PatchImages<T>& packed, int64_t n_chunks,
           WorkspaceLayout& layout) {
    const WindowBlocks<T> cut(s, packed, kBlockBytes);
    max_filters = n_chunks == 0 ? 0 : ceil_div(s.O, n_chunks);
    max_terms = cut.windows * s.pool_size() + 1;
    const int64_t term_bytes = max_filters * static_cast<int64_t>(sizeof(Term<T>));
    const int64_t fit = std::min(kListBytes / std::max<int64_t>(1, cut.windows * term_bytes),
                                 kRoomBytes / std::max<int64_t>(1, max_terms * term_bytes));
    blocks = std::clamp<int64_t>(fit, 1, std::max<int64_t>(1, cut.count));
    single_winner = layout.take<int32_t>(256 * s.winner_bytes());
    terms = layout.take<Term<T>>(n_chunks * blocks * max_filters * max_terms);
    n_terms = layout.take<int64_t>(n_chunks * blocks * max_filters);
  }
};

// What going through the windows of small patches needs.
template <class T>
struct WindowWork {
  Strips<T> strips;
  int32_t* offsets;     // of winners' patches
  Window* windows;      // [n][window], live ones first
  WindowCount* counts;  // [n]
  char* scratch;        // [chunk of phase 0]
  T* g;                 // [chunk of phase 1][filter][window]: planes that were not contiguous
  uint8_t* winners;     // likewise

  WindowWork(const ConvShape& s, int64_t n_pack_chunks, int64_t n_chunks, WorkspaceLayout& layout)
      : strips(s) {
    const int64_t plane = s.PH * s.PW;
    offsets = layout.take<int32_t>(kWinnerOffsets);
    windows = layout.take<Window>(s.N * plane);
    counts = layout.take<WindowCount>(s.N);
    scratch = layout.take<char>(n_pack_chunks * StripPacker<T>::scratch(s));
    g = layout.take<T>(n_chunks * kSharedFilters * plane);
    winners = layout.take<uint8_t>(n_chunks * kSharedFilters * plane);
  }
};

template <class T>
struct Work {
  WorkspaceLayout layout;
  ChannelGroups groups;
  PatchRows<T> rows;
  PatchImages<T> packed;
  FilterSums<T> sums;
  T* images;  // [group][n][h][w][c]; small patches: [n][strip]
  std::optional<TermWork<T>> by_term;
  std::optional<WindowWork<T>> by_window;  // small patches

  Work(const Args& args, const ConvShape& s, char* workspace)
      : layout{workspace},
        groups(channel_groups<T>(s)),
        rows(groups.part),
        packed(groups.part),
        sums(s, groups, is_small<T>(s) ? s.KW * s.C : rows.padded(), layout) {
    if (is_small<T>(s)) {
      images = layout.take<T>(s.N * Strips<T>(s).image);
      by_window.emplace(s, pack_chunks<T>(args), filter_chunks(args), layout);
    } else {
      images = layout.take<T>(packed.size(groups.count * s.N));
      by_term.emplace(s, packed, filter_chunks(args), layout);
    }
  }
};

// Lists the terms of windows: gradients, and the offsets of the patches that they multiply.
template <class T>
class TermLister {
 public:
  TermLister(const int32_t* single_winner, Term<T>* terms)
      : single_winner_(single_winner), terms_(terms), next_(terms) {}

  int64_t count() const { return next_ - terms_; }

  // A row of n windows, `step` apart from `offset` on, and one byte of the winners of each.
  //
  // Whether a gradient counts can't be foreseen, so there is no branch on it: a term is written,
  // and kept if it counts. That a window has not just one winner is rare, or comes in runs.
  TGM_NOINLINE void list_row(const T* factors, int64_t factor_step, const uint8_t* masks,
                             int64_t mask_step, int64_t byte, int64_t offset, int64_t step,
                             int64_t n) {
    const int32_t* const single = single_winner_ + 256 * byte;
    Term<T>* next = next_;
    for (; n > 0; n--) {
      const T factor = *factors;
      unsigned mask = *masks;
      const int32_t inside = single[mask];
      *next = {factor, static_cast<int32_t>(offset + inside)};
      if (inside < 0) [[unlikely]] {
        for (; mask != 0 && is_not_zero(factor); mask &= mask - 1) {
          *next++ = {factor, static_cast<int32_t>(offset + single[mask & -mask])};
        }
      } else {
        next += is_not_zero(factor);
      }
      factors += factor_step;
      masks += mask_step;
      offset += step;
    }
    next_ = next;
  }

 private:
  // By its bits: compiles to fewer instructions than the comparison. NaN is not zero.
  static bool is_not_zero(T x) {
    Bits<T> bits;
    std::memcpy(&bits, &x, sizeof bits);
    return (bits << 1) != 0;
  }

  const int32_t* single_winner_;
  Term<T>* terms_;
  Term<T>* next_;
};

template <class T>
void pack_strips(const Args& args, const ConvShape& s, const Work<T>& work, int64_t chunk,
                 int64_t n_chunks) {
  const WindowWork<T>& by_window = *work.by_window;
  const Span span = span_of(s.N, chunk, n_chunks);
  StripPacker<T> packer(s, by_window.scratch + chunk * StripPacker<T>::scratch(s));
  for (int64_t n = span.first; n < span.last; n++) {
    by_window.counts[n] = packer.pack(args.in[0], n, work.images + n * by_window.strips.image,
                                      by_window.windows + n * s.PH * s.PW);
  }
  if (chunk == 0) fill_winner_offsets<T>(s, by_window.offsets);
}

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, s, args.workspace);
  if (work.by_window) return pack_strips(args, s, work, chunk, n_chunks);
  pack_patch_images(work.groups, args.in[0], chunk, n_chunks, work.images);
  if (chunk > 0) return;
  int32_t* const single = work.by_term->single_winner;
  std::memset(single, -1, 256 * s.winner_bytes() * sizeof(int32_t));
  for (int64_t p = 0; p < s.pool_size(); p++) {
    const int64_t h = p / s.pool_w * s.stride_h, w = p % s.pool_w * s.stride_w;
    single[p / 8 * 256 + (1 << p % 8)] =
        static_cast<int32_t>(h * work.packed.row + w * work.groups.part.C);
  }
}

// Adds the images to the sums of the filters, going through their windows.
template <class T>
void add_by_window(const Args& args, const ConvShape& s, const Work<T>& work, int64_t chunk,
                   Span filters) {
  const WindowWork<T>& by_window = *work.by_window;
  const Strips<T>& strips = by_window.strips;
  const Tensor &g = args.in[1], &winners = args.in[2];
  const int64_t plane = s.PH * s.PW, buffer = chunk * kSharedFilters * plane;
  const int64_t n_filters = filters.last - filters.first;
  const int64_t groups = ceil_div(n_filters, shared_filters(strips.vectors));
  for (int64_t n = 0; n < s.N; n++) {
    for (int64_t group = 0; group < groups; group++) {
      const Span span = span_of(n_filters, group, groups);
      const int64_t o = filters.first + span.first, count = span.last - span.first;
      const WindowPlanes<T> planes{
          side_by_side(s, g.as<T>() + n * g.stride[0] + o * g.stride[1], g.stride + 1, count,
                       by_window.g + buffer),
          side_by_side(s, winners.as<uint8_t>() + n * winners.stride[0] + o * winners.stride[1],
                       winners.stride + 1, count, by_window.winners + buffer),
          plane, work.sums.of(o), work.sums.filter};
      add_image(strips, work.images + n * strips.image, by_window.windows + n * plane,
                by_window.counts[n], by_window.offsets, planes, count);
    }
  }
}

// The terms of a block of windows for one filter; offsets count from the block's first image.
template <class T>
int64_t list_block(const Args& args, const ConvShape& s, const Work<T>& work, Span images,
                   Span rows, int64_t o, Term<T>* terms) {
  const PatchImages<T>& packed = work.packed;
  const Tensor &g = args.in[1], &winners = args.in[2];
  TermLister<T> lister(work.by_term->single_winner, terms);
  for (int64_t n = images.first; n < images.last; n++) {
    for (int64_t h = rows.first; h < rows.last; h++) {
      const T* factors = g.as<T>() + n * g.stride[0] + o * g.stride[1] + h * g.stride[2];
      const uint8_t* masks = winners.as<uint8_t>() + n * winners.stride[0] + o * winners.stride[1] +
                             h * winners.stride[2];
      const int64_t offset =
          (n - images.first) * packed.image + h * s.pool_h * s.stride_h * packed.row;
      for (int64_t byte = 0; byte < s.winner_bytes(); byte++) {
        lister.list_row(factors, g.stride[3], masks + byte * winners.stride[4], winners.stride[3],
                        byte, offset, s.pool_w * s.stride_w * work.groups.part.C, s.PW);
      }
    }
  }
  return lister.count();
}

// Lists of terms: [block][filter], for the filters of a chunk.
template <class T>
struct TermLists {
  Term<T>* terms;
  int64_t* counts;
  int64_t filters, max_terms;

  TermLists(const TermWork<T>& work, int64_t chunk)
      : terms(work.terms + chunk * work.blocks * work.max_filters * work.max_terms),
        counts(work.n_terms + chunk * work.blocks * work.max_filters),
        filters(work.max_filters),
        max_terms(work.max_terms) {}
  Term<T>* of(int64_t block, int64_t filter) const {
    return terms + (block * filters + filter) * max_terms;
  }
  int64_t& count(int64_t block, int64_t filter) const { return counts[block * filters + filter]; }
};

// Adds what is listed of a block of windows, for one group of channels, to the filters' sums.
template <class T>
void add_block(const Work<T>& work, const T* images, const TermLists<T>& lists, int64_t block,
               int64_t n_filters, T* sums) {
  const PatchRows<T>& rows = work.rows;
  const int64_t image_row = work.packed.row;
  for (int64_t part = 0; part < rows.blocks(); part++) {
    const Span r = rows.block_rows(part), v = rows.block_vectors(part);
    const auto add = find_add_patch_block<T>(r.last - r.first, v.last - v.first);
    const T* from = images + r.first * image_row + v.first * kLanes<T>;
    T* to = sums + r.first * rows.padded() + v.first * kLanes<T>;
    for (int64_t f = 0; f < n_filters; f++, to += work.sums.filter) {
      const int64_t n = lists.count(block, f);
      if (n > 0) add(from, image_row, lists.of(block, f), n, to, rows.padded());
    }
  }
}

template <class T>
void add_by_term(const Args& args, const ConvShape& s, const Work<T>& work, int64_t chunk,
                 Span filters) {
  const WindowBlocks<T> blocks(s, work.packed, kBlockBytes);
  const TermLists<T> lists(*work.by_term, chunk);
  const int64_t n_filters = filters.last - filters.first;
  for (int64_t first = 0; first < blocks.count; first += work.by_term->blocks) {
    const int64_t n_blocks = std::min(work.by_term->blocks, blocks.count - first);
    for (int64_t b = 0; b < n_blocks; b++) {
      for (int64_t f = 0; f < n_filters; f++) {
        lists.count(b, f) =
            list_block(args, s, work, blocks.images_of(first + b), blocks.rows_of(s, first + b),
                       filters.first + f, lists.of(b, f));
      }
    }
    for (int64_t group = 0; group < work.groups.count; group++) {
      for (int64_t b = 0; b < n_blocks; b++) {
        const int64_t image = group * s.N + blocks.images_of(first + b).first;
        add_block(work, work.images + image * work.packed.image, lists, b, n_filters,
                  work.sums.of(filters.first, group));
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
  if (work.by_window) {
    add_by_window(args, s, work, chunk, filters);
  } else {
    add_by_term(args, s, work, chunk, filters);
  }
  work.sums.finish(args, filters, 3);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(args, shape(args), nullptr).layout.used;
}

const char* invalid(const Args& args) { return check_conv(args, {0, kOut, 1, 2, 3, true}); }

}  // namespace

extern const Kernel conv2d_pool_grad_filter_kernel = {
    "conv2d_pool_grad_filter",
    2,
    {{TGM_BY_DTYPE(pack_chunks), TGM_BY_DTYPE(pack_images)},
     {filter_chunks, TGM_BY_DTYPE(sum_filters)}},
    TGM_BY_DTYPE(work_bytes),
    invalid};

}  // namespace tgm::TGM_TARGET
