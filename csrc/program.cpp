#include "program.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <tuple>

#include "sizes.hpp"

namespace tgm {
namespace {

int64_t magnitude(int64_t n) { return n == INT64_MIN ? INT64_MAX : std::abs(n); }

[[noreturn]] void refuse(const std::string& kernel, const std::string& why) {
  throw std::invalid_argument(kernel + ": " + why);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "shape (";
  for (size_t d = 0; d < shape.size(); d++) {
    text += (d > 0 ? ", " : "") + std::to_string(shape[d]);
  }
  return text + ")";
}

// Whether the distances of the view's elements from the buffer's start are numbers that the code
// below and the kernels can compute with.
bool has_fitting_reach(const ViewSpec& view) {
  const auto item = static_cast<int64_t>(item_size(view.dtype));
  int64_t reach = checked_product({item, magnitude(view.offset)});
  for (size_t d = 0; d < view.shape.size(); d++) {
    // Kernels also compute with the stride of a single element.
    const int64_t steps = std::max<int64_t>(view.shape[d] - 1, 1);
    reach = checked_sum({reach, checked_product({item, steps, magnitude(view.strides[d])})});
  }
  for (const auto& [slot, multiplier] : view.slots) {
    reach = std::max(reach, checked_product({item, magnitude(multiplier)}));
  }
  return reach <= kMaxSize;
}

// Smallest and largest distance of an element from the view's first, in elements.
std::pair<int64_t, int64_t> extent(const ViewSpec& view) {
  int64_t low = 0;
  int64_t high = 0;
  for (size_t d = 0; d < view.shape.size(); d++) {
    if (view.shape[d] == 0) return {0, -1};
    const int64_t reach = size_product(view.shape[d] - 1, view.strides[d]);
    int64_t& end = reach < 0 ? low : high;
    end = size_sum(end, reach);
  }
  return {low, high};
}

// The bytes of a buffer; -1 where they aren't known.
int64_t bytes_of(const BufferSpec& buffer, int64_t arena_bytes) {
  return buffer.kind == BufferSpec::Kind::Arena ? arena_bytes - buffer.value : buffer.bytes;
}

// The offsets in bytes of the view's first element with which all elements are in the buffer.
std::pair<int64_t, int64_t> allowed_offsets(const ViewSpec& view, int64_t buffer_bytes) {
  const auto [low, high] = extent(view);
  if (low > high || buffer_bytes < 0) return {INT64_MIN, INT64_MAX};
  const auto item = static_cast<int64_t>(item_size(view.dtype));
  return {-low * item, buffer_bytes - (high + 1) * item};
}

// Nothing is read or written where the view has no element, wherever its buffer begins.
bool is_empty(const ViewSpec& view) {
  return std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end();
}

// Whether elements of a size, a power of two, may begin at an address.
bool is_aligned(int64_t address, size_t item) {
  return (static_cast<uint64_t>(address) & (item - 1)) == 0;
}

// Checks where a buffer is.
void check_buffer(const BufferSpec& buffer, int64_t arena_bytes) {
  const bool is_arena = buffer.kind == BufferSpec::Kind::Arena;
  if (is_arena && (buffer.value < 0 || buffer.value > arena_bytes)) {
    throw std::invalid_argument("a buffer is out of the arena");
  }
  if (buffer.kind == BufferSpec::Kind::Bind && (buffer.value < 0 || buffer.value >= kMaxNumber)) {
    throw std::invalid_argument("a buffer is bound to number " + std::to_string(buffer.value) +
                                "; there are at most " + std::to_string(kMaxNumber));
  }
  if (buffer.bytes < -1 || buffer.bytes > kMaxSize) {
    throw std::invalid_argument("a buffer can't have " + std::to_string(buffer.bytes) + " bytes");
  }
}

// Checks a view against its buffer, as far as the sizes are known.
void check_view(const CallSpec& call, const std::string& operand, const ViewSpec& view,
                const std::vector<BufferSpec>& buffers, int64_t arena_bytes) {
  if (view.buffer < 0 || view.buffer >= static_cast<int64_t>(buffers.size())) {
    refuse(call.kernel, operand + " names a buffer that does not exist");
  }
  if (view.shape.size() != view.strides.size() || view.shape.size() > kMaxDims) {
    refuse(call.kernel, operand + " must have a stride per dimension and at most " +
                            std::to_string(kMaxDims) + " dimensions");
  }
  for (int64_t size : view.shape) {
    if (size < 0) refuse(call.kernel, operand + " has a negative size");
  }
  if (!is_addressable(view.shape, static_cast<int64_t>(item_size(view.dtype)))) {
    refuse(call.kernel,
           operand + " is too large: " + shape_text(view.shape) + " has more than 2^56 bytes");
  }
  if (!has_fitting_reach(view)) refuse(call.kernel, operand + " is too large");
  for (const auto& [slot, multiplier] : view.slots) {
    if (slot < 0 || slot >= kMaxNumber) refuse(call.kernel, operand + " has a slot of no number");
  }
  const BufferSpec& buffer = buffers[view.buffer];
  const bool is_arena = buffer.kind == BufferSpec::Kind::Arena;
  if (buffer.kind != BufferSpec::Kind::Bind && !is_empty(view) &&
      !is_aligned(buffer.value, item_size(view.dtype))) {
    refuse(call.kernel, operand + " does not begin at a multiple of its elements' size");
  }
  const auto [first, last] = allowed_offsets(view, bytes_of(buffer, arena_bytes));
  const int64_t offset = view.offset * static_cast<int64_t>(item_size(view.dtype));
  // Slots are known when the program runs; but they can't make room for the view.
  if (first > last || (view.slots.empty() && (offset < first || offset > last))) {
    refuse(call.kernel, operand + " reaches out of " + (is_arena ? "the arena" : "its buffer"));
  }
}

}  // namespace

Program::Program(const std::vector<BufferSpec>& buffers, const std::vector<CallSpec>& calls,
                 const std::vector<std::vector<int32_t>>& depends, int64_t arena_bytes,
                 std::shared_ptr<Arena> arena)
    : arena_bytes_(arena_bytes), arena_(std::move(arena)) {
  if (arena_bytes < 0) throw std::invalid_argument("arena_bytes must not be negative");
  if (arena_bytes > kMaxSize / 2) throw std::invalid_argument("arena_bytes is too large");
  if (depends.size() != calls.size()) {
    throw std::invalid_argument("each call must have a list of the calls that it waits for");
  }
  check_order(depends);
  size_t n_tensors = 0;
  size_t n_ints = 0;
  size_t n_tapes = 0;
  for (const CallSpec& call : calls) {
    n_tensors += call.inputs.size() + call.outputs.size();
    n_ints += call.ints.size();
    n_tapes += call.tapes.size();
  }
  // Calls point into these: they must not move.
  tensors_.reserve(n_tensors);
  ints_.reserve(n_ints);
  tapes_.reserve(n_tapes);
  tape_pointers_.reserve(n_tapes);
  calls_.reserve(calls.size());
  for (const BufferSpec& buffer : buffers) {
    check_buffer(buffer, arena_bytes);
    if (buffer.kind == BufferSpec::Kind::Bind) {
      n_addresses_ = std::max(n_addresses_, static_cast<int32_t>(buffer.value + 1));
    }
  }
  for (const CallSpec& call : calls) {
    for (size_t i = 0; i < call.inputs.size(); i++) {
      check_view(call, "input " + std::to_string(i), call.inputs[i], buffers, arena_bytes);
    }
    for (size_t i = 0; i < call.outputs.size(); i++) {
      check_view(call, "output " + std::to_string(i), call.outputs[i], buffers, arena_bytes);
    }
    add_call(buffers, call);
  }
  make_schedule(depends);
  arena_->add_need(needed_bytes());
}

Program::~Program() {
  forget_job(this);
  arena_->drop_need(needed_bytes());
}

void Program::add_call(const std::vector<BufferSpec>& buffers, const CallSpec& spec) {
  Call call;
  call.kernel = &find_kernel(current_target(), spec.kernel);
  call.args.in = tensors_.data() + tensors_.size();
  call.args.n_in = static_cast<int32_t>(spec.inputs.size());
  call.args.out = call.args.in + spec.inputs.size();
  call.args.n_out = static_cast<int32_t>(spec.outputs.size());
  call.args.ints = ints_.data() + ints_.size();
  call.args.n_ints = static_cast<int32_t>(spec.ints.size());
  call.args.tapes = tape_pointers_.data() + tape_pointers_.size();
  call.args.n_tapes = static_cast<int32_t>(spec.tapes.size());
  call.args.workspace = nullptr;
  call.args.failure = &failure_;
  call.args.call = static_cast<int64_t>(calls_.size());
  for (const ViewSpec& view : spec.inputs) add_tensor(buffers, view);
  for (const ViewSpec& view : spec.outputs) add_tensor(buffers, view);
  ints_.insert(ints_.end(), spec.ints.begin(), spec.ints.end());
  for (const Tape& tape : spec.tapes) {
    tapes_.push_back(tape);
    tape_pointers_.push_back(&tapes_.back());
    try {
      prepare_tape(tapes_.back());
    } catch (const std::invalid_argument& error) {
      refuse(spec.kernel, error.what());
    }
  }
  if (call.kernel->invalid != nullptr) {
    const char* why = call.kernel->invalid(call.args);
    if (why != nullptr) refuse(spec.kernel, why);
  }
  calls_.push_back(call);
}

void Program::add_tensor(const std::vector<BufferSpec>& buffers, const ViewSpec& view) {
  const BufferSpec& buffer = buffers[view.buffer];
  const auto item = static_cast<int64_t>(item_size(view.dtype));
  Tensor tensor{};
  tensor.dtype = view.dtype;
  tensor.ndim = static_cast<int32_t>(view.shape.size());
  std::copy(view.shape.begin(), view.shape.end(), tensor.shape);
  std::copy(view.strides.begin(), view.strides.end(), tensor.stride);
  const bool is_fixed = buffer.kind == BufferSpec::Kind::Fixed;
  const bool is_bound = buffer.kind == BufferSpec::Kind::Bind;
  char* base = is_fixed ? reinterpret_cast<char*>(buffer.value) : nullptr;
  const int64_t offset = size_sum(size_product(view.offset, item),
                                  buffer.kind == BufferSpec::Kind::Arena ? buffer.value : 0);
  if (is_fixed) tensor.data = base + offset;
  tensors_.push_back(tensor);
  if (view.slots.empty() && !is_bound) {
    if (!is_fixed) in_arena_.push_back({&tensors_.back(), offset});
    return;
  }

  MovingView moving{};
  moving.tensor = &tensors_.back();
  moving.bind = is_bound ? static_cast<int32_t>(buffer.value) : is_fixed ? kFixed : kInArena;
  moving.base = base;
  moving.offset = offset;
  moving.item = is_empty(view) ? 1 : item_size(view.dtype);
  std::tie(moving.first_offset, moving.last_offset) =
      allowed_offsets(view, bytes_of(buffer, arena_bytes_));
  if (moving.bind == kInArena && moving.first_offset != INT64_MIN) {
    moving.first_offset += buffer.value;
    moving.last_offset += buffer.value;
  }
  moving.first_term = static_cast<int32_t>(terms_.size());
  moving.n_terms = static_cast<int32_t>(view.slots.size());
  for (const auto& [slot, multiplier] : view.slots) {
    terms_.push_back({slot, size_product(multiplier, item)});
    n_slots_ = std::max(n_slots_, slot + 1);
  }
  moving_.push_back(moving);
}

// Schedules the calls, and gives each its workspace.
void Program::make_schedule(const std::vector<std::vector<int32_t>>& depends) {
  std::vector<int64_t> bytes;
  for (Call& call : calls_) {
    const bool needs = call.kernel->workspace_bytes != nullptr;
    const size_t wanted = needs ? call.kernel->workspace_bytes(call.args) : 0;
    if (wanted > static_cast<size_t>(kMaxWorkspace)) {
      refuse(call.kernel->name, "needs too much memory to work in");
    }
    bytes.push_back(aligned(static_cast<int64_t>(wanted)));
    schedule_.add_call(*call.kernel, call.args, depends[call.args.call]);
  }
  schedule_.finish();
  workspaces_ = place_workspaces(bytes, depends);
}

// Sets the addresses of operands in the arena again, if it has moved since the last run.
void Program::follow_arena() {
  char* memory = arena_->memory();
  if (memory == memory_) return;
  memory_ = memory;
  for (const ArenaView& view : in_arena_) view.tensor->data = memory + view.offset;
  for (Call& call : calls_) {
    call.args.workspace = memory + aligned(arena_bytes_) + workspaces_[call.args.call];
  }
}

void Program::resolve(const int64_t* addresses, const int64_t* slots) {
  for (const MovingView& view : moving_) {
    char* base = view.bind >= 0          ? reinterpret_cast<char*>(addresses[view.bind])
                 : view.bind == kInArena ? memory_
                                         : view.base;
    if (!is_aligned(reinterpret_cast<int64_t>(base), view.item)) {
      throw std::invalid_argument("a buffer does not begin at a multiple of its elements' size");
    }
    view.tensor->data = base + moved_offset(view, slots);
  }
}

// The offset of a view in bytes, with this run's slots.
int64_t Program::moved_offset(const MovingView& view, const int64_t* slots) const {
  int64_t offset = view.offset;
  if (view.n_terms == 0) return offset;
  bool fits = true;
  for (int32_t t = 0; t < view.n_terms; t++) {
    const OffsetTerm& term = terms_[view.first_term + t];
    int64_t bytes;
    fits = fits && !__builtin_mul_overflow(slots[term.slot], term.bytes, &bytes) &&
           !__builtin_add_overflow(offset, bytes, &offset);
  }
  if (!fits || offset < view.first_offset || offset > view.last_offset) {
    throw std::out_of_range("a slot moves a view out of its buffer");
  }
  return offset;
}

int64_t Program::run(const int64_t* addresses, const int64_t* slots) {
  return run(addresses, slots, nullptr, nullptr);
}

int64_t Program::run_timed(const int64_t* addresses, const int64_t* slots, double* times) {
  CallTimes call_times(times, n_calls());
  const int64_t error = run(addresses, slots, &call_times, nullptr);
  call_times.end();
  return error;
}

int64_t Program::run_recorded(const int64_t* addresses, const int64_t* slots, ChunkTime* times) {
  const double begin = steady_seconds();
  const int64_t error = run(addresses, slots, nullptr, times);
  times[n_chunks()] = {begin, steady_seconds(), 0.0};
  return error;
}

int64_t Program::run(const int64_t* addresses, const int64_t* slots, CallTimes* call_times,
                     ChunkTime* chunk_times) {
  follow_arena();
  failure_.call.store(0);
  resolve(addresses, slots);
  // A late worker of the last run may see the new value: it finds no chunk left.
  one_by_one_.store(call_times != nullptr);
  schedule_.record_chunks(chunk_times);
  if (call_times != nullptr) call_times->begin();
  const uint64_t ticket = ++last_ticket_;
  if (schedule_.is_parallel() && enter_team(this, ticket)) {
    schedule_.run_share(ticket, 0, call_times != nullptr, failure_.call, call_times);
    leave_team();
  } else {
    schedule_.run_alone(failure_.call, call_times);
  }
  return failure_.call.load(std::memory_order_relaxed);
}

void Program::work(uint64_t ticket, int member) {
  schedule_.run_share(ticket, member, one_by_one_.load(), failure_.call);
}

}  // namespace tgm
