// Convolutions whose vectors run over images: forward ones and the gradient of the input, of many
// images, where vectors of filters or of channels would have lanes to spare.
//
// The inner loop keeps some positions x kLaneFilters filters in registers, a vector of images each.
// For each tap it loads one vector of the packed images (image_lanes.hpp) per position, and one
// broadcast weight per filter. Taps that meet only the zeros around an image are left out, unless a
// filter has a weight that is NaN or inf.
//
// Every position adds its taps in the order (c, kh, kw), one fused multiply-add each, from zero: so
// results have the bits of filter_vectors.hpp.
#pragma once

#include <cstdint>

#include "kernels/conv2d/filter_vectors.hpp"
#include "kernels/conv2d/image_lanes.hpp"
#include "kernels/core/buffers.hpp"

namespace tgm::TGM_TARGET {

constexpr int64_t kMaxLanePhases = 4;  // of an axis: the largest stride of a gradient

// Positions along one axis of the output that meet the same taps: position m is number
// out + m * out_step, and its tap t meets number in + m * in_step + t * tap_step of the input.
struct AxisPhase {
  int64_t out, out_step, count;
  int64_t in, in_step;
  int64_t taps, tap_step;

  int64_t meets(int64_t m, int64_t t) const { return in + m * in_step + t * tap_step; }
  // The positions whose numbers lie in a span.
  Span between(Span numbers) const {
    auto before = [&](int64_t number) {
      return std::clamp<int64_t>(ceil_div(std::max<int64_t>(0, number - out), out_step), 0, count);
    };
    return {before(numbers.first), before(numbers.last)};
  }
  // The taps with which a position meets 0 to size - 1.
  Span inside(int64_t m, int64_t size) const {
    const int64_t first = meets(m, 0);
    const int64_t low = tap_step > 0 ? -first : first - size + 1;
    const int64_t high = tap_step > 0 ? size - first : first + 1;
    const int64_t begin = std::clamp<int64_t>(low, 0, taps);
    return {begin, std::clamp<int64_t>(high, begin, taps)};
  }
};

// One axis: its phases, and what they meet.
struct LaneAxis {
  int64_t size, out_size;
  int64_t n_phases;
  AxisPhase phases[kMaxLanePhases];

  // How many rows n positions side by side meet, at most; how many positions meet so few.
  int64_t most_met(int64_t n) const;
  int64_t most_out(int64_t met) const;
  // What the positions with numbers in a span meet: [first, last); empty if nothing.
  Span meets(Span numbers) const;
};

// Some positions that are in registers together.
struct LaneTile {
  int32_t count;
  int32_t x[kLanePositions];    // in the strip, in vectors, where tap 0 lies
  int32_t out[kLanePositions];  // number in the strip of results
  int32_t rows[2], columns[2];  // of the taps that meet an image
};

class ImageVectors {
 public:
  size_t workspace_bytes = 0;

  // y = x * w, and dx of w and g.
  static ImageVectors forward(const ConvShape& s, const Args& args, char* workspace);
  static ImageVectors grad_input(const ConvShape& s, const Args& args, char* workspace);

  bool fits() const { return strips_ > 0; }
  int64_t pack_chunks() const;
  void pack(const Args& args, int64_t chunk) const;
  int64_t chunks() const;
  void run(const Args& args, int64_t chunk, int64_t n_chunks) const;

 private:
  struct Part;  // the positions of a phase of rows and one of columns

  ImageVectors(const ConvShape& s, const Args& args, bool forward, char* workspace);
  bool is_worthwhile() const;
  void cut();
  void lay_out(char* workspace);
  Part part(int64_t number) const;
  FilterView<float> filters_of(const Part& part, const Tensor& w) const;
  void pack_tiles(int64_t strip) const;
  void run_unit(const Args& args, int64_t strip, Span images, Span blocks, char* buffer) const;
  void add_part(const Part& part, int64_t strip, Span blocks, const float* x, float* sums) const;

  int64_t groups() const { return ceil_div(images_, kImageLanes); }
  int64_t parts() const { return rows_.n_phases * columns_.n_phases; }
  int64_t units() const;
  int64_t blocks() const { return ceil_div(filters_, kLaneFilters); }
  Span strip_rows(int64_t strip) const { return span_of(rows_.out_size, strip, strips_); }

  const ConvShape& s_;
  bool forward_;
  int64_t images_, channels_, filters_;
  LaneAxis rows_, columns_;
  LanePlanes planes_;
  int64_t strips_ = 0;        // of an image; 0: doesn't fit
  int64_t filter_parts_ = 1;  // in units of their own
  int64_t set_ = 0;           // blocks of filters whose results are in memory at once
  int64_t results_ = 0;       // of a strip and filter
  int64_t part_tiles_ = 0;    // of a strip and part, at most

  float* packed_;         // [part][block][c][kh][kw][filter]
  bool* finite_;          // [block]
  LaneTile* tiles_;       // [strip][part][tile]
  int64_t* tile_counts_;  // [strip][part]
  Buffers buffers_;       // of a strip of images, and results
};

}  // namespace tgm::TGM_TARGET
