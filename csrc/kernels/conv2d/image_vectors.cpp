// Convolutions whose vectors run over images: see image_vectors.hpp.
#include "kernels/conv2d/image_vectors.hpp"

#include <cmath>

#include "kernels/core/workspace.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int L = kImageLanes, F = kLaneFilters, P = kLanePositions;

constexpr int64_t kEnoughGroups = 6;               // of images: need not be cut further
constexpr int64_t kLaneUnits = 8;                  // of work, where groups are fewer
constexpr int64_t kFewRows = 6, kFewFilters = 12;  // of results of a unit
constexpr int64_t kStripVectors = 8192;            // of images: a quarter of L2, or half
constexpr int64_t kSetResults = 4096;              // of a strip that are in memory at once

// The sums of a block of filters.
struct LaneBlock {
  const float* x;
  int64_t plane, row, column;  // from a tap to the next
  const float* filters;        // [c][kh][kw][filter]
  int64_t channels, kernel_h, kernel_w;
  float* sums;  // [filter][result][lane]
  int64_t results;
};

// The sums of N of a tile's positions, from number `first` on.
template <int N>
TGM_NOINLINE void add_tile(const LaneBlock& block, const LaneTile& tile, int64_t first) {
  RegisterTile<float, F, N> sums;
  sums.clear();
  const int64_t begin_h = tile.rows[0], begin_w = tile.columns[0];
  const int64_t height = tile.rows[1] - begin_h, width = tile.columns[1] - begin_w;
  const float* pixels[N];
#pragma GCC unroll 8
  for (int p = 0; p < N; p++) {
    pixels[p] = block.x + tile.x[first + p] * L + begin_h * block.row + begin_w * block.column;
  }
  const float* filter = block.filters + (begin_h * block.kernel_w + begin_w) * F;
  const int64_t next_row = (block.kernel_w - width) * F;
  const int64_t next_channel = (block.kernel_h - height) * block.kernel_w * F;
  const int64_t step_row = block.row - width * block.column;
  for (int64_t c = 0; c < block.channels; c++, filter += next_channel) {
    int64_t offset = c * block.plane;
    for (int64_t h = 0; h < height; h++, filter += next_row, offset += step_row) {
      for (int64_t w = 0; w < width; w++, filter += F, offset += block.column) {
        sums.add_products([&](int f) { return splat(filter[f]); },
                          [&](int p) { return load(pixels[p] + offset); });
      }
    }
  }
  sums.write(
      [&](int f, int p) { return block.sums + (f * block.results + tile.out[first + p]) * L; });
}

// One position alone waits for the latency of its products, but few of them take less time than a
// whole tile.
void add_positions(const LaneBlock& block, const LaneTile& tile) {
  if (2 * tile.count >= P) return add_tile<P>(block, tile, 0);
  for (int64_t p = 0; p < tile.count; p++) add_tile<1>(block, tile, p);
}

AxisPhase forward_phase(int64_t stride, int64_t kernel, int64_t pad, bool flip, int64_t out_size) {
  return {0, 1, out_size, (flip ? kernel - 1 : 0) - pad, stride, kernel, flip ? -1 : 1};
}

// Pixels whose number in the padded image is `phase`, modulo the stride: they meet every stride-th
// tap.
AxisPhase gradient_phase(int64_t stride, int64_t kernel, int64_t pad, int64_t phase,
                         int64_t image) {
  const int64_t first = (phase + stride - pad % stride) % stride;
  return {first,
          stride,
          ceil_div(std::max<int64_t>(0, image - first), stride),
          (first + pad) / stride,
          1,
          ceil_div(std::max<int64_t>(0, kernel - phase), stride),
          -1};
}

// Positions of the zones of an axis: those that meet zeros before the image; nothing but the image;
// zeros behind it.
struct Zones {
  int64_t ends[4];

  Zones(const AxisPhase& phase, Span positions, int64_t size) {
    auto is_whole = [&](int64_t m) {
      const Span taps = phase.inside(m, size);
      return taps.last - taps.first == phase.taps;
    };
    int64_t first = positions.first, last = positions.last;
    while (first < last && !is_whole(first)) first++;
    while (last > first && !is_whole(last - 1)) last--;
    ends[0] = positions.first, ends[1] = first, ends[2] = last, ends[3] = positions.last;
  }
  int64_t first(int zone) const { return ends[zone]; }
  int64_t size(int zone) const { return ends[zone + 1] - ends[zone]; }
};

}  // namespace

int64_t LaneAxis::most_met(int64_t n) const {
  const AxisPhase& phase = phases[0];  // has the most taps; the others begin there or one further
  return (n - 1) / phase.out_step * phase.in_step + phase.taps + (n_phases > 1);
}

int64_t LaneAxis::most_out(int64_t met) const {
  const AxisPhase& phase = phases[0];
  const int64_t more = met - phase.taps - (n_phases > 1);
  return more < 0 ? 0 : (more / phase.in_step + 1) * phase.out_step;
}

Span LaneAxis::meets(Span numbers) const {
  Span all{0, 0};
  bool any = false;
  for (int64_t i = 0; i < n_phases; i++) {
    const AxisPhase& phase = phases[i];
    const Span positions = phase.between(numbers);
    if (positions.first == positions.last || phase.taps == 0) continue;
    for (const int64_t m : {positions.first, positions.last - 1}) {
      for (const int64_t t : {int64_t{0}, phase.taps - 1}) {
        const int64_t at = phase.meets(m, t);
        all = any ? Span{std::min(all.first, at), std::max(all.last, at + 1)} : Span{at, at + 1};
        any = true;
      }
    }
  }
  return all;
}

struct ImageVectors::Part {
  int64_t number;
  const AxisPhase &rows, &columns;
  int64_t taps, before;  // of a filter; of all filters in the parts before
};

ImageVectors::ImageVectors(const ConvShape& s, const Args& args, bool forward, char* workspace)
    : s_(s),
      forward_(forward),
      images_(s.N),
      channels_(forward ? s.C : s.O),
      filters_(forward ? s.O : s.C) {
  if (!kHasImageLanes || args.in[0].dtype != DType::Float32 || s.pooled) return;
  if (s.N < kImageLanes || std::min({s.C, s.O, s.OH, s.OW, s.H, s.W}) == 0) return;
  if (forward) {
    rows_ = {s.H, s.OH, 1, {forward_phase(s.stride_h, s.KH, s.pad_h, s.flip, s.OH)}};
    columns_ = {s.W, s.OW, 1, {forward_phase(s.stride_w, s.KW, s.pad_w, s.flip, s.OW)}};
  } else {
    if (std::max(s.stride_h, s.stride_w) > kMaxLanePhases) return;
    rows_ = {s.OH, s.H, s.stride_h, {}}, columns_ = {s.OW, s.W, s.stride_w, {}};
    for (int64_t i = 0; i < s.stride_h; i++) {
      rows_.phases[i] = gradient_phase(s.stride_h, s.KH, s.pad_h, i, s.H);
    }
    for (int64_t i = 0; i < s.stride_w; i++) {
      columns_.phases[i] = gradient_phase(s.stride_w, s.KW, s.pad_w, i, s.W);
    }
  }
  if (part(0).taps > kFewTerms || !is_worthwhile()) return;  // no part has more taps
  cut();
  if (fits()) lay_out(workspace);
}

ImageVectors ImageVectors::forward(const ConvShape& s, const Args& args, char* workspace) {
  return {s, args, true, workspace};
}

ImageVectors ImageVectors::grad_input(const ConvShape& s, const Args& args, char* workspace) {
  return {s, args, false, workspace};
}

// By the vectors of sums, here with images in the lanes, there with filters. A lone vector of
// filters waits for the latency of products; with a stride, zeros are left out of more sums here.
bool ImageVectors::is_worthwhile() const {
  const int64_t here = groups() * blocks() * F * (s_.stride_h * s_.stride_w > 1 ? 85 : 100);
  const int64_t vectors = ceil_div(filters_, kLanes<float>);
  return here < images_ * vectors * (vectors == 1 ? 110 : 100);
}

// Strips of rows that fit the cache. Few groups of images are cut further, for the threads: large
// images into more strips, and filters into parts, each of which packs the images anew.
void ImageVectors::cut() {
  const Span columns = columns_.meets({0, columns_.out_size});
  const int64_t left = std::max<int64_t>(0, -columns.first);
  planes_ = {
      channels_, rows_.size, columns_.size, left, left + std::max(columns.last, columns_.size), 0};
  const int64_t height = rows_.out_size;
  const int64_t fit = rows_.most_out(kStripVectors / (channels_ * planes_.width));
  if (fit <= 0) return;
  const int64_t wanted = groups() < kEnoughGroups ? ceil_div(kLaneUnits, groups()) : 1;
  strips_ = std::max(ceil_div(height, fit), std::min(wanted, height / kFewRows));
  filter_parts_ = std::clamp<int64_t>(wanted / strips_, 1, ceil_div(filters_, kFewFilters));
  const int64_t most = ceil_div(height, strips_);
  planes_.rows = rows_.most_met(most);
  results_ = most * columns_.out_size;
}

void ImageVectors::lay_out(char* workspace) {
  set_ = std::clamp<int64_t>(kSetResults / results_ / F, 1, ceil_div(blocks(), filter_parts_));
  part_tiles_ = results_ / P + 2;  // the last may be filled up, and one more is begun
  WorkspaceLayout layout{workspace}, buffer{nullptr};
  packed_ = layout.take<float>(blocks() * F * channels_ * s_.KH * s_.KW);
  finite_ = layout.take<bool>(blocks());
  tiles_ = layout.take<LaneTile>(strips_ * parts() * part_tiles_);
  tile_counts_ = layout.take<int64_t>(strips_ * parts());
  buffer.take<float>(planes_.size());
  buffer.take<float>(2 * set_ * F * results_ * L);
  buffers_ = Buffers(layout, chunks(), buffer.used);
  workspace_bytes = layout.used;
}

ImageVectors::Part ImageVectors::part(int64_t number) const {
  int64_t before = 0, taps = 0;
  for (int64_t i = 0; i <= number; i++) {
    before += taps;
    taps = channels_ * rows_.phases[i / columns_.n_phases].taps *
           columns_.phases[i % columns_.n_phases].taps;
  }
  return {number, rows_.phases[number / columns_.n_phases],
          columns_.phases[number % columns_.n_phases], taps, before * blocks() * F};
}

FilterView<float> ImageVectors::filters_of(const Part& part, const Tensor& w) const {
  if (forward_) return FilterView<float>::of(w);
  const int64_t i = part.number / columns_.n_phases, j = part.number % columns_.n_phases;
  const int64_t sign = s_.flip ? -1 : 1;
  const int64_t kh = s_.flip ? s_.KH - 1 - i : i, kw = s_.flip ? s_.KW - 1 - j : j;
  return {w.as<float>() + kh * w.stride[2] + kw * w.stride[3],
          s_.O,
          part.rows.taps,
          part.columns.taps,
          {w.stride[1], w.stride[0], sign * s_.stride_h * w.stride[2],
           sign * s_.stride_w * w.stride[3]}};
}

int64_t ImageVectors::pack_chunks() const {
  return 1 + chunks_for(blocks(), kPackFlops * F * channels_ * s_.KH * s_.KW);
}

void ImageVectors::pack(const Args& args, int64_t chunk) const {
  if (chunk == 0) {
    buffers_.release_all();
    for (int64_t strip = 0; strip < strips_; strip++) pack_tiles(strip);
    return;
  }
  const Tensor& w = args.in[forward_ ? 1 : 0];
  const Span span = span_of(blocks(), chunk - 1, pack_chunks() - 1);
  for (int64_t block = span.first; block < span.last; block++) {
    finite_[block] = true;
    for (int64_t i = 0; i < parts(); i++) {
      const Part part = this->part(i);
      float* const to = packed_ + part.before + block * part.taps * F;
      pack_filters(filters_of(part, w), block * F, std::min<int64_t>(F, filters_ - block * F), F,
                   to);
      for (int64_t k = 0; k < part.taps * F; k++) finite_[block] &= std::isfinite(to[k]);
    }
  }
}

// The tiles of a strip. Positions of one zone go together, since they leave out the same taps; what
// is left of the zones, in the order in which they go around the image.
void ImageVectors::pack_tiles(int64_t strip) const {
  constexpr int kRing[9][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 2}, {2, 2},
                               {2, 1}, {2, 0}, {1, 0}, {1, 1}};
  const Span numbers = strip_rows(strip);
  const int64_t first_row = rows_.meets(numbers).first;
  for (int64_t i = 0; i < parts(); i++) {
    const Part part = this->part(i);
    const Zones rows(part.rows, part.rows.between(numbers), rows_.size);
    const Zones columns(part.columns, {0, part.columns.count}, columns_.size);
    LaneTile *const tiles = tiles_ + (strip * parts() + i) * part_tiles_, *tile = tiles;
    tile->count = 0;
    auto add = [&](LaneTile& to, int64_t h, int64_t w) {
      const Span taps_h = part.rows.inside(h, rows_.size);
      const Span taps_w = part.columns.inside(w, columns_.size);
      auto join = [&](int32_t* range, Span taps) {
        range[0] =
            static_cast<int32_t>(to.count ? std::min<int64_t>(range[0], taps.first) : taps.first);
        range[1] =
            static_cast<int32_t>(to.count ? std::max<int64_t>(range[1], taps.last) : taps.last);
      };
      join(to.rows, taps_h), join(to.columns, taps_w);
      const int64_t x = (part.rows.meets(h, 0) - first_row) * planes_.width + planes_.left +
                        part.columns.meets(w, 0);
      const int64_t out =
          (part.rows.out + h * part.rows.out_step - numbers.first) * columns_.out_size +
          part.columns.out + w * part.columns.out_step;
      for (int p = to.count++; p < P; p++) {  // the last one fills the tile
        to.x[p] = static_cast<int32_t>(x), to.out[p] = static_cast<int32_t>(out);
      }
    };
    int64_t left[9 * P][2], n_left = 0;
    for (const auto& [zone_h, zone_w] : kRing) {
      const int64_t height = rows.size(zone_h), width = columns.size(zone_w), n = height * width;
      for (int64_t k = 0; k < n; k++) {
        const bool down = zone_w != 1;  // beside the image
        const int64_t h = rows.first(zone_h) + (down ? k % height : k / width);
        const int64_t w = columns.first(zone_w) + (down ? k / height : k % width);
        if (k >= n / P * P) {
          left[n_left][0] = h, left[n_left++][1] = w;
          continue;
        }
        add(*tile, h, w);
        if (tile->count == P) (++tile)->count = 0;
      }
    }
    for (int64_t k = 0; k < n_left; k++) {
      add(*tile, left[k][0], left[k][1]);
      if (tile->count == P) (++tile)->count = 0;
    }
    tile_counts_[strip * parts() + i] = tile - tiles + (tile->count > 0);
  }
}

int64_t ImageVectors::units() const { return groups() * strips_ * filter_parts_; }
int64_t ImageVectors::chunks() const { return std::min(units(), kMaxBuffers); }

void ImageVectors::run(const Args& args, int64_t chunk, int64_t n_chunks) const {
  const Span span = span_of(units(), chunk, n_chunks);
  buffers_.with_buffer([&](char* buffer) {
    for (int64_t unit = span.first; unit < span.last; unit++) {
      const int64_t images = unit / filter_parts_;
      run_unit(args, images % strips_, span_of(images_, images / strips_, groups()),
               span_of(blocks(), unit % filter_parts_, filter_parts_), buffer);
    }
  });
}

void ImageVectors::run_unit(const Args& args, int64_t strip, Span images, Span blocks,
                            char* buffer) const {
  WorkspaceLayout layout{buffer};
  float* const x = layout.take<float>(planes_.size());
  float* const sums = layout.take<float>(2 * set_ * F * results_ * L);
  float* const rows = sums + set_ * F * results_ * L;
  const Span numbers = strip_rows(strip);
  pack_lanes(planes_, args.in[forward_ ? 0 : 1], images, rows_.meets(numbers).first, x);
  const int64_t results = (numbers.last - numbers.first) * columns_.out_size;
  for (int64_t block = blocks.first; block < blocks.last; block += set_) {
    const Span set{block, std::min(blocks.last, block + set_)};
    for (int64_t i = 0; i < parts(); i++) add_part(part(i), strip, set, x, sums);
    const int64_t first = block * F, size = std::min(filters_, set.last * F) - first;
    const int64_t n = size * results;
    transpose(sums, L, rows, n, n, L);
    for (int64_t image = images.first; image < images.last; image++) {
      finish_tile(*args.tapes[0],
                  {reinterpret_cast<const char*>(rows + (image - images.first) * n), results, 1,
                   image, first, size, numbers.first * columns_.out_size, results},
                  args.in + 2, args.out[0]);
    }
  }
}

// The sums of some blocks of filters; all of a tile's, while what it meets is in the cache.
void ImageVectors::add_part(const Part& part, int64_t strip, Span blocks, const float* x,
                            float* sums) const {
  const Span numbers = strip_rows(strip);
  const int64_t results = (numbers.last - numbers.first) * columns_.out_size;
  const int64_t list = strip * parts() + part.number;
  for (int64_t i = 0; i < tile_counts_[list]; i++) {
    const LaneTile& tile = tiles_[list * part_tiles_ + i];
    LaneTile whole = tile;  // of which zeros count
    whole.rows[0] = whole.columns[0] = 0;
    whole.rows[1] = static_cast<int32_t>(part.rows.taps);
    whole.columns[1] = static_cast<int32_t>(part.columns.taps);
    for (int64_t block = blocks.first; block < blocks.last; block++) {
      add_positions(
          {x, planes_.plane(), part.rows.tap_step * planes_.row(), part.columns.tap_step * L,
           packed_ + part.before + block * part.taps * F, channels_, part.rows.taps,
           part.columns.taps, sums + (block - blocks.first) * F * results * L, results},
          finite_[block] ? tile : whole);
    }
  }
}

}  // namespace tgm::TGM_TARGET
