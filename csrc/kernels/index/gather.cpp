// gather: elements picked by index vectors.
//
//   inputs    x (outer, index, rest), k index vectors (n,) of any integer dtype
//   outputs   (outer, n, rest)
//   ints      n_index, the k above; axis, the number of outer axes
//
// Indices are in range; negative ones count from the end. The (outer, n) rows of the output are cut
// into chunks.
#include "kernels/core/chunks.hpp"
#include "kernels/index/rows.hpp"

namespace tgm::TGM_TARGET {
namespace {

constexpr int64_t kChunkElements = 16384;

IndexedAxes axes_of(const Args& args) {
  return indexed_axes(args.out[0], args.in[0], args.in + 1, args.ints);
}

int64_t list_chunks(const Args& args) { return offset_chunks(axes_of(args)); }

void list(const Args& args, int64_t chunk, int64_t) {
  list_offsets(axes_of(args), args.workspace, chunk);
}

int64_t chunks(const Args& args) {
  if (element_count(args.in[0]) == 0) return 0;
  const IndexedAxes axes = axes_of(args);
  const int64_t rows = axes.outer.size * axes.n;
  const int64_t wanted = ceil_div(rows * axes.rest.size, kChunkElements);
  return std::min(wanted, rows);
}

// Rows begin .. end - 1 of one outer element.
template <class Word>
void gather_rows(const Args& args, const IndexedAxes& axes, int64_t outer, int64_t begin,
                 int64_t end) {
  int64_t picked0 = 0;
  int64_t indexed0 = 0;
  CommonAxes::offsets(axes.outer, outer, &picked0, &indexed0);
  Word* to = args.out[0].as<Word>() + picked0 + begin * axes.picked_stride;
  const Word* from = args.in[0].as<const Word>() + indexed0;
  const auto* offsets = reinterpret_cast<const int64_t*>(args.workspace);
  const bool listed = lists_offsets(axes);
  if (listed && axes.rest.size == 1) {
    for (int64_t i = begin; i < end; i++, to += axes.picked_stride) *to = from[offsets[i]];
    return;
  }
  for (int64_t i = begin; i < end; i++, to += axes.picked_stride) {
    const Word* row = from + (listed ? offsets[i] : offset_of(axes, i));
    for_rows(axes.rest, 0, axes.rest.size,
             [&](int64_t picked, int64_t indexed, int64_t n, int64_t to_step, int64_t from_step) {
               copy_elements(to + picked, to_step, row + indexed, from_step, n);
             });
  }
}

void run(const Args& args, int64_t chunk, int64_t n_chunks) {
  const IndexedAxes axes = axes_of(args);
  const Span rows = span_of(axes.outer.size * axes.n, chunk, n_chunks);
  for (int64_t row = rows.first; row < rows.last;) {
    const int64_t begin = row % axes.n;
    const int64_t n = std::min(axes.n - begin, rows.last - row);
    with_word(args.out[0].dtype,
              [&]<class Word>() { gather_rows<Word>(args, axes, row / axes.n, begin, begin + n); });
    row += n;
  }
}

size_t workspace_bytes(const Args& args) { return offset_bytes(axes_of(args)); }

const char* invalid(const Args& args) {
  if (args.n_ints != 2 || args.n_tapes != 0 || args.n_out != 1 || args.n_in < 2) {
    return "takes an array, index vectors and two integers, and has one output";
  }
  if (args.ints[0] != args.n_in - 1) return "n_index must be the number of index vectors";
  return index_mismatch(args.out[0], args.in[0], args.in + 1, args.ints);
}

}  // namespace

extern const Kernel gather_kernel = {
    "gather", 2, {{list_chunks, list}, {chunks, run}}, workspace_bytes, invalid};

}  // namespace tgm::TGM_TARGET
