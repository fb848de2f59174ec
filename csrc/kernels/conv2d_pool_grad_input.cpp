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
// position, the filters that won there, adds their rows up in registers, and adds the sum once to an
// image that lies channels last too. A row of all filters is worked through at all positions before
// the next, so that it stays in the L1 cache.
#include "kernels/conv_check.hpp"
#include "kernels/patch_rows.hpp"
#include "kernels/table.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kTerms = 4096;           // listed at once; more if a window has more positions
constexpr int64_t kRowBytes = 24 * 1024;   // of one packed row of the filters worked on together
constexpr int64_t kMaxFilters = 256;       // worked on together

ConvShape shape(const Args& args) {
  return conv_shape(args.out[0], args.in[0], args.ints, true);
}

// A position of the convolution with its terms.
struct Place {
  int32_t offset;  // of its patch in the image
  int32_t first, last;
};

int64_t image_chunks(const Args& args) {
  const ConvShape s = shape(args);
  const int64_t windows = s.O * s.PH * s.PW;
  const int64_t flops =
      windows * (2 * s.taps() + 8 * s.pool_size()) + s.C * s.H * s.W * epilogue_cost(*args.tapes[0]);
  return std::min(kMaxStrips, chunks_for(s.N, flops));
}

template <class T>
struct Work {
  T* filters;     // [kh][o][padded row]
  T* image;       // of this chunk: [h][w][c]
  Term<T>* terms;
  Place* places;
  int64_t max_terms, max_places;
  size_t bytes;

  Work(const Args& args, char* workspace, int64_t chunk) {
    const ConvShape s = shape(args);
    const int64_t n_chunks = image_chunks(args);
    Pieces pieces{workspace};
    max_terms = std::max(kTerms, s.pool_size());
    max_places = std::max(kTerms / 4, s.pool_size());
    filters = pieces.take<T>(s.KH * s.O * PatchRows<T>(s).padded());
    const size_t start = pieces.used;
    image = pieces.take<T>(PatchImages<T>(s).size(1));
    terms = pieces.take<Term<T>>(max_terms);
    places = pieces.take<Place>(max_places);
    const size_t strip = pieces.used - start;
    image = reinterpret_cast<T*>(reinterpret_cast<char*>(image) + chunk * strip);
    terms = reinterpret_cast<Term<T>*>(reinterpret_cast<char*>(terms) + chunk * strip);
    places = reinterpret_cast<Place*>(reinterpret_cast<char*>(places) + chunk * strip);
    bytes = start + n_chunks * strip;
  }
};

int64_t pack_chunks(const Args& args) {
  const ConvShape s = shape(args);
  return image_chunks(args) == 0 ? 0 : chunks_for(s.O, kPackFlops * s.taps());
}

template <class T>
void pack_filters(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  const Work<T> work(args, args.workspace, 0);
  const Tensor& w = args.in[0];
  const int64_t padded = PatchRows<T>(s).padded(), length = s.KW * s.C;
  const Span span = span_of(s.O, chunk, n_chunks);
  for (int64_t o = span.first; o < span.last; o++) {
    for (int64_t a = 0; a < s.KH; a++) {
      T* to = work.filters + (a * s.O + o) * padded;
      const T* from = w.as<T>() + o * w.stride[0] + (s.flip ? s.KH - 1 - a : a) * w.stride[2];
      for (int64_t b = 0; b < s.KW; b++) {
        const T* tap = from + (s.flip ? s.KW - 1 - b : b) * w.stride[3];
        for (int64_t c = 0; c < s.C; c++) to[b * s.C + c] = tap[c * w.stride[1]];
      }
      for (int64_t i = length; i < padded; i++) to[i] = T(0);
    }
  }
}

// The filters [first, last) that are worked on together.
int64_t filters_together(const ConvShape& s, int64_t row_bytes, int64_t max_terms) {
  const int64_t fit = std::clamp<int64_t>(kRowBytes / std::max<int64_t>(1, row_bytes), 8, kMaxFilters);
  return std::min(fit, std::max<int64_t>(1, max_terms / s.pool_size()));
}

// One image: lists terms, adds their rows to the image's gradient.
template <class T>
class ImageSum {
 public:
  ImageSum(const ConvShape& s, const Work<T>& work)
      : s_(s), work_(work), rows_(s), packed_(s), padded_(rows_.padded()) {
    const int64_t last = rows_.length - (rows_.vectors - 1) * kLanes<T>;
    for (int64_t i = 0; i < kLanes<T>; i++) kept_[i] = i < last;
  }

  void add(const Tensor& g, const Tensor& winners, int64_t n) {
    std::memset(work_.image, 0, packed_.size(1) * sizeof(T));
    const int64_t together = filters_together(s_, padded_ * sizeof(T), work_.max_terms);
    for (int64_t o = 0; o < s_.O; o += together) {
      const Span filters{o, std::min(s_.O, o + together)};
      for (int64_t h = 0; h < s_.PH; h++) {
        for (int64_t w = 0; w < s_.PW; w++) list_window(g, winners, n, filters, h, w);
      }
      flush();
    }
  }

 private:
  void list_window(const Tensor& g, const Tensor& winners, int64_t n, Span filters, int64_t h,
                   int64_t w) {
    const int64_t count = filters.last - filters.first;
    if (n_terms_ + count * s_.pool_size() > work_.max_terms ||
        n_places_ + s_.pool_size() > work_.max_places) {
      flush();
    }
    const T* from = g.as<T>() + n * g.stride[0] + filters.first * g.stride[1] + h * g.stride[2] +
                    w * g.stride[3];
    const uint8_t* mask = winners.as<uint8_t>() + n * winners.stride[0] +
                          filters.first * winners.stride[1] + h * winners.stride[2] +
                          w * winners.stride[3];
    // The filters with a gradient first: which they are can't be foreseen, so no branch on it.
    T factor[kMaxFilters];
    int32_t number[kMaxFilters];
    int64_t live = 0;
    for (int64_t i = 0; i < count; i++) {
      factor[live] = from[i * g.stride[1]];
      number[live] = static_cast<int32_t>(i);
      live += factor[live] != T(0);
    }
    for (int64_t bit = 0; bit < s_.pool_size(); bit++) {
      const int32_t first = static_cast<int32_t>(n_terms_);
      const uint8_t* byte = mask + bit / 8 * winners.stride[4];
      for (int64_t i = 0; i < live; i++) {
        const int64_t offset = (filters.first + number[i]) * padded_;
        work_.terms[n_terms_] = {factor[i], static_cast<int32_t>(offset)};
        n_terms_ += byte[number[i] * winners.stride[1]] >> bit % 8 & 1;
      }
      const int64_t row = (h * s_.pool_h + bit / s_.pool_w) * s_.stride_h;
      const int64_t column = (w * s_.pool_w + bit % s_.pool_w) * s_.stride_w;
      work_.places[n_places_] = {static_cast<int32_t>(row * packed_.row + column * s_.C), first,
                                 static_cast<int32_t>(n_terms_)};
      n_places_ += n_terms_ > first;
    }
  }

  void flush() {
    for (int64_t block = 0; block < rows_.blocks(); block++) {
      const Span r = rows_.block_rows(block), v = rows_.block_vectors(block);
      const int64_t down = r.last - r.first, across = v.last - v.first;
      const auto add_terms = find_add_patch_block<T>(down, across);
      const T* filters = work_.filters + r.first * s_.O * padded_ + v.first * kLanes<T>;
      T* image = work_.image + r.first * packed_.row + v.first * kLanes<T>;
      alignas(64) T sums[kMaxPatchVectors * kLanes<T>];
      for (int64_t p = 0; p < n_places_; p++) {
        const Place& place = work_.places[p];
        std::memset(sums, 0, down * across * sizeof(Vec<T>));
        add_terms(filters, s_.O * padded_, work_.terms + place.first, place.last - place.first,
                  sums, across * kLanes<T>);
        add_to_image(sums, down, across, v.last == rows_.vectors, image + place.offset);
      }
    }
    n_terms_ = n_places_ = 0;
  }

  // The lanes behind a row's end are left out: 0 * inf is not 0, and they are other pixels.
  void add_to_image(const T* sums, int64_t down, int64_t across, bool has_end, T* image) {
    for (int64_t r = 0; r < down; r++, image += packed_.row, sums += across * kLanes<T>) {
      const int64_t whole = across - has_end;
      for (int64_t v = 0; v < whole; v++) {
        T* to = image + v * kLanes<T>;
        store(to, load(to) + load(sums + v * kLanes<T>));
      }
      if (!has_end) continue;
      T* to = image + whole * kLanes<T>;
      const Vec<T> sum = load(sums + whole * kLanes<T>);
      store(to, load(to) + (load(kept_) != Vec<T>{} ? sum : Vec<T>{}));
    }
  }

  const ConvShape& s_;
  const Work<T>& work_;
  PatchRows<T> rows_;
  PatchImages<T> packed_;
  int64_t padded_;
  int64_t n_terms_ = 0, n_places_ = 0;
  alignas(64) T kept_[kLanes<T>];  // 1 for the lanes of a row's last vector that belong to it
};

// The image's gradient to channels first, and through the epilogue.
template <class T>
void finish_image(const Args& args, const ConvShape& s, const T* image, int64_t n) {
  const PatchImages<T> packed(s);
  alignas(64) T values[kTileElements];
  const int64_t width = std::min(s.W, kTileElements);
  const int64_t channels = std::min(s.C, kTileElements / width);
  const int64_t height = width < s.W ? 1 : std::min(s.H, kTileElements / (width * channels));
  for (int64_t c = 0; c < s.C; c += channels) {
    for (int64_t h = 0; h < s.H; h += height) {
      for (int64_t w = 0; w < s.W; w += width) {
        const int64_t nc = std::min(channels, s.C - c), nh = std::min(height, s.H - h),
                      nw = std::min(width, s.W - w), pixels = nh * nw;
        for (int64_t i = 0; i < nh; i++) {
          const T* from = image + (h + i + s.pad_h) * packed.row + (w + s.pad_w) * s.C + c;
          transpose(from, s.C, values + i * nw, pixels, nw, nc);
        }
        finish_tile(*args.tapes[0],
                    {reinterpret_cast<const char*>(values), pixels, 1, n, c, nc, h * s.W + w,
                     pixels},
                    args.in + 3, args.out[0]);
      }
    }
  }
}

template <class T>
void sum_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  const ConvShape s = shape(args);
  if (s.C * s.H * s.W == 0) return;
  const Work<T> work(args, args.workspace, chunk);
  const Span span = span_of(s.N, chunk, n_chunks);
  for (int64_t n = span.first; n < span.last; n++) {
    ImageSum<T>(s, work).add(args.in[1], args.in[2], n);
    finish_image(args, s, work.image, n);
  }
}

template <class T>
size_t work_bytes(const Args& args) {
  return Work<T>(args, nullptr, 0).bytes;
}

void pack(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, pack_filters, args, chunk, n_chunks);
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  TGM_FLOATS(args.in[0].dtype, sum_images, args, chunk, n_chunks);
}

size_t workspace_bytes(const Args& args) { return TGM_FLOATS(args.in[0].dtype, work_bytes, args); }

const char* invalid(const Args& args) { return check_conv(args, {kOut, 0, 1, 2, 3, true}); }

}  // namespace

extern const Kernel conv2d_pool_grad_input_kernel = {"conv2d_pool_grad_input",
                                                     2,
                                                     {{pack_chunks, pack}, {image_chunks, run}},
                                                     workspace_bytes,
                                                     invalid};

}  // namespace tgm::TGM_TARGET
