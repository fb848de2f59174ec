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
// last. Phase 1 works filter by filter: it lists the terms (gradient, place of the patch) of a
// block of images that fits the L1 cache, then adds the patches up with the sums in registers.
// Small patches, as in a first layer, are not listed but added window by window
// (small_patches.hpp).
#include "kernels/conv_check.hpp"
#include "kernels/patch_rows.hpp"
#include "kernels/small_patches.hpp"
#include "kernels/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kMaxTerms = 2048;  // listed at once, or a few more
constexpr int64_t kMaxSegment = 256;
constexpr int64_t kBlockBytes = 24 * 1024;  // of packed images that are worked on together
constexpr int64_t kFlopsPerWindow = 40;     // of listing a term, roughly
constexpr int64_t kStripFlops = 128;        // of packing a strip's vector, and finding what is live

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
  return std::max<int64_t>(1, chunks_for(s.N, flops));
}

int64_t pack_chunks(const Args& args) { return TGM_FLOATS(args.in[0].dtype, pack_chunks_of, args); }

int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t windows = s.N * s.PH * s.PW;
  const int64_t flops =
      windows * (2 * s.taps() + kFlopsPerWindow) + s.taps() * (4 + epilogue_cost(*args.tapes[0]));
  return chunks_for(s.O, flops);
}

template <class T>
struct Work {
  T* images;   // [n][h][w][c]; small patches: [n][strip]
  T* sums;     // [o][kh][padded row]; small patches: [o][padded patch]
  T* filters;  // [o][c][kh][kw], before the epilogue
  T* turned;   // [o][kh][kw][c], on the way there
  // By byte of the winners and its value: where the patch of the only winner lies, from the
  // window's first; -1 where there is not just one.
  int32_t* lone;
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
    const bool small = is_small<T>(s);
    Pieces pieces{workspace};
    images = pieces.take<T>(small ? s.N * Strips<T>(s).image : PatchImages<T>(s).size(s.N));
    sums = pieces.take<T>(s.O * filter_sums(s));
    filters = pieces.take<T>(s.O * s.taps());
    turned = pieces.take<T>(s.O * s.taps());
    lone = pieces.take<int32_t>(256 * s.winner_bytes());
    if (small) {
      const int64_t plane = s.PH * s.PW;
      places = pieces.take<int32_t>(kWinnerPlaces);
      windows = pieces.take<Window>(s.N * plane);
      counts = pieces.take<WindowCount>(s.N);
      scratch = pieces.take<char>(pack_chunks(args) * StripPacker<T>::scratch(s));
      g = pieces.take<T>(filter_chunks(args) * kSharedFilters * plane);
      winners = pieces.take<uint8_t>(filter_chunks(args) * kSharedFilters * plane);
    }
    bytes = pieces.used;
  }

  // Elements of a filter's sums, and from one row of its patch to the next.
  static int64_t filter_sums(const ConvShape& s) {
    return is_small<T>(s) ? Strips<T>(s).vectors * kLanes<T> : s.KH * sums_row(s);
  }
  static int64_t sums_row(const ConvShape& s) {
    return is_small<T>(s) ? s.KW * s.C : PatchRows<T>(s).padded();
  }
};

// Lists terms, and adds their patches to one filter's sums.
template <class T>
class FilterSum {
 public:
  FilterSum(const ConvShape& s, const int32_t* lone) : s_(s), rows_(s), lone_(lone) {
    row_ = PatchImages<T>(s).row;
  }

  // Terms that follow are of these images and go into these sums.
  void begin(const T* images, T* sums) { images_ = images, sums_ = sums, n_ = 0; }

  // The windows of one image, whose place is counted from `images`. g, winners: the filter's plane.
  void add_plane(const T* g, const int64_t* g_stride, const uint8_t* winners,
                 const int64_t* winners_stride, int64_t place) {
    const int64_t window_h = s_.pool_h * s_.stride_h * row_;
    const int64_t window_w = s_.pool_w * s_.stride_w * s_.C;
    // Rows that are sure to fit between two looks at how full the list is.
    const int64_t width = std::min(kMaxSegment, s_.PW);
    const int64_t height = std::max<int64_t>(1, kMaxSegment / std::max<int64_t>(1, width));
    for (int64_t h = 0; h < s_.PH; h += height) {
      for (int64_t w = 0; w < s_.PW; w += width) {
        for (int64_t byte = 0; byte < s_.winner_bytes(); byte++) {
          const uint8_t* mask = winners + h * winners_stride[0] + w * winners_stride[1];
          list_windows({g + h * g_stride[0] + w * g_stride[1], g_stride,
                        mask + byte * winners_stride[2], winners_stride, lone_ + 256 * byte,
                        place + h * window_h + w * window_w, window_h, window_w,
                        std::min(height, s_.PH - h), std::min(width, s_.PW - w)});
        }
      }
    }
  }

  void flush() {
    for (int64_t block = 0; block < rows_.blocks() && n_ > 0; block++) {
      const Span r = rows_.block_rows(block), v = rows_.block_vectors(block);
      const auto add = find_add_patch_block<T>(r.last - r.first, v.last - v.first);
      add(images_ + r.first * row_ + v.first * kLanes<T>, row_, terms_, n_,
          sums_ + r.first * rows_.padded() + v.first * kLanes<T>, rows_.padded());
    }
    n_ = 0;
  }

 private:
  // A box of windows, and one byte of the winners of each.
  struct Windows {
    const T* factor;
    const int64_t* factor_stride;
    const uint8_t* mask;
    const int64_t* mask_stride;
    const int32_t* lone;
    int64_t place, step_h, step_w;
    int64_t height, width;
  };

  // Whether a gradient counts can't be foreseen, so there is no branch on it: a term is written,
  // and kept if it counts. That a window has not just one winner is rare, or comes in runs.
  __attribute__((noinline)) void list_windows(const Windows& box) {
    if (n_ > kMaxTerms) flush();
    const int32_t* const lone = box.lone;
    const int64_t factor_step = box.factor_stride[1], mask_step = box.mask_stride[1];
    const int64_t place_step = box.step_w;
    Term<T>* next = terms_ + n_;
    for (int64_t h = 0; h < box.height; h++) {
      const T* factors = box.factor + h * box.factor_stride[0];
      const uint8_t* masks = box.mask + h * box.mask_stride[0];
      int64_t place = box.place + h * box.step_h;
      for (int64_t left = box.width; left > 0; left--) {
        const T factor = *factors;
        const unsigned mask = *masks;
        const int32_t inside = lone[mask];
        if (inside < 0) [[unlikely]] {
          if (is_not_zero(factor)) next = list_winners(factor, mask, lone, place, next);
        } else {
          *next = term(factor, place, inside);
          next += is_not_zero(factor);
        }
        factors += factor_step;
        masks += mask_step;
        place += place_step;
      }
    }
    n_ = next - terms_;
  }

  // By its bits: compiles to fewer instructions than the comparison. NaN is not zero.
  static bool is_not_zero(T x) {
    std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t> bits;
    std::memcpy(&bits, &x, sizeof bits);
    return (bits << 1) != 0;
  }

  // All winners of a window.
  __attribute__((noinline)) Term<T>* list_winners(T factor, unsigned mask, const int32_t* lone,
                                                  int64_t place, Term<T>* next) {
    for (; mask != 0; mask &= mask - 1) {
      if (next - terms_ > kMaxTerms) {
        n_ = next - terms_;
        flush();
        next = terms_;
      }
      *next++ = term(factor, place, lone[mask & -mask]);
    }
    return next;
  }

  static Term<T> term(T factor, int64_t place, int64_t inside) {
    return {factor, static_cast<int32_t>(place + inside)};
  }

  const ConvShape& s_;
  PatchRows<T> rows_;
  const int32_t* lone_;
  int64_t row_;
  const T* images_ = nullptr;
  T* sums_ = nullptr;
  int64_t n_ = 0;
  Term<T> terms_[kMaxTerms + kMaxSegment + 2];
};

template <class T>
void pack_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, args.workspace);
  const PatchImages<T> packed(s);
  const Span span = span_of(s.N, chunk, n_chunks);
  if (is_small<T>(s)) {
    StripPacker<T> packer(s, work.scratch + chunk * StripPacker<T>::scratch(s));
    for (int64_t n = span.first; n < span.last; n++) {
      work.counts[n] = packer.pack(args.in[0], n, work.images + n * Strips<T>(s).image,
                                   work.windows + n * s.PH * s.PW);
    }
  } else {
    for (int64_t n = span.first; n < span.last; n++) {
      pack_patch_image(s, args.in[0], n, work.images + n * packed.image);
    }
  }
  if (chunk > 0) return;
  if (is_small<T>(s)) return fill_winner_places<T>(s, work.places);
  std::memset(work.images + s.N * packed.image, 0, kLanes<T> * sizeof(T));
  std::memset(work.lone, -1, 256 * s.winner_bytes() * sizeof(int32_t));
  for (int64_t p = 0; p < s.pool_size(); p++) {
    const int64_t h = p / s.pool_w * s.stride_h, w = p % s.pool_w * s.stride_w;
    work.lone[p / 8 * 256 + (1 << p % 8)] = static_cast<int32_t>(h * packed.row + w * s.C);
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

// The same, listing terms.
template <class T>
void add_by_term(const Args& args, const ConvShape& s, const Work<T>& work, Span filters) {
  const PatchImages<T> packed(s);
  const Tensor &g = args.in[1], &winners = args.in[2];
  const int64_t filter_sums = Work<T>::filter_sums(s);
  FilterSum<T> sum(s, work.lone);
  const int64_t image_bytes = std::max<int64_t>(1, packed.image * sizeof(T));
  const int64_t together = std::max<int64_t>(1, kBlockBytes / image_bytes);
  for (int64_t first = 0; first < s.N; first += together) {
    for (int64_t o = filters.first; o < filters.last; o++) {
      sum.begin(work.images + first * packed.image, work.sums + o * filter_sums);
      for (int64_t n = first; n < std::min(s.N, first + together); n++) {
        sum.add_plane(g.as<T>() + n * g.stride[0] + o * g.stride[1], g.stride + 2,
                      winners.as<uint8_t>() + n * winners.stride[0] + o * winners.stride[1],
                      winners.stride + 2, (n - first) * packed.image);
      }
      sum.flush();
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
    add_by_term(args, s, work, filters);
  }
  T* const result = work.filters + filters.first * s.taps();
  for (int64_t o = 0; o < n_filters; o++) {
    unpack_filter(s, work.sums + (filters.first + o) * filter_sums, Work<T>::sums_row(s),
                  work.turned + (filters.first + o) * s.taps(), result + o * s.taps());
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
