#include "program.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace tgm {
namespace {

// A counter: the ticket above, 40 bits that last for years, and a number of chunks below.
constexpr int kCountBits = 24;
constexpr int64_t kMaxChunks = (int64_t{1} << kCountBits) - 1;

uint64_t ticket_of(uint64_t counter) { return counter >> kCountBits; }
int64_t count_of(uint64_t counter) { return static_cast<int64_t>(counter & kMaxChunks); }

uint64_t counter_at(uint64_t ticket, int64_t count) {
  return (ticket << kCountBits) | static_cast<uint64_t>(count);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void refuse(const std::string& kernel, const std::string& why) {
  throw std::invalid_argument(kernel + ": " + why);
}

// Smallest and largest distance of an element from the view's first, in elements.
std::pair<int64_t, int64_t> extent(const ViewSpec& view) {
  int64_t low = 0;
  int64_t high = 0;
  for (size_t d = 0; d < view.shape.size(); d++) {
    if (view.shape[d] == 0) return {0, -1};
    const int64_t reach = (view.shape[d] - 1) * view.strides[d];
    (reach < 0 ? low : high) += reach;
  }
  return {low, high};
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
  const BufferSpec& buffer = buffers[view.buffer];
  if (buffer.kind == BufferSpec::Kind::Bind && buffer.value < 0) {
    refuse(call.kernel, operand + " is bound to a negative number");
  }
  if (buffer.kind != BufferSpec::Kind::Arena || !view.slots.empty()) return;
  const auto [low, high] = extent(view);
  if (low > high) return;
  const int64_t item = static_cast<int64_t>(item_size(view.dtype));
  const int64_t first = buffer.value + (view.offset + low) * item;
  const int64_t end = buffer.value + (view.offset + high + 1) * item;
  if (first < 0 || end > arena_bytes) refuse(call.kernel, operand + " reaches out of the arena");
}

}  // namespace

Program::Program(const std::vector<BufferSpec>& buffers, const std::vector<CallSpec>& calls,
                 int64_t arena_bytes, std::shared_ptr<Arena> arena)
    : arena_bytes_(arena_bytes), arena_(std::move(arena)) {
  if (arena_bytes < 0) throw std::invalid_argument("arena_bytes must not be negative");
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
  add_phases();
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
  call.args.error = &error_;
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
  if (call.kernel->workspace_bytes != nullptr) {
    const auto bytes = static_cast<int64_t>(call.kernel->workspace_bytes(call.args));
    workspace_bytes_ = std::max(workspace_bytes_, bytes);
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
  const int64_t offset =
      view.offset * item + (buffer.kind == BufferSpec::Kind::Arena ? buffer.value : 0);
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
  moving.first_term = static_cast<int32_t>(terms_.size());
  moving.n_terms = static_cast<int32_t>(view.slots.size());
  for (const auto& [slot, multiplier] : view.slots) {
    if (slot < 0) throw std::invalid_argument("slots are numbered from 0");
    terms_.push_back({slot, multiplier * item});
    n_slots_ = std::max(n_slots_, slot + 1);
  }
  moving_.push_back(moving);
}

void Program::add_phases() {
  for (const Call& call : calls_) {
    for (int32_t p = 0; p < call.kernel->n_phases; p++) {
      const tgm::Phase& phase = call.kernel->phases[p];
      const int64_t n_chunks = phase.chunks(call.args);
      if (n_chunks <= 0) continue;
      if (n_chunks > kMaxChunks) refuse(call.kernel->name, "too many chunks");
      phases_.push_back({phase.run, &call.args, n_chunks, call.args.call, false});
      parallel_ = parallel_ || n_chunks > 1;
    }
    if (!phases_.empty()) phases_.back().ends_call = true;
  }
  counters_ = std::make_unique<Counter[]>(phases_.size());
}

// Lays out anew what lies in the arena, if that has moved since the last run.
void Program::follow_arena() {
  char* memory = arena_->memory();
  if (memory == memory_) return;
  memory_ = memory;
  for (const ArenaView& view : in_arena_) view.tensor->data = memory + view.offset;
  for (Call& call : calls_) call.args.workspace = memory + aligned(arena_bytes_);
}

void Program::resolve(const int64_t* addresses, const int64_t* slots) {
  for (const MovingView& view : moving_) {
    char* base = view.bind >= 0          ? reinterpret_cast<char*>(addresses[view.bind])
                 : view.bind == kInArena ? memory_
                                         : view.base;
    int64_t offset = view.offset;
    for (int32_t t = 0; t < view.n_terms; t++) {
      const OffsetTerm& term = terms_[view.first_term + t];
      offset += slots[term.slot] * term.bytes;
    }
    view.tensor->data = base + offset;
  }
}

int64_t Program::run(const int64_t* addresses, const int64_t* slots) {
  follow_arena();
  // First the number, then the error: a late worker of the last run that finds the error cleared
  // finds the new number too, and leaves.
  const uint64_t number = run_number_.load(std::memory_order_relaxed) + 1;
  run_number_.store(number);
  error_.store(0);
  resolve(addresses, slots);
  if (times_ != nullptr) times_[0] = last_time_ = now();
  if (!parallel_ || !enter_team(this, number)) return run_alone();
  walk(number, true);
  leave_team();
  return error_.load(std::memory_order_relaxed);
}

int64_t Program::run_timed(const int64_t* addresses, const int64_t* slots, double* times) {
  std::fill_n(times, n_calls() + 2, 0.0);
  times_ = times;
  const int64_t error = run(addresses, slots);
  times_ = nullptr;
  times[n_calls() + 1] = now();
  return error;
}

void Program::note_time(int64_t call) {
  const double time = now();
  times_[1 + call] += time - last_time_;
  last_time_ = time;
}

int64_t Program::run_alone() {
  for (const Phase& phase : phases_) {
    for (int64_t chunk = 0; chunk < phase.n_chunks; chunk++) {
      phase.run(*phase.args, chunk, phase.n_chunks);
    }
    if (times_ != nullptr) note_time(phase.call);
    if (has_failed(phase)) break;
  }
  return error_.load(std::memory_order_relaxed);
}

// Whether the call that this phase completes has failed its check, or one before. A thread ahead
// of this one may have noted the failure of the next call, which this thread must still help to
// complete: nobody may leave while others hold chunks.
bool Program::has_failed(const Phase& phase) const {
  const int64_t error = error_.load();
  return error != 0 && error - 1 <= phase.call && phase.ends_call;
}

void Program::work(uint64_t ticket) { walk(ticket, false); }

// One thread's way through the phases of the run `ticket`.
void Program::walk(uint64_t ticket, bool is_caller) {
  for (size_t p = 0; p < phases_.size(); p++) {
    const Phase& phase = phases_[p];
    Counter& counter = counters_[p];
    // A single chunk is the caller's, whose cache has most of what small phases read; the others
    // take it only if the caller does not come.
    const bool is_mine = is_caller || phase.n_chunks > 1;
    if (is_mine && !take_chunks(phase, counter, ticket)) return;
    if (!await_chunks(phase, counter, ticket, !is_mine)) return;
    if (is_caller && times_ != nullptr) note_time(phase.call);
    if (has_failed(phase) || run_number_.load() != ticket) return;
  }
}

// Runs chunks until none is left; false if the run is over.
bool Program::take_chunks(const Phase& phase, Counter& counter, uint64_t ticket) {
  uint64_t next = counter.next.load();
  while (true) {
    const uint64_t shown = ticket_of(next);
    int64_t chunk = 0;
    if (shown == ticket) {
      chunk = count_of(next);
      if (chunk >= phase.n_chunks) return true;
    } else if (shown > ticket) {
      return false;
    }
    if (!counter.next.compare_exchange_weak(next, counter_at(ticket, chunk + 1))) continue;
    phase.run(*phase.args, chunk, phase.n_chunks);
    // Only holders of chunks of this run write here, and the run waits for them.
    uint64_t done = counter.done.load();
    uint64_t more = 0;
    do {
      more = ticket_of(done) == ticket ? done + 1 : counter_at(ticket, 1);
    } while (!counter.done.compare_exchange_weak(done, more));
    next = counter.next.load();
  }
}

// Waits until all chunks are done; false if the run is over. A thread that left the phase's only
// chunk to the caller takes it after some patience.
bool Program::await_chunks(const Phase& phase, Counter& counter, uint64_t ticket, bool left_it) {
  Backoff backoff;
  const uint64_t all_done = counter_at(ticket, phase.n_chunks);
  while (true) {
    const uint64_t done = counter.done.load(std::memory_order_acquire);
    if (done == all_done) return true;
    if (ticket_of(done) > ticket) return false;
    if (left_it && !backoff.spinning()) {
      left_it = false;
      if (!take_chunks(phase, counter, ticket)) return false;
    }
    backoff.wait();
  }
}

}  // namespace tgm
