#include "schedule.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

#include "team.hpp"

namespace tgm {
namespace {

// A counter: the ticket above, 40 bits that last for years, and a number of chunks below.
constexpr int kCountBits = 24;
constexpr int64_t kMaxChunks = (int64_t{1} << kCountBits) - 1;

// How many phases after the first unfinished one a thread searches for work.
constexpr size_t kWindow = 16;

uint64_t ticket_of(uint64_t counter) { return counter >> kCountBits; }
int64_t count_of(uint64_t counter) { return static_cast<int64_t>(counter & kMaxChunks); }

uint64_t counter_at(uint64_t ticket, int64_t count) {
  return (ticket << kCountBits) | static_cast<uint64_t>(count);
}

// Increases a counter of the run, to `most` at most. Returns its value before, or -1 if that was
// `most` or the counter belongs to a later run.
int64_t add(std::atomic<uint64_t>& counter, uint64_t ticket, int64_t n, int64_t most) {
  uint64_t value = counter.load();
  int64_t count = 0;
  do {
    if (ticket_of(value) > ticket) return -1;
    count = ticket_of(value) == ticket ? count_of(value) : 0;
    if (count >= most) return -1;
  } while (!counter.compare_exchange_weak(value, counter_at(ticket, count + n)));
  return count;
}

}  // namespace

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

CallTimes::CallTimes(double* times, int64_t n_calls) : times_(times), n_calls_(n_calls) {
  std::fill_n(times, n_calls + 2, 0.0);
}

void CallTimes::begin() { times_[0] = last_ = steady_seconds(); }

void CallTimes::record(int64_t call) {
  const double time = steady_seconds();
  times_[1 + call] += time - last_;
  last_ = time;
}

void CallTimes::end() { times_[1 + n_calls_] = steady_seconds(); }

void Schedule::add_call(const Kernel& kernel, const Args& args, const std::vector<int32_t>& after) {
  std::vector<int32_t> waits_for;
  for (const int32_t call : after) {
    waits_for.insert(waits_for.end(), last_phases_[call].begin(), last_phases_[call].end());
  }
  for (int32_t p = 0; p < kernel.n_phases; p++) {
    const int64_t n_chunks = kernel.phases[p].chunks(args);
    if (n_chunks <= 0) continue;
    if (n_chunks > kMaxChunks) {
      throw std::invalid_argument(std::string(kernel.name) + ": too many chunks");
    }
    const auto number = static_cast<int32_t>(phases_.size());
    phases_.push_back(
        {kernel.phases[p].run, &args, n_chunks, args.call, p, n_chunks_, std::move(waits_for)});
    n_chunks_ += n_chunks;
    waits_for = {number};
    is_parallel_ = is_parallel_ || n_chunks > 1;
  }
  // A call without work has no phase: calls that wait for it wait for its predecessors instead.
  last_phases_.push_back(std::move(waits_for));
}

void Schedule::finish() { chunks_ = std::make_unique<Chunks[]>(phases_.size()); }

void Schedule::run_alone(const std::atomic<int64_t>& error, CallTimes* times) const {
  for (const Phase& phase : phases_) {
    for (int64_t chunk = 0; chunk < phase.n_chunks; chunk++) run_chunk(phase, chunk, 0);
    if (times != nullptr) times->record(phase.call);
    if (error.load(std::memory_order_relaxed) != 0) return;
  }
}

void Schedule::run_share(uint64_t ticket, int member, bool one_by_one,
                         const std::atomic<int64_t>& error, CallTimes* times) {
  const bool is_caller = member == 0;
  const size_t window = one_by_one ? 1 : kWindow;
  size_t first = 0;
  Backoff backoff;
  while (true) {
    State current = State::Over;
    while (first < phases_.size() && (current = state(first, ticket)) == State::Done) {
      if (is_caller && times != nullptr) times->record(phases_[first].call);
      first++;
    }
    if (first == phases_.size() || current == State::Over) return;
    const size_t end = std::min(first + window, phases_.size());
    bool took = false;
    for (size_t p = first; p < end && !took; p++) {
      // A single chunk that everything waits for is left to the caller, whose cache has most of
      // what small phases read; another thread takes it only if the caller does not.
      const bool is_callers = p == first && phases_[p].n_chunks == 1;
      if (is_callers && !is_caller && backoff.spinning()) continue;
      // One chunk of a later phase at a time: the first phase may be ready by then.
      took = is_ready(p, ticket) && run_chunks(p, ticket, member, p == first, error) > 0;
    }
    if (took) {
      backoff = {};
    } else {
      backoff.wait();
    }
  }
}

Schedule::State Schedule::state(size_t phase, uint64_t ticket) const {
  const uint64_t done = chunks_[phase].done.load(std::memory_order_acquire);
  if (done == counter_at(ticket, phases_[phase].n_chunks)) return State::Done;
  return ticket_of(done) > ticket ? State::Over : State::Running;
}

bool Schedule::is_ready(size_t phase, uint64_t ticket) const {
  const std::vector<int32_t>& after = phases_[phase].after;
  return std::all_of(after.begin(), after.end(),
                     [&](int32_t other) { return state(other, ticket) == State::Done; });
}

// Takes the next chunk that is the member's own, or else one of the other half; -1 if there is none
// left, or the run is over.
int64_t Schedule::take_chunk(size_t number, uint64_t ticket, int member) {
  const int64_t n = phases_[number].n_chunks;
  Chunks& chunks = chunks_[number];
  for (int turn = 0; turn < 2; turn++) {
    const bool from_end = (member + turn) % 2 == 1;
    const int64_t taken = add(from_end ? chunks.taken_from_end : chunks.taken, ticket, 1,
                              from_end ? n / 2 : n - n / 2);
    if (taken >= 0) return from_end ? n - 1 - taken : taken;
  }
  return -1;
}

// Runs a chunk of the phase, or as many as there are left to take. Returns how many.
int64_t Schedule::run_chunks(size_t number, uint64_t ticket, int member, bool all,
                             const std::atomic<int64_t>& error) {
  const Phase& phase = phases_[number];
  int64_t ran = 0;
  do {
    const int64_t chunk = take_chunk(number, ticket, member);
    if (chunk < 0) break;
    // After a failed check what is left counts as done, so that all threads finish.
    if (error.load() == 0) run_chunk(phase, chunk, member);
    ran++;
  } while (all);
  // Only holders of chunks of this run write here, and the run waits for them.
  if (ran > 0) add(chunks_[number].done, ticket, ran, phase.n_chunks);
  return ran;
}

void Schedule::run_chunk(const Phase& phase, int64_t chunk, int member) const {
  if (chunk_times_ == nullptr) {
    phase.run(*phase.args, chunk, phase.n_chunks);
    return;
  }
  const double begin = steady_seconds();
  phase.run(*phase.args, chunk, phase.n_chunks);
  chunk_times_[phase.first_chunk + chunk] = {begin, steady_seconds(), static_cast<double>(member)};
}

}  // namespace tgm
