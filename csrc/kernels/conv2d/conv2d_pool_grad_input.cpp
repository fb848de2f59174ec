// conv2d_pool_grad_input: the input's gradient, the result's gradient coming from behind a pool.
//
//   w (O, C, KH, KW), g (N, O, PH, PW), winners uint8 (N, O, PH, PW, bytes), extras (N, C, H, W)
//     -> epilogue(dx, extras)
// ints: stride_h, stride_w, pad_h, pad_w, flip, pool_h, pool_w. tapes: epilogue.
//
//   dx[patch of position p] += sum over the filters that won at p of g * w      (for every p)
//
// Only winners have a gradient, and those whose gradient is zero are left out. Phase 0 packs the
// filters as patch rows (channels last). Phase 1 works image by image: it lists, position by
// position, the filters that won there, and adds their rows, in registers, to the patch of an image
// that is channels last too. A patch block of all filters is worked through at all positions
// before the next, so that it stays in the L1 cache. Where a row of a patch doesn't fit in
// registers, channels are packed in groups of one vector: then the patch blocks are small, more
// filters share one walk over the image, and their sums are loaded and stored less often.
#include "kernel.hpp"
#include "kernels/conv2d/patch_rows.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/transpose.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kTerms = 16 * 1024;       // room for what is listed at once
constexpr int64_t kBlockBytes = 24 * 1024;  // of a patch block of the filters worked on together
constexpr int64_t kMaxFilters = 256;        // worked on together

ConvShape shape(const Args& args) { return conv_shape(args.out[0], args.in[0], args); }

int64_t image_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t windows = s.O * s.PH * s.PW;
  const int64_t flops = windows * (2 * s.taps() + 8 * s.pool_size()) +
                        s.C * s.H * s.W * epilogue_cost(*args.tapes[0]);
  return std::min(kMaxStrips, chunks_for(s.N, flops));
}

template <class T>
ChannelGroups channel_groups(const ConvShape& s) {
  const bool fits = ceil_div(s.KW * s.C, kLanes<T>) <= kMaxPatchVectors;
  return {s, fits ? std::max<int64_t>(1, s.C) : std::clamp<int64_t>(s.C, 1, kLanes<T>)};
}

// What a chunk has for itself.
template <class T>
struct Strip {
  T* image;         // [group][h][w][c]
  Term<T>* terms;   // [position of the convolution][filter of those worked on together]
  int32_t* offset;  // [position], of its patch in the image
  Term<T>** end;    // [position], of its terms
};

template <class T>
struct Work {
  T* filters;        // [group][kh][o][padded row]
  T* channels_last;  // [o][kh][kw][c], on the way there
  // By byte of the winners and its value: the only winner's position in the window, or -1.
  int16_t* single_winner;
  int64_t together;  // filters
  int64_t max_positions;
  Strip<T> first;
  size_t strip_bytes, bytes;

  Work(const Args& args, char* workspace) {
    const ConvShape s = shape(args);
    const ChannelGroups groups = channel_groups<T>(s);
    const PatchRows<T> rows(groups.part);
    const int64_t block_bytes = ceil_div(s.KH, std::max<int64_t>(1, rows.down)) *
                                ceil_div(rows.vectors, rows.across) * kVectorBytes;
    together = std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, block_bytes), 8, kMaxFilters);
    together = std::min(together, std::max<int64_t>(1, s.O));
    max_positions = std::max(kTerms / together, s.pool_size());
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(groups.count * s.KH * s.O * rows.padded());
    channels_last = layout.take<T>(s.O * groups.part.taps());
    single_winner = layout.take<int16_t>(256 * s.winner_bytes());
    const size_t start = layout.used;
    first.image = layout.take<T>(PatchImages<T>(groups.part).size(groups.count));
    first.terms = layout.take<Term<T>>(max_positions * together + 1);
    first.offset = layout.take<int32_t>(max_positions);
    first.end = layout.take<Term<T>*>(max_positions);
    strip_bytes = layout.used - start;
    bytes = start + image_chunks(args) * strip_bytes;
  }

  Strip<T> strip(int64_t chunk) const {
    auto moved = [&](auto* p) {
      return reinterpret_cast<decltype(p)>(reinterpret_cast<char*>(p) + chunk * strip_bytes);
    };
    return {moved(first.image), moved(first.terms), moved(first.offset), moved(first.end)};
  }
};

int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return image_chunks(args) == 0 ? 0 : chunks_for(s.O, kPackFlops * s.taps());
}

// Filter o of w to patch rows, group by group; what a group has no channel for is zero.
template <class T>
void pack_patch_rows(const ConvShape& s, const Work<T>& work, const Tensor& w, int64_t o) {
  const ChannelGroups groups = channel_groups<T>(s);
  const int64_t padded = PatchRows<T>(groups.part).padded(), width = groups.part.C;
  for (int64_t group = 0; group < groups.count; group++) {
    const T* from = w.as<T>() + o * w.stride[0] + groups.first(group) * w.stride[1];
    T* to = work.filters + (group * s.KH * s.O + o) * padded;
    T* channels_last = work.channels_last + o * groups.part.taps();
    const int64_t size = groups.size(group);
    if (size < width) std::memset(channels_last, 0, groups.part.taps() * sizeof(T));
    pack_filter(groups.part, size, from, w.stride + 1, channels_last, to, s.O * padded);
    for (int64_t a = 0; a < s.KH; a++) {
      T* row = to + a * s.O * padded;
      for (int64_t i = s.KW * width; i < padded; i++) row[i] = T(0);
    }
  }
}

template <class T>
void pack_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, args.workspace);
  const Span span = span_of(s.O, chunk, n_chunks);
  for (int64_t o = span.first; o < span.last; o++) pack_patch_rows(s, work, args.in[0], o);
  if (chunk > 0) return;
  std::memset(work.single_winner, -1, 256 * s.winner_bytes() * sizeof(int16_t));
  for (int64_t p = 0; p < std::min<int64_t>(s.pool_size(), INT16_MAX); p++) {
    work.single_winner[p / 8 * 256 + (1 << p % 8)] = static_cast<int16_t>(p);
  }
}

// One image: lists terms, adds their rows to the image's gradient.
template <class T>
class ImageSum {
 public:
  ImageSum(const ConvShape& s, const Work<T>& work, const Strip<T>& strip)
      : s_(s),
        work_(work),
        strip_(strip),
        groups_(channel_groups<T>(s)),
        rows_(groups_.part),
        packed_(groups_.part),
        padded_(rows_.padded()) {}

  void add(const Tensor& g, const Tensor& winners, int64_t n) {
    std::memset(strip_.image, 0, packed_.size(groups_.count) * sizeof(T));
    for (int64_t o = 0; o < s_.O; o += work_.together) {
      const int64_t count = std::min(work_.together, s_.O - o);
      const T* factors = g.as<T>() + n * g.stride[0] + o * g.stride[1];
      const uint8_t* masks = winners.as<uint8_t>() + n * winners.stride[0] + o * winners.stride[1];
      for (int64_t w = 0; w < s_.PW; w++) {
        for (int64_t h = 0; h < s_.PH; h++) {
          begin_window(h, w);
          for (int64_t byte = 0; byte < s_.winner_bytes(); byte++) {
            list_window(
                factors + h * g.stride[2] + w * g.stride[3], g.stride[1],
                masks + h * winners.stride[2] + w * winners.stride[3] + byte * winners.stride[4],
                winners.stride[1], work_.single_winner + 256 * byte, o, count);
          }
          n_positions_ += s_.pool_size();
        }
      }
      flush();
    }
  }

 private:
  void begin_window(int64_t h, int64_t w) {
    if (n_positions_ + s_.pool_size() > work_.max_positions) flush();
    for (int64_t p = 0; p < s_.pool_size(); p++) {
      const int64_t row = (h * s_.pool_h + p / s_.pool_w) * s_.stride_h;
      const int64_t column = (w * s_.pool_w + p % s_.pool_w) * s_.stride_w;
      strip_.offset[n_positions_ + p] =
          static_cast<int32_t>(row * packed_.row + column * groups_.part.C);
      strip_.end[n_positions_ + p] = strip_.terms + (n_positions_ + p) * work_.together;
    }
  }

  // The terms of one window, of `count` filters from `o` on, to the positions of their winners.
  TGM_NOINLINE void list_window(const T* factors, int64_t factor_step, const uint8_t* masks,
                                int64_t mask_step, const int16_t* single_winner, int64_t o,
                                int64_t count) {
    Term<T>** const ends = strip_.end + n_positions_;
    T nonfinite = nonfinite_;
    int64_t offset = o * padded_;
    for (; count > 0; count--, offset += padded_, factors += factor_step, masks += mask_step) {
      const T factor = *factors;
      nonfinite += factor - factor;
      const int position = single_winner[*masks];
      const Term<T> term{factor, static_cast<int32_t>(offset)};
      if (position >= 0) [[likely]] {
        *ends[position] = term;  // no branch on what can't be foreseen: kept if it counts
        ends[position] += factor != T(0);
      } else if (factor != T(0)) {
        for (unsigned mask = *masks; mask != 0; mask &= mask - 1)
          *ends[single_winner[mask & -mask]]++ = term;
      }
    }
    nonfinite_ = nonfinite;
  }

  void flush() {
    for (int64_t group = 0; group < groups_.count; group++) {
      for (int64_t block = 0; block < rows_.blocks(); block++) add_block(group, block);
    }
    n_positions_ = 0;
    nonfinite_ = T(0);
  }

  // Adds what is listed to the patches of one group.
  void add_block(int64_t group, int64_t block) {
    const Span r = rows_.block_rows(block), v = rows_.block_vectors(block);
    const int64_t down = r.last - r.first, across = v.last - v.first;
    const auto add_terms = find_add_patch_block<T>(down, across);
    const T* filters =
        work_.filters + (group * s_.KH + r.first) * s_.O * padded_ + v.first * kLanes<T>;
    T* image = strip_.image + group * packed_.image + r.first * packed_.row + v.first * kLanes<T>;
    const bool direct = v.last < rows_.vectors || rows_.length == padded_ || nonfinite_ == T(0);
    // Windows are listed column by column, and all first positions come first, then all second
    // ones: so patches that overlap don't follow one another, and none is loaded while what was
    // added to it is still on the way to the cache.
    for (int64_t first = 0; first < s_.pool_size(); first++) {
      for (int64_t p = first; p < n_positions_; p += s_.pool_size()) {
        const Term<T>* terms = strip_.terms + p * work_.together;
        const int64_t n = strip_.end[p] - terms;
        if (n == 0) continue;
        T* patch = image + strip_.offset[p];
        if (direct) {
          add_terms(filters, s_.O * padded_, terms, n, patch, packed_.row);
        } else {
          add_cautiously(add_terms, filters, terms, n, patch, down,
                         rows_.length - v.first * kLanes<T>);
        }
      }
    }
  }

  // Where a factor is NaN or inf: the lanes behind a row's end, which are other pixels, would
  // become NaN. So the sum is formed elsewhere, and without them added to the image.
  void add_cautiously(AddPatchBlock<T> add_terms, const T* filters, const Term<T>* terms, int64_t n,
                      T* patch, int64_t down, int64_t length) {
    T sums[kMaxPatchVectors * kMaxPatchVectors * kLanes<T>] = {};
    const int64_t row = kMaxPatchVectors * kLanes<T>;
    add_terms(filters, s_.O * padded_, terms, n, sums, row);
    for (int64_t r = 0; r < down; r++) {
      for (int64_t i = 0; i < length; i++) patch[r * packed_.row + i] += sums[r * row + i];
    }
  }

  const ConvShape& s_;
  const Work<T>& work_;
  Strip<T> strip_;
  ChannelGroups groups_;
  PatchRows<T> rows_;
  PatchImages<T> packed_;
  int64_t padded_;
  int64_t n_positions_ = 0;
  T nonfinite_ = T(0);  // NaN if a listed factor is NaN or inf, else 0
};

// A group of channels of the image's gradient to channels first, and through the epilogue.
template <class T>
void finish_group(const Args& args, const ConvShape& s, const ChannelGroups& groups, int64_t group,
                  const T* image, int64_t n) {
  const PatchImages<T> packed(groups.part);
  const int64_t first = groups.first(group), size = groups.size(group), step = groups.part.C;
  alignas(64) T values[kTileElements];
  const int64_t width = std::min(s.W, kTileElements);
  const int64_t channels = std::min(size, kTileElements / width);
  const int64_t height = width < s.W ? 1 : std::min(s.H, kTileElements / (width * channels));
  for (int64_t c = 0; c < size; c += channels) {
    for (int64_t h = 0; h < s.H; h += height) {
      for (int64_t w = 0; w < s.W; w += width) {
        const int64_t nc = std::min(channels, size - c), nh = std::min(height, s.H - h),
                      nw = std::min(width, s.W - w), pixels = nh * nw;
        const T* from = image + (h + s.pad_h) * packed.row + (w + s.pad_w) * step + c;
        if (nw * step == packed.row) {
          transpose(from, step, values, pixels, pixels, nc);
        } else {
          for (int64_t i = 0; i < nh; i++) {
            transpose(from + i * packed.row, step, values + i * nw, pixels, nw, nc);
          }
        }
        finish_tile(*args.tapes[0],
                    {reinterpret_cast<const char*>(values), pixels, 1, n, first + c, nc,
                     h * s.W + w, pixels},
                    args.in + 3, args.out[0]);
      }
    }
  }
}

template <class T>
void sum_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  if (s.C * s.H * s.W == 0) return;
  const Work<T> work(args, args.workspace);
  const Strip<T> strip = work.strip(chunk);
  const ChannelGroups groups = channel_groups<T>(s);
  const Span span = span_of(s.N, chunk, n_chunks);
  for (int64_t n = span.first; n < span.last; n++) {
    ImageSum<T>(s, work, strip).add(args.in[1], args.in[2], n);
    for (int64_t group = 0; group < groups.count; group++) {
      const T* image = strip.image + group * PatchImages<T>(groups.part).image;
      finish_group(args, s, groups, group, image, n);
    }
  }
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(args, nullptr).bytes;
}

const char* invalid(const Args& args) { return check_conv(args, {kOut, 0, 1, 2, 3, true}); }

}  // namespace

extern const Kernel conv2d_pool_grad_input_kernel = {
    "conv2d_pool_grad_input",
    2,
    {{pack_chunks, TGM_BY_DTYPE(pack_filters)}, {image_chunks, TGM_BY_DTYPE(sum_images)}},
    TGM_BY_DTYPE(work_bytes),
    invalid};

}  // namespace tgm::TGM_TARGET
