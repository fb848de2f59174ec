// The phases of a program's calls, and how threads share them out.
//
// Every thread goes through the phases in order and takes chunks of the first one that is ready and
// has chunks left. Instead of waiting, it takes chunks of a later phase that is ready. So there is
// no barrier: a phase starts when those that it depends on are done.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernel.hpp"

namespace tgm {

// Records when a run began, the seconds of each call, and when it ended: 1 + n_calls + 1 numbers,
// times as seconds of the steady clock.
class CallTimes {
 public:
  CallTimes(double* times, int64_t n_calls);
  void begin();
  void record(int64_t call);  // the time since the last record, or the beginning
  void end();

 private:
  double* times_;
  int64_t n_calls_;
  double last_ = 0;
};

// When a chunk, or a whole run, began and ended, in seconds of the steady clock, and which member
// of the team ran it. All are doubles, so that many make an array.
struct ChunkTime {
  double begin;
  double end;
  double member;
};

double steady_seconds();

class Schedule {
 public:
  // A phase that has chunks, how many, and the phases that it waits for. number: among those of its
  // kernel. first_chunk: how many chunks all phases before it have.
  struct Phase {
    void (*run)(const Args& args, int64_t chunk, int64_t n_chunks);
    const Args* args;
    int64_t n_chunks;
    int64_t call;
    int32_t number;
    int64_t first_chunk;
    std::vector<int32_t> after;
  };

  // `after`: earlier calls that this one waits for. Throws std::invalid_argument.
  void add_call(const Kernel& kernel, const Args& args, const std::vector<int32_t>& after);
  // After the last call.
  void finish();

  // In the order in which threads come to them.
  const std::vector<Phase>& phases() const { return phases_; }

  // Of all phases.
  int64_t n_chunks() const { return n_chunks_; }

  // Between two runs: whether those that follow write when each of the n_chunks() chunks ran. A
  // chunk is skipped, and its time not written, where `error` is set.
  void record_chunks(ChunkTime* times) { chunk_times_ = times; }

  // Whether some phase has several chunks.
  bool is_parallel() const { return is_parallel_; }

  // One thread's share of a run; returns when the whole run is done. ticket: greater for each run.
  // member: 0 for the caller, other threads count from 1. Once `error` is set, chunks are skipped.
  // With `one_by_one` for all threads, a call starts when the one before it is done; the caller may
  // then record their `times`.
  void run_share(uint64_t ticket, int member, bool one_by_one, const std::atomic<int64_t>& error,
                 CallTimes* times = nullptr);

  // The whole run in this thread.
  void run_alone(const std::atomic<int64_t>& error, CallTimes* times = nullptr) const;

 private:
  // The low bits are a count, the high bits the ticket of its run. A counter with an older ticket
  // counts as 0; at one with a newer ticket, a late worker leaves.
  using Counter = std::atomic<uint64_t>;

  // Even members take one half of a phase's chunks, from the first on; odd ones take the other,
  // from the last on. A thread that finishes its half helps with the other. So in most phases a
  // thread finds its half of the images or of a matrix in its cache, and it rarely writes to a
  // counter that another core has just written.
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
  void run_chunk(const Phase& phase, int64_t chunk, int member) const;

  std::vector<Phase> phases_;
  std::vector<std::vector<int32_t>>
      last_phases_;                   // of each call: what waits for it waits for these
  std::unique_ptr<Chunks[]> chunks_;  // of each phase
  int64_t n_chunks_ = 0;
  bool is_parallel_ = false;
  // Read only while a chunk is held. A run ends after its chunks, so nothing is written later.
  ChunkTime* chunk_times_ = nullptr;
};

}  // namespace tgm
