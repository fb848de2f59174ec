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

// How far a thread looks for work behind the first phase that is not done.
constexpr size_t kWindow = 16;

uint64_t ticket_of(uint64_t counter) { return counter >> kCountBits; }
int64_t count_of(uint64_t counter) { return static_cast<int64_t>(counter & kMaxChunks); }

uint64_t counter_at(uint64_t ticket, int64_t count) {
  return (ticket << kCountBits) | static_cast<uint64_t>(count);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

CallTimes::CallTimes(double* times, int64_t n_calls) : times_(times), n_calls_(n_calls) {
  std::fill_n(times, n_calls + 2, 0.0);
}

void CallTimes::begin() { times_[0] = last_ = now(); }

void CallTimes::note(int64_t call) {
  const double time = now();
  times_[1 + call] += time - last_;
  last_ = time;
}

void CallTimes::end() { times_[1 + n_calls_] = now(); }

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
    phases_.push_back({kernel.phases[p].run, &args, n_chunks, args.call, std::move(waits_for)});
    waits_for = {number};
    is_parallel_ = is_parallel_ || n_chunks > 1;
  }
  // A call without work has no phase: what waits for it waits for what it would have waited for.
  last_phases_.push_back(std::move(waits_for));
}

void Schedule::finish() { counters_ = std::make_unique<Counter[]>(phases_.size()); }

void Schedule::run_alone(const std::atomic<int64_t>& error, CallTimes* times) const {
  for (const Phase& phase : phases_) {
    for (int64_t chunk = 0; chunk < phase.n_chunks; chunk++) {
      phase.run(*phase.args, chunk, phase.n_chunks);
    }
    if (times != nullptr) times->note(phase.call);
    if (error.load(std::memory_order_relaxed) != 0) return;
  }
}

void Schedule::walk(uint64_t ticket, bool is_caller, bool one_by_one,
                    const std::atomic<int64_t>& error, CallTimes* times) {
  const size_t window = one_by_one ? 1 : kWindow;
  size_t first = 0;
  Backoff backoff;
  while (true) {
    State current = State::Over;
    while (first < phases_.size() && (current = state(first, ticket)) == State::Done) {
      if (is_caller && times != nullptr) times->note(phases_[first].call);
      first++;
    }
    if (first == phases_.size() || current == State::Over) return;
    const size_t end = std::min(first + window, phases_.size());
    bool took = false;
    for (size_t p = first; p < end && !took; p++) {
      // A single chunk that everything waits for is the caller's, whose cache has most of what
      // small phases read; the others take it only if the caller does not come.
      const bool is_callers = p == first && phases_[p].n_chunks == 1;
      if (is_callers && !is_caller && backoff.spinning()) continue;
      took = is_ready(p, ticket) && take_chunk(p, ticket, error);
    }
    if (took) {
      backoff = {};
    } else {
      backoff.wait();
    }
  }
}

Schedule::State Schedule::state(size_t phase, uint64_t ticket) const {
  const uint64_t done = counters_[phase].done.load(std::memory_order_acquire);
  if (done == counter_at(ticket, phases_[phase].n_chunks)) return State::Done;
  return ticket_of(done) > ticket ? State::Over : State::Running;
}

bool Schedule::is_ready(size_t phase, uint64_t ticket) const {
  const std::vector<int32_t>& after = phases_[phase].after;
  return std::all_of(after.begin(), after.end(),
                     [&](int32_t other) { return state(other, ticket) == State::Done; });
}

// Runs the phase's next chunk; false if there is none left, or the run is over.
bool Schedule::take_chunk(size_t number, uint64_t ticket, const std::atomic<int64_t>& error) {
  const Phase& phase = phases_[number];
  Counter& counter = counters_[number];
  uint64_t next = counter.next.load();
  int64_t chunk = 0;
  do {
    if (ticket_of(next) > ticket) return false;
    chunk = ticket_of(next) == ticket ? count_of(next) : 0;
    if (chunk >= phase.n_chunks) return false;
  } while (!counter.next.compare_exchange_weak(next, counter_at(ticket, chunk + 1)));
  // After a failed check what is left counts as done, so that all threads come to the end.
  if (error.load() == 0) phase.run(*phase.args, chunk, phase.n_chunks);
  // Only holders of chunks of this run write here, and the run waits for them.
  uint64_t done = counter.done.load();
  uint64_t more = 0;
  do {
    more = ticket_of(done) == ticket ? done + 1 : counter_at(ticket, 1);
  } while (!counter.done.compare_exchange_weak(done, more));
  return true;
}

}  // namespace tgm
