// distort: each image scaled, skewed, rotated, moved, and distorted elastically, all at random.
//
//   inputs    images (n, height, width) of uint8, float32 or float64; amounts (10,) float64: lowest
//             and highest angle (radians), translation, skew, factor of the size; alpha; fill;
//             weights (r + 1,) float32, half of the Gaussian, or (0,): no elastic distortion
//   outputs   images of the same shape and dtype
//   ints      seed; first, the number of the first image
//
// An image's distortion depends on seed and number alone. Each pixel of the result is read at
// coordinates in the image, between pixels by bilinear interpolation; outside is `fill`.
// This file is compiled without fused multiply-adds, so that every target gives the same bits.
#include "kernels/core/check.hpp"
#include "kernels/core/chunks.hpp"
#include "kernels/core/philox.hpp"
#include "kernels/core/with_type.hpp"
#include "kernels/core/workspace.hpp"
#include "kernels/distort/displacement.hpp"
#include "math/lanes.hpp"
#include "math/trigonometric.hpp"
#include "sizes.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kMostChunks = 128;  // each has memory of its own
constexpr int64_t kPlainFlops = 32;   // of a pixel, without a displacement

enum Amount { kAngle = 0, kTranslation = 2, kSkew = 4, kFactor = 6, kAlpha = 8, kFill = 9 };
constexpr int64_t kAmounts = 10;

struct Problem {
  int64_t n, height, width;
  Gaussian gaussian;
  bool elastic;
};

Problem problem_of(const Args& args) {
  const Tensor& images = args.in[0];
  Problem problem{images.shape[0], images.shape[1], images.shape[2], {}, false};
  const int64_t weights = args.in[2].shape[0];
  problem.elastic = weights > 0;
  if (problem.elastic) {
    problem.gaussian.reach_y = std::min(weights, problem.height) - 1;
    problem.gaussian.reach_x = std::min(weights, problem.width) - 1;
  }
  return problem;
}

int64_t flops_per_image(const Problem& problem) {
  const int64_t reach = problem.gaussian.reach_y + problem.gaussian.reach_x;
  const int64_t pixel = kPlainFlops + (problem.elastic ? 6 * reach + kPlainFlops : 0);
  return problem.height * problem.width * pixel;
}

int64_t chunks(const Args& args) {
  const Problem problem = problem_of(args);
  if (problem.height * problem.width == 0) return 0;
  return std::min(kMostChunks, chunks_for(problem.n, flops_per_image(problem)));
}

// The memory of a chunk. C is the type that pixels are computed in.
template <class C>
struct Memory {
  C* image;  // with `fill` around it: one pixel above and before it, two below and behind it
  float* noise;
  float* weights;
  FieldRows fields[2];  // vertical and horizontal displacements
  int32_t* corner;      // of a row of the result: where the four pixels around its source begin
  float* part_y;        // and where the source is between them
  float* part_x;
};

template <class C>
size_t lay_out(const Problem& problem, char* start, Memory<C>* memory) {
  WorkspaceLayout layout{start};
  const int64_t whole = whole_vectors(problem.width);
  memory->image = layout.take<C>((problem.height + 3) * (problem.width + 3));
  memory->corner = layout.take<int32_t>(whole);
  memory->part_y = layout.take<float>(whole);
  memory->part_x = layout.take<float>(whole);
  if (problem.elastic) {
    memory->noise = layout.take<float>(2 * problem.height * problem.width);
    const int64_t reach = std::max(problem.gaussian.reach_y, problem.gaussian.reach_x);
    memory->weights = layout.take<float>(reach + 1);
    for (FieldRows& field : memory->fields) {
      field = take_field(layout, problem.height, problem.width, problem.gaussian);
    }
  }
  return layout.used;
}

// Of a chunk, whatever the dtype is.
size_t chunk_bytes(const Problem& problem) {
  Memory<double> memory;
  return lay_out(problem, nullptr, &memory);
}

size_t workspace_bytes(const Args& args) { return chunk_bytes(problem_of(args)) * chunks(args); }

double amount(const Args& args, int64_t i) {
  return args.in[1].as<const double>()[i * args.in[1].stride[0]];
}

// Where the source of a pixel of the result is, both counted from the centre:
// (yy (y - move_y) + yx (x - move_x), xy (y - move_y) + xx (x - move_x)).
struct Map {
  double yy, yx, xy, xx, move_y, move_x;
};

double centre(int64_t length) { return 0.5 * static_cast<double>(length - 1); }

// The inverse of: scale, skew, rotate (counterclockwise) around the centre, then move.
Map draw_map(const Args& args, const float* draws) {
  const auto between = [&](Amount which, int number) {
    const double low = amount(args, which), high = amount(args, which + 1);
    return low + (high - low) * static_cast<double>(draws[number]);
  };
  const Vec<double> angle = splat(between(kAngle, 0));
  const double cosine = vcos(angle)[0], sine = vsin(angle)[0];
  const double skew = between(kSkew, 3);
  const double factor_y = between(kFactor, 4), factor_x = between(kFactor, 5);
  Map map;
  map.yy = cosine / factor_y;
  map.yx = sine / factor_y;
  map.xy = (skew * cosine - sine) / factor_x;
  map.xx = (skew * sine + cosine) / factor_x;
  map.move_y = between(kTranslation, 1);
  map.move_x = between(kTranslation, 2);
  return map;
}

// v within [0, last]; 0 for NaN.
TGM_INLINE Vec<float> clamped(Vec<float> v, float last) {
  v = v > 0 ? v : Vec<float>{};
  return v < last ? v : splat(last);
}

// Sources of row y of the result, counted from the corner of the filled border.
template <class C>
void locate_row(const Problem& problem, const Memory<C>& memory, const Map& map, int64_t y) {
  const double centre_y = centre(problem.height), centre_x = centre(problem.width);
  const double row = static_cast<double>(y) - centre_y - map.move_y;
  // Of the middle of the row.
  const auto middle_y = static_cast<float>(1 + centre_y + (map.yy * row - map.yx * map.move_x));
  const auto middle_x = static_cast<float>(1 + centre_x + (map.xy * row - map.xx * map.move_x));
  const auto step_y = static_cast<float>(map.yx), step_x = static_cast<float>(map.xx);
  const auto stride = static_cast<int32_t>(problem.width + 3);
  Vec<float> x{};
  for (int lane = 0; lane < kLanes<float>; lane++) {
    x[lane] = static_cast<float>(lane) - static_cast<float>(centre_x);
  }
  for (int64_t i = 0; i < problem.width; i += kLanes<float>, x += kLanes<float>) {
    Vec<float> at_y = middle_y + step_y * x, at_x = middle_x + step_x * x;
    if (problem.elastic) {
      at_y += displacement(memory.fields[0], problem.gaussian, y, i);
      at_x += displacement(memory.fields[1], problem.gaussian, y, i);
    }
    at_y = clamped(at_y, static_cast<float>(problem.height + 1));
    at_x = clamped(at_x, static_cast<float>(problem.width + 1));
    const auto whole_y = __builtin_convertvector(at_y, Vec<int32_t>);
    const auto whole_x = __builtin_convertvector(at_x, Vec<int32_t>);
    store(memory.corner + i, whole_y * stride + whole_x);
    store(memory.part_y + i, at_y - __builtin_convertvector(whole_y, Vec<float>));
    store(memory.part_x + i, at_x - __builtin_convertvector(whole_x, Vec<float>));
  }
}

template <class T, class C>
TGM_INLINE T stored(C value) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return static_cast<uint8_t>(static_cast<int32_t>(vround_lane(value)));
  } else {
    return value;
  }
}

template <class T, class C>
void sample_row(const Problem& problem, const Memory<C>& memory, T* to, int64_t step) {
  const C* image = memory.image;
  const int64_t below = problem.width + 3;
  TGM_INDEPENDENT_LOOP
  for (int64_t i = 0; i < problem.width; i++) {
    const int32_t corner = memory.corner[i];
    const C y = memory.part_y[i], x = memory.part_x[i];
    const C upper = image[corner] * (1 - x) + image[corner + 1] * x;
    const C lower = image[corner + below] * (1 - x) + image[corner + below + 1] * x;
    to[i * step] = stored<T>(upper * (1 - y) + lower * y);
  }
}

template <class T, class C>
void load_image(const Problem& problem, const Tensor& images, int64_t number, C* to) {
  const T* image = images.as<const T>() + number * images.stride[0];
  to += problem.width + 4;
  for (int64_t y = 0; y < problem.height; y++, to += problem.width + 3) {
    const T* row = image + y * images.stride[1];
    for (int64_t x = 0; x < problem.width; x++) to[x] = static_cast<C>(row[x * images.stride[2]]);
  }
}

// The displacements of an image, all but their smoothing along columns.
template <class C>
void draw_fields(const Problem& problem, const Memory<C>& memory, int64_t number, uint64_t seed) {
  const int64_t pixels = problem.height * problem.width;
  fill_uniform(memory.noise, 2 * pixels, kFirstOfField, 1, number, seed);
  for (int axis = 0; axis < 2; axis++) {
    smooth_rows(memory.fields[axis], problem.gaussian, memory.noise + axis * pixels, problem.width);
  }
}

template <class C>
Memory<C> prepare(const Args& args, Problem* problem, int64_t chunk) {
  Memory<C> memory;
  lay_out(*problem, args.workspace + chunk * chunk_bytes(*problem), &memory);
  const int64_t around = (problem->height + 3) * (problem->width + 3);
  std::fill_n(memory.image, around, static_cast<C>(amount(args, kFill)));
  if (!problem->elastic) return memory;
  Gaussian& gaussian = problem->gaussian;
  const Tensor& weights = args.in[2];
  for (int64_t k = 0; k <= std::max(gaussian.reach_y, gaussian.reach_x); k++) {
    memory.weights[k] = weights.as<const float>()[k * weights.stride[0]];
  }
  gaussian.weights = memory.weights;
  gaussian.alpha = static_cast<float>(amount(args, kAlpha));
  for (const FieldRows& field : memory.fields) clear_field(field, gaussian);
  return memory;
}

template <class T, class C>
void distort_images(const Args& args, int64_t chunk, int64_t n_chunks) {
  Problem problem = problem_of(args);
  const Memory<C> memory = prepare<C>(args, &problem, chunk);
  const auto seed = static_cast<uint64_t>(args.ints[0]);
  const Tensor& out = args.out[0];
  const Span images = span_of(problem.n, chunk, n_chunks);
  for (int64_t i = images.first; i < images.last; i++) {
    const int64_t number = args.ints[1] + i;
    float draws[kFirstOfField];
    fill_uniform(draws, kFirstOfField, 0, 1, number, seed);
    const Map map = draw_map(args, draws);
    if (problem.elastic) draw_fields(problem, memory, number, seed);
    load_image<T>(problem, args.in[0], i, memory.image);
    T* to = out.as<T>() + i * out.stride[0];
    for (int64_t y = 0; y < problem.height; y++) {
      locate_row(problem, memory, map, y);
      sample_row(problem, memory, to + y * out.stride[1], out.stride[2]);
    }
  }
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  switch (args.out[0].dtype) {
    case DType::Float64:
      return distort_images<double, double>(args, chunk, n_chunks);
    case DType::Float32:
      return distort_images<float, float>(args, chunk, n_chunks);
    default:
      return distort_images<uint8_t, float>(args, chunk, n_chunks);
  }
}

const char* invalid(const Args& args) {
  if (args.n_in != 3 || args.n_out != 1 || args.n_ints != 2 || args.n_tapes != 0) {
    return "takes images, amounts, weights and two integers, and has one output";
  }
  const Tensor& images = args.in[0];
  if (images.ndim != 3) return "input 0 (images) must have 3 dimensions";
  if (images.dtype != DType::UInt8 && images.dtype != DType::Float32 &&
      images.dtype != DType::Float64) {
    return "input 0 (images) must be uint8, float32 or float64";
  }
  const DType dtype = images.dtype;
  if (const char* why = check_operand(args.out[0], "output 0", dtype, 3, images.shape)) return why;
  constexpr int64_t amounts[] = {kAmounts};
  const char* name = "input 1 (amounts)";
  if (const char* why = check_operand(args.in[1], name, DType::Float64, 1, amounts)) return why;
  name = "input 2 (weights)";
  if (const char* why = check_operand(args.in[2], name, DType::Float32, 1, nullptr)) return why;
  for (int axis = 1; axis < 3; axis++) {
    if (images.shape[axis] >= kMaxLength) return "input 0 (images) has an axis that is too long";
  }
  if ((images.shape[1] + 3) * (images.shape[2] + 3) >= kMaxLength) {
    return "input 0 (images) has images that are too large";  // for the 32 bits of `corner`
  }
  return nullptr;
}

}  // namespace

extern const Kernel distort_kernel = {"distort", 1, {{chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
