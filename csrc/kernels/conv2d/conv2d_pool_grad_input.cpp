// conv2d_pool_grad_input: the input's gradient, the result's coming from behind a pool.
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
// that is channels last too. A patch block of all filters is finished at all positions
// before the next, so that it stays in the L1 cache. Where a row of a patch doesn't fit in
// registers, channels are packed in groups of one vector: then the patch blocks are small, more
// filters share one pass over the image, and their sums are loaded and stored less often.
#include "kernel.hpp"
#include "kernels/conv2d/patches.hpp"
#include "kernels/core/by_dtype.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/long_sum.hpp"
#include "kernels/core/tile.hpp"
#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {

template AddPatchBlock<float> find_add_patch_block(const PatchBlock&);
template AddPatchBlock<double> find_add_patch_block(const PatchBlock&);

namespace {

ConvShape shape(const Args& args) { return conv_shape(args.out[0], args.in[0], args); }

constexpr int64_t kTerms = 16 * 1024;       // room for those listed at once
constexpr int64_t kBlockBytes = 24 * 1024;  // of a patch block of the filters of a pass
constexpr int64_t kMaxFilters = 256;        // of a pass

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

template <class T>
struct Work {
  ChannelGroups groups;
  PatchRows<T> rows;
  PatchImages<T> packed;
  int64_t pass_filters;  // whose terms are listed and added in one pass over the image
  int64_t max_positions;
  bool has_runs;
  T* filters;              // [group][kh][o][padded row]
  T* channels_last;        // [o][kh][kw][c], on the way there
  int32_t* single_winner;  // its position in the window
  // Of a chunk:
  T* image;         // [group][h][w][c]
  T* run;           // the same, of the terms of a run (long_sum.hpp); `image` if all are one
  Term<T>* terms;   // [position of the convolution][filter of the pass]
  int32_t* offset;  // [position], of its patch in the image
  Term<T>** end;    // [position], of its terms
  size_t bytes;

  Work(const Args& args, const ConvShape& s, char* workspace, int64_t chunk)
      : groups(channel_groups<T>(s)), rows(groups.part), packed(groups.part) {
    const int64_t block_bytes = ceil_div(s.KH, std::max<int64_t>(1, rows.down)) *
                                ceil_div(rows.vectors, rows.across) * kVectorBytes;
    pass_filters =
        std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, block_bytes), 8, kMaxFilters);
    pass_filters = std::min(pass_filters, std::max<int64_t>(1, s.O));
    max_positions = std::max(kTerms / pass_filters, s.pool_size());
    has_runs = s.O * s.KH * s.KW > 2 * kFewTerms;  // else the passes for runs aren't worthwhile
    const int64_t run_size = run_length(s.O * s.KH * s.KW);
    if (s.KH * s.KW > run_size) {  // a pixel's taps alone are more than a run
      max_positions = std::max(s.pool_size(), std::min(max_positions, run_size / pass_filters));
    }
    WorkspaceLayout layout{workspace};
    filters = layout.take<T>(groups.count * s.KH * s.O * rows.padded());
    channels_last = layout.take<T>(s.O * groups.part.taps());
    single_winner = layout.take<int32_t>(256 * s.winner_bytes());
    const size_t strip_bytes = take_strip(WorkspaceLayout{nullptr});
    take_strip(WorkspaceLayout{workspace + layout.used + chunk * strip_bytes});
    bytes = layout.used + image_chunks(args) * strip_bytes;
  }

 private:
  size_t take_strip(WorkspaceLayout layout) {
    image = layout.take<T>(packed.size(groups.count));
    run = has_runs ? layout.take<T>(packed.size(groups.count)) : image;
    terms = layout.take<Term<T>>(max_positions * pass_filters + 1);
    offset = layout.take<int32_t>(max_positions);
    end = layout.take<Term<T>*>(max_positions);
    return layout.used;
  }
};

int64_t filter_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return image_chunks(args) == 0 ? 0 : chunks_for(s.O, kPackFlops * s.taps());
}

// Filter o of w to patch rows, as x meets them; what a group has no channel for is zero.
template <class T>
void pack_patch_rows(const ConvShape& s, const Work<T>& work, const Tensor& w, int64_t o) {
  const ConvShape& part = work.groups.part;
  const int64_t taps = s.KH * s.KW, padded = work.rows.padded(), *stride = w.stride;
  T* const channels_last = work.channels_last + o * part.taps();
  for (int64_t group = 0; group < work.groups.count; group++) {
    const T* from = w.as<T>() + o * stride[0] + work.groups.first(group) * stride[1];
    T* to = work.filters + (group * s.KH * s.O + o) * padded;
    const int64_t size = work.groups.size(group);
    if (size < part.C) std::memset(channels_last, 0, part.taps() * sizeof(T));
    if (stride[3] == 1 && stride[2] == s.KW) {
      transpose(from, stride[1], channels_last, part.C, size, taps);
    } else {
      for (int64_t t = 0; t < taps; t++) {
        const T* tap = from + t / s.KW * stride[2] + t % s.KW * stride[3];
        for (int64_t c = 0; c < size; c++) channels_last[t * part.C + c] = tap[c * stride[1]];
      }
    }
    copy_taps(part, channels_last, s.KW * part.C, to, s.O * padded);
    for (int64_t a = 0; a < s.KH; a++, to += s.O * padded) {
      std::fill(to + s.KW * part.C, to + padded, T(0));
    }
  }
}

template <class T>
void pack_rows(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, s, args.workspace, 0);
  const Span span = span_of(s.O, chunk, n_chunks);
  for (int64_t o = span.first; o < span.last; o++) pack_patch_rows(s, work, args.in[0], o);
  if (chunk == 0) fill_single_winner(s, work.single_winner, [](int64_t p) { return p; });
}

// One image: lists terms, adds their rows to the image's gradient.
template <class T>
class ImageSum {
 public:
  ImageSum(const ConvShape& s, const Work<T>& work)
      : s_(s), work_(work), packed_(work.packed), padded_(work.rows.padded()) {}

  void add(const Tensor& g, const Tensor& winners, int64_t n) {
    const int64_t size = packed_.size(work_.groups.count);
    std::fill_n(work_.image, size, T(0));
    if (work_.has_runs) std::fill_n(work_.run, size, T(0));
    for (int64_t o = 0; o < s_.O; o += work_.pass_filters) {
      const int64_t count = std::min(work_.pass_filters, s_.O - o);
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
    end_run();
  }

 private:
  void begin_window(int64_t h, int64_t w) {
    if (n_positions_ + s_.pool_size() > work_.max_positions) flush();
    for (int64_t p = 0; p < s_.pool_size(); p++) {
      const int64_t row = (h * s_.pool_h + p / s_.pool_w) * s_.stride_h;
      const int64_t column = (w * s_.pool_w + p % s_.pool_w) * s_.stride_w;
      work_.offset[n_positions_ + p] =
          static_cast<int32_t>(row * packed_.row + column * work_.groups.part.C);
      work_.end[n_positions_ + p] = work_.terms + (n_positions_ + p) * work_.pass_filters;
    }
  }

  // The terms of one window, of `count` filters from `o` on, to the positions of their winners.
  TGM_NOINLINE void list_window(const T* factors, int64_t factor_step, const uint8_t* masks,
                                int64_t mask_step, const int32_t* single_winner, int64_t o,
                                int64_t count) {
    Term<T>** const ends = work_.end + n_positions_;
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
        for (unsigned mask = *masks; mask != 0; mask &= mask - 1) {
          const int winner = single_winner[mask & -mask];
          if (winner >= 0) *ends[winner]++ = term;
        }
      }
    }
    nonfinite_ = nonfinite;
  }

  void flush() {
    for (int64_t group = 0; group < work_.groups.count; group++) {
      for (int64_t i = 0; i < work_.rows.blocks(); i++) add_block(group, work_.rows.block(i));
    }
    in_run_ +=
        work_.pass_filters * std::min(n_positions_, s_.KH * s_.KW);  // terms of a pixel at most
    if (in_run_ >= run_length(s_.O * s_.KH * s_.KW)) end_run();
    n_positions_ = 0;
    nonfinite_ = T(0);
  }

  void end_run() {
    if (!work_.has_runs || in_run_ == 0) return;
    in_run_ = 0;
    const int64_t size = packed_.size(work_.groups.count);
    for (int64_t i = 0; i < size; i++) work_.image[i] += work_.run[i];
    std::fill_n(work_.run, size, T(0));
  }

  // Adds what is listed to the patches of one group.
  void add_block(int64_t group, const PatchBlock& block) {
    const PatchRows<T>& rows = work_.rows;
    const auto add_terms = find_add_patch_block<T>(block);
    const T* filters =
        work_.filters + (group * s_.KH + block.row) * s_.O * padded_ + block.vector * kLanes<T>;
    T* image = work_.run + group * packed_.image + packed_.offset(block);
    const bool inside = block.vector + block.vectors < rows.vectors || rows.length == padded_;
    // Windows are listed column by column, and all first positions come first, then all second
    // ones: so patches that overlap don't follow one another, and none is loaded while what was
    // added to it is still on the way to the cache.
    for (int64_t first = 0; first < s_.pool_size(); first++) {
      for (int64_t p = first; p < n_positions_; p += s_.pool_size()) {
        const Term<T>* terms = work_.terms + p * work_.pass_filters;
        const int64_t n = work_.end[p] - terms;
        if (n == 0) continue;
        T* patch = image + work_.offset[p];
        if (inside || nonfinite_ == T(0)) {
          add_terms(filters, s_.O * padded_, terms, n, patch, packed_.row);
        } else {
          add_inside(add_terms, filters, terms, n, patch, block);
        }
      }
    }
  }

  // Where a factor is NaN or inf: the lanes behind a row's end, which are other pixels, would
  // become NaN. So the sum is formed elsewhere, and without them added to the image.
  void add_inside(AddPatchBlock<T> add_terms, const T* filters, const Term<T>* terms, int64_t n,
                  T* patch, const PatchBlock& block) {
    T sums[kMaxPatchVectors * kMaxPatchVectors * kLanes<T>] = {};
    const int64_t row = kMaxPatchVectors * kLanes<T>;
    const int64_t length = work_.rows.length - block.vector * kLanes<T>;
    add_terms(filters, s_.O * padded_, terms, n, sums, row);
    for (int64_t r = 0; r < block.rows; r++) {
      for (int64_t i = 0; i < length; i++) patch[r * packed_.row + i] += sums[r * row + i];
    }
  }

  const ConvShape& s_;
  const Work<T>& work_;
  const PatchImages<T> packed_;
  const int64_t padded_;
  int64_t n_positions_ = 0, in_run_ = 0;
  T nonfinite_ = T(0);  // NaN if a listed factor is NaN or inf, else 0
};

// A group of channels of the image's gradient to channels first, and through the epilogue.
template <class T>
void finish_group(const Args& args, const ConvShape& s, const Work<T>& work, int64_t group,
                  int64_t n) {
  const int64_t step = work.groups.part.C, size = work.groups.size(group), pixels = s.H * s.W;
  const int64_t row = work.packed.row;
  const T* image = work.image + group * work.packed.image + s.pad_h * row + s.pad_w * step;
  alignas(64) T values[kTileElements];
  const int64_t channels = std::min(size, kTileElements / std::min(s.W, kTileElements));
  for (int64_t c = 0; c < size; c += channels) {
    const int64_t nc = std::min(channels, size - c), tile = kTileElements / nc;
    for (int64_t first = 0; first < pixels; first += tile) {
      const int64_t n_pixels = std::min(tile, pixels - first), last = first + n_pixels;
      for (int64_t q = first; q < last;) {
        const int64_t same_row = s.pad_w == 0 ? last - q : std::min(last - q, s.W - q % s.W);
        transpose(image + q / s.W * row + q % s.W * step + c, step, values + q - first, n_pixels,
                  same_row, nc);
        q += same_row;
      }
      finish_tile(*args.tapes[0],
                  {reinterpret_cast<const char*>(values), n_pixels, 1, n,
                   work.groups.first(group) + c, nc, first, n_pixels},
                  args.in + 3, args.out[0]);
    }
  }
}

template <class T>
void sum_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  if (s.C * s.H * s.W == 0) return;
  const Work<T> work(args, s, args.workspace, chunk);
  const Span span = span_of(s.N, chunk, n_chunks);
  for (int64_t n = span.first; n < span.last; n++) {
    ImageSum<T>(s, work).add(args.in[1], args.in[2], n);
    for (int64_t group = 0; group < work.groups.count; group++) {
      finish_group(args, s, work, group, n);
    }
  }
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(args, shape(args), nullptr, 0).bytes;
}

template <class T>
const char* invalid(const Args& args) {
  if (const char* why = check_conv(args, {kOut, 0, 1, 2})) return why;
  return check_offsets<T>(channel_groups<T>(shape(args)));
}

}  // namespace

extern const Kernel conv2d_pool_grad_input_kernel = {
    "conv2d_pool_grad_input",
    2,
    {{filter_chunks, TGM_BY_DTYPE(pack_rows)}, {image_chunks, TGM_BY_DTYPE(sum_images)}},
    TGM_BY_DTYPE(work_bytes),
    TGM_BY_DTYPE(invalid)};

}  // namespace tgm::TGM_TARGET
