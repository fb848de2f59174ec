// The phases of a program's calls, and how threads share them out.
//
// Every thread walks through the phases in order, takes chunks of the first one that is ready and
// has chunks left, and helps with a later one that waits for nothing rather than wait itself. So
// there is no barrier: a phase starts when those that it depends on are done.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernel.hpp"

namespace tgm {

// Notes when a run began, the seconds of each call, and when it ended: 1 + n_calls + 1 numbers,
// points of time as seconds of the steady clock.
class CallTimes {
 public:
  CallTimes(double* times, int64_t n_calls);
  void begin();
  void note(int64_t call);  // since the last note, or the beginning
  void end();

 private:
  double* times_;
  int64_t n_calls_;
  double last_ = 0;
};

class Schedule {
 public:
  // `after`: earlier calls that this one waits for. Throws std::invalid_argument.
  void add_call(const Kernel& kernel, const Args& args, const std::vector<int32_t>& after);
  // After the last call.
  void finish();

  // Whether some phase has several chunks.
  bool is_parallel() const { return is_parallel_; }

  // One thread's share of the run `ticket`, whose tickets grow from run to run; returns when all is
  // done. member: 0 for the caller, other threads count from 1. Once `error` is set, chunks are
  // passed over. With `one_by_one` for all threads, a call starts when the one before it is done;
  // the caller may then note their `times`.
  void walk(uint64_t ticket, int member, bool one_by_one, const std::atomic<int64_t>& error,
            CallTimes* times = nullptr);

  // The whole run in this thread.
  void run_alone(const std::atomic<int64_t>& error, CallTimes* times = nullptr) const;

 private:
  struct Phase {
    void (*run)(const Args& args, int64_t chunk, int64_t n_chunks);
    const Args* args;
    int64_t n_chunks;
    int64_t call;
    std::vector<int32_t> after;  // phases
  };

  // A count below the ticket of the run that it belongs to: one that shows an older ticket stands
  // at 0, one with a newer ticket tells a late worker to leave.
  using Counter = std::atomic<uint64_t>;

  // Half of a phase's chunks is for the even members, from the first on, the other half for the
  // odd ones, from the last on; who is through with his half helps with the other. So a thread
  // meets in most phases what it has in its cache, its half of the images or of a matrix, and
  // hardly ever writes to a counter that another core has just written.
  struct Chunks {
    alignas(64) Counter taken{0};
    alignas(64) Counter taken_from_end{0};
    alignas(64) Counter done{0};
  };

  enum class State { Running, Done, Over };

  State state(size_t phase, uint64_t ticket) const;
  bool is_ready(size_t phase, uint64_t ticket) const;
  int64_t take_chunk(size_t phase, uint64_t ticket, int member);
  int64_t run_chunks(size_t phase, uint64_t ticket, int member, bool all,
                     const std::atomic<int64_t>& error);

  std::vector<Phase> phases_;
  std::vector<std::vector<int32_t>>
      last_phases_;                   // of each call: what waits for it waits for these
  std::unique_ptr<Chunks[]> chunks_;  // of each phase
  bool is_parallel_ = false;
};

}  // namespace tgm
