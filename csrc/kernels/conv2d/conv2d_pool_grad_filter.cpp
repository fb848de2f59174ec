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
#include "kernels/conv2d/check.hpp"
#include "kernels/conv2d/patch_rows.hpp"
#include "kernels/conv2d/small_patches.hpp"
#include "kernels/core/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kBlockBytes = 20 * 1024;      // of a packed group that is worked on at once
constexpr int64_t kListBytes = 192 * 1024;      // of terms, one for each window
constexpr int64_t kRoomBytes = 8 * kListBytes;  // for them, should all positions tie
constexpr int64_t kFlopsPerWindow = 40;         // of listing a term, roughly
constexpr int64_t kStripFlops = 128;  // of packing a strip's vector, and finding what is live

ConvShape shape(const Args& args) { return conv_shape(args.in[0], args.out[0], args.ints, true); }

template <class T>
bool is_small(const ConvShape& s) {
  return Strips<T>(s).fit(s);
}

template <class T>
int64_t pack_chunks_of(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t flops = is_small<T>(s)
                            ? kStripFlops * s.padded_h() * s.OW * ceil_div(s.KW * s.C, kLanes<T>)
                            : kPackFlops * s.C * s.H * s.W;
  return std::clamp<int64_t>(chunks_for(s.N, flops), 1, kMaxStrips);
}

int64_t pack_chunks(const Args& args) { return TGM_FLOATS(args.in[0].dtype, pack_chunks_of, args); }

// Some filters to a chunk, that share what comes to the L1 cache of x, but enough chunks.
int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t windows = s.N * s.PH * s.PW;
  const int64_t flops =
      windows * (2 * s.taps() + kFlopsPerWindow) + s.taps() * (4 + epilogue_cost(*args.tapes[0]));
  return std::min(chunks_for(s.O, flops), std::clamp<int64_t>(s.O / 32, 4, 16));
}

// Few channels stay together: filled up to a vector, they would be mostly zeros.
template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  return {s, std::clamp<int64_t>(s.C, 1, kLanes<T>)};
}

template <class T>
struct Work {
  T* images;   // [group][n][h][w][c]; small patches: [n][strip]
  T* sums;     // [o][group][kh][padded row]; small patches: [o][padded patch]
  T* filters;  // [o][c][kh][kw], before the epilogue
  T* turned;   // [o][kh][kw][c], on the way there, where channels are few
  // By byte of the winners and its value: where the patch of the only winner lies, from the
  // window's first; -1 where there is not just one.
  int32_t* lone;
  Term<T>* terms;       // [chunk of phase 1][block][filter][term]
  int64_t* n_terms;     // [chunk of phase 1][block][filter]
  int64_t together;     // blocks that are listed before they are added up
  int64_t max_filters;  // of a chunk
  int64_t max_terms;    // of a filter and block, and room for one more
  // For small patches.
  int32_t* places;      // of winners
  Window* windows;      // [n][window], live ones first
  WindowCount* counts;  // [n]
  char* scratch;        // [chunk of phase 0]
  T* g;                 // [chunk of phase 1][filter][window]: planes that were not contiguous
  uint8_t* winners;     // likewise
  size_t bytes;

  Work(const Args& args, char* workspace) {
    const ConvShape s = shape(args);
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(s.O * s.taps());
    sums = layout.take<T>(s.O * filter_sums(s));
    turned = layout.take<T>(turns(s) ? s.O * s.taps() : 0);
    const int64_t n_chunks = filter_chunks(args);
    if (is_small<T>(s)) {
      const int64_t plane = s.PH * s.PW;
      images = layout.take<T>(s.N * Strips<T>(s).image);
      places = layout.take<int32_t>(kWinnerPlaces);
      windows = layout.take<Window>(s.N * plane);
      counts = layout.take<WindowCount>(s.N);
      scratch = layout.take<char>(pack_chunks(args) * StripPacker<T>::scratch(s));
      g = layout.take<T>(n_chunks * kSharedFilters * plane);
      winners = layout.take<uint8_t>(n_chunks * kSharedFilters * plane);
    } else {
      const ChannelGroups groups = channel_groups<T>(s);
      const PatchImages<T> packed(groups.part);
      const WindowBlocks<T> blocks(s, packed, kBlockBytes);
      max_filters = n_chunks == 0 ? 0 : ceil_div(s.O, n_chunks);
      max_terms = blocks.windows * s.pool_size() + 1;
      const int64_t list_bytes =
          max_filters * blocks.windows * static_cast<int64_t>(sizeof(Term<T>));
      const int64_t room_bytes = max_filters * max_terms * static_cast<int64_t>(sizeof(Term<T>));
      const int64_t fit = std::min(kListBytes / std::max<int64_t>(1, list_bytes),
                                   kRoomBytes / std::max<int64_t>(1, room_bytes));
      together = std::clamp<int64_t>(fit, 1, std::max<int64_t>(1, blocks.count));
      images = layout.take<T>(packed.size(groups.count * s.N));
      lone = layout.take<int32_t>(256 * s.winner_bytes());
      terms = layout.take<Term<T>>(n_chunks * together * max_filters * max_terms);
      n_terms = layout.take<int64_t>(n_chunks * together * max_filters);
    }
    bytes = layout.used;
  }

  // Whether sums are turned into gradients by way of `turned`.
  static bool turns(const ConvShape& s) { return is_small<T>(s) || s.C < kLanes<T>; }

  // Elements of a filter's sums.
  static int64_t filter_sums(const ConvShape& s) {
    if (is_small<T>(s)) return Strips<T>(s).vectors * kLanes<T>;
    const ChannelGroups groups = channel_groups<T>(s);
    return groups.count * s.KH * PatchRows<T>(groups.part).padded();
  }
};

// Lists the terms of windows: gradients, and where the patches are that they multiply.
template <class T>
class TermLister {
 public:
  TermLister(const int32_t* lone, Term<T>* terms) : lone_(lone), terms_(terms), next_(terms) {}

  int64_t count() const { return next_ - terms_; }

  // A row of n windows, `step` apart from `place` on, and one byte of the winners of each.
  //
  // Whether a gradient counts can't be foreseen, so there is no branch on it: a term is written,
  // and kept if it counts. That a window has not just one winner is rare, or comes in runs.
  __attribute__((noinline)) void list_row(const T* factors, int64_t factor_step,
                                          const uint8_t* masks, int64_t mask_step, int64_t byte,
                                          int64_t place, int64_t step, int64_t n) {
    const int32_t* const lone = lone_ + 256 * byte;
    Term<T>* next = next_;
    for (; n > 0; n--) {
      const T factor = *factors;
      unsigned mask = *masks;
      const int32_t inside = lone[mask];
      *next = {factor, static_cast<int32_t>(place + inside)};
      if (inside < 0) [[unlikely]] {
        for (; mask != 0 && is_not_zero(factor); mask &= mask - 1) {
          *next++ = {factor, static_cast<int32_t>(place + lone[mask & -mask])};
        }
      } else {
        next += is_not_zero(factor);
      }
      factors += factor_step;
      masks += mask_step;
      place += step;
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

  const int32_t* lone_;
  Term<T>* terms_;
  Term<T>* next_;
};

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, args.workspace);
  const Span span = span_of(s.N, chunk, n_chunks);
  if (is_small<T>(s)) {
    StripPacker<T> packer(s, work.scratch + chunk * StripPacker<T>::scratch(s));
    for (int64_t n = span.first; n < span.last; n++) {
      work.counts[n] = packer.pack(args.in[0], n, work.images + n * Strips<T>(s).image,
                                   work.windows + n * s.PH * s.PW);
    }
    if (chunk == 0) fill_winner_places<T>(s, work.places);
    return;
  }
  const ChannelGroups groups = channel_groups<T>(s);
  const PatchImages<T> packed(groups.part);
  for (int64_t n = span.first; n < span.last; n++) {
    for (int64_t group = 0; group < groups.count; group++) {
      pack_patch_image(groups, group, args.in[0], n,
                       work.images + (group * s.N + n) * packed.image);
    }
  }
  if (chunk > 0) return;
  std::memset(work.images + groups.count * s.N * packed.image, 0, kLanes<T> * sizeof(T));
  std::memset(work.lone, -1, 256 * s.winner_bytes() * sizeof(int32_t));
  for (int64_t p = 0; p < s.pool_size(); p++) {
    const int64_t h = p / s.pool_w * s.stride_h, w = p % s.pool_w * s.stride_w;
    work.lone[p / 8 * 256 + (1 << p % 8)] =
        static_cast<int32_t>(h * packed.row + w * groups.part.C);
  }
}

// Adds the images to the sums of the filters, going through their windows.
template <class T>
void add_by_window(const Args& args, const ConvShape& s, const Work<T>& work, int64_t chunk,
                   Span filters) {
  const Strips<T> strips(s);
  const Tensor &g = args.in[1], &winners = args.in[2];
  const int64_t plane = s.PH * s.PW, filter_sums = Work<T>::filter_sums(s);
  const int64_t n_filters = filters.last - filters.first;
  const int64_t groups = ceil_div(n_filters, shared_filters(strips.vectors));
  for (int64_t n = 0; n < s.N; n++) {
    for (int64_t group = 0; group < groups; group++) {
      const Span span = span_of(n_filters, group, groups);
      const int64_t o = filters.first + span.first, count = span.last - span.first;
      T* const sums = work.sums + o * filter_sums;
      const WindowPlanes<T> planes{
          side_by_side(s, g.as<T>() + n * g.stride[0] + o * g.stride[1], g.stride + 1, count,
                       work.g + chunk * kSharedFilters * plane),
          side_by_side(s, winners.as<uint8_t>() + n * winners.stride[0] + o * winners.stride[1],
                       winners.stride + 1, count, work.winners + chunk * kSharedFilters * plane),
          plane, sums, filter_sums};
      add_image(strips, work.images + n * strips.image, work.windows + n * plane, work.counts[n],
                work.places, planes, count);
    }
  }
}

// The terms of a block of windows for one filter; places count from the block's first image.
template <class T>
int64_t list_block(const Args& args, const ConvShape& s, const Work<T>& work, Span images,
                   Span rows, int64_t o, Term<T>* terms) {
  const ConvShape part = channel_groups<T>(s).part;
  const PatchImages<T> packed(part);
  const Tensor &g = args.in[1], &winners = args.in[2];
  TermLister<T> lister(work.lone, terms);
  for (int64_t n = images.first; n < images.last; n++) {
    for (int64_t h = rows.first; h < rows.last; h++) {
      const T* factors = g.as<T>() + n * g.stride[0] + o * g.stride[1] + h * g.stride[2];
      const uint8_t* masks = winners.as<uint8_t>() + n * winners.stride[0] + o * winners.stride[1] +
                             h * winners.stride[2];
      const int64_t place =
          (n - images.first) * packed.image + h * s.pool_h * s.stride_h * packed.row;
      for (int64_t byte = 0; byte < s.winner_bytes(); byte++) {
        lister.list_row(factors, g.stride[3], masks + byte * winners.stride[4], winners.stride[3],
                        byte, place, s.pool_w * s.stride_w * part.C, s.PW);
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

  TermLists(const Work<T>& work, int64_t chunk)
      : terms(work.terms + chunk * work.together * work.max_filters * work.max_terms),
        counts(work.n_terms + chunk * work.together * work.max_filters),
        filters(work.max_filters),
        max_terms(work.max_terms) {}
  Term<T>* of(int64_t block, int64_t filter) const {
    return terms + (block * filters + filter) * max_terms;
  }
  int64_t& count(int64_t block, int64_t filter) const { return counts[block * filters + filter]; }
};

// Adds what is listed of a block of windows, for one group of channels, to the filters' sums.
template <class T>
void add_block(const PatchRows<T>& rows, int64_t image_row, const T* images,
               const TermLists<T>& lists, int64_t block, int64_t n_filters, T* sums,
               int64_t filter_sums) {
  for (int64_t part = 0; part < rows.blocks(); part++) {
    const Span r = rows.block_rows(part), v = rows.block_vectors(part);
    const auto add = find_add_patch_block<T>(r.last - r.first, v.last - v.first);
    const T* from = images + r.first * image_row + v.first * kLanes<T>;
    T* to = sums + r.first * rows.padded() + v.first * kLanes<T>;
    for (int64_t f = 0; f < n_filters; f++, to += filter_sums) {
      const int64_t n = lists.count(block, f);
      if (n > 0) add(from, image_row, lists.of(block, f), n, to, rows.padded());
    }
  }
}

template <class T>
void add_by_term(const Args& args, const ConvShape& s, const Work<T>& work, int64_t chunk,
                 Span filters) {
  const ChannelGroups groups = channel_groups<T>(s);
  const PatchRows<T> rows(groups.part);
  const PatchImages<T> packed(groups.part);
  const WindowBlocks<T> blocks(s, packed, kBlockBytes);
  const TermLists<T> lists(work, chunk);
  const int64_t n_filters = filters.last - filters.first;
  for (int64_t first = 0; first < blocks.count; first += work.together) {
    const int64_t n_blocks = std::min(work.together, blocks.count - first);
    for (int64_t b = 0; b < n_blocks; b++) {
      for (int64_t f = 0; f < n_filters; f++) {
        lists.count(b, f) =
            list_block(args, s, work, blocks.images_of(first + b), blocks.rows_of(s, first + b),
                       filters.first + f, lists.of(b, f));
      }
    }
    for (int64_t group = 0; group < groups.count; group++) {
      T* const sums =
          work.sums + filters.first * Work<T>::filter_sums(s) + group * s.KH * rows.padded();
      for (int64_t b = 0; b < n_blocks; b++) {
        const int64_t image = group * s.N + blocks.images_of(first + b).first;
        add_block(rows, packed.row, work.images + image * packed.image, lists, b, n_filters, sums,
                  Work<T>::filter_sums(s));
      }
    }
  }
}

// The sums of filter `o` to its gradient [c][kh][kw].
template <class T>
void unpack_sums(const ConvShape& s, const Work<T>& work, int64_t o, T* to) {
  const T* sums = work.sums + o * Work<T>::filter_sums(s);
  if (Work<T>::turns(s)) {
    const int64_t row = is_small<T>(s) ? s.KW * s.C : PatchRows<T>(s).padded();
    return unpack_filter(s, s.C, sums, row, work.turned + o * s.taps(), to);
  }
  const ChannelGroups groups = channel_groups<T>(s);
  const int64_t taps = s.KH * s.KW;
  for (int64_t group = 0; group < groups.count; group++) {
    const T* from = sums + group * taps * kLanes<T>;
    T* channels = to + groups.first(group) * taps;
    if (s.flip) {
      transpose(from + (taps - 1) * kLanes<T>, -kLanes<T>, channels, taps, taps,
                groups.size(group));
    } else {
      transpose(from, kLanes<T>, channels, taps, taps, groups.size(group));
    }
  }
}

template <class T>
void sum_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, args.workspace);
  const int64_t filter_sums = Work<T>::filter_sums(s);
  const Span filters = span_of(s.O, chunk, n_chunks);
  const int64_t n_filters = filters.last - filters.first;
  std::memset(work.sums + filters.first * filter_sums, 0, n_filters * filter_sums * sizeof(T));
  if (is_small<T>(s)) {
    add_by_window(args, s, work, chunk, filters);
  } else {
    add_by_term(args, s, work, chunk, filters);
  }
  T* const result = work.filters + filters.first * s.taps();
  for (int64_t o = 0; o < n_filters; o++) {
    unpack_sums(s, work, filters.first + o, result + o * s.taps());
  }
  finish_tile(*args.tapes[0],
              {reinterpret_cast<const char*>(result), s.taps(), 0, 0, filters.first, n_filters, 0,
               s.taps()},
              args.in + 3, args.out[0]);
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(args, nullptr).bytes;
}

void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, pack_images, args, chunk, n_chunks);
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, sum_filters, args, chunk, n_chunks);
}

size_t workspace_bytes(const Args& args) { return TGM_FLOATS(args.in[0].dtype, work_bytes, args); }

const char* invalid(const Args& args) { return check_conv(args, {0, kOut, 1, 2, 3, true}); }

}  // namespace

extern const Kernel conv2d_pool_grad_filter_kernel = {"conv2d_pool_grad_filter",
                                                      2,
                                                      {{pack_chunks, pack}, {filter_chunks, run}},
                                                      workspace_bytes,
                                                      invalid};

}  // namespace tgm::TGM_TARGET
