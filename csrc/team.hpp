// The process-wide team of threads that programs run on.
//
// One run of a program is one parallel region: the caller and the workers go through the same
// phases and take chunks from each phase's counter. Threads wait for chunks, never for a thread:
// one that loses its core while it holds no chunk delays no other.
#pragma once

#include <atomic>
#include <cstdint>

namespace tgm {

// What the team runs. `work` is called by each worker that starts in time, with the run's ticket
// and the worker's number, from 1.
class Job {
 public:
  virtual void work(uint64_t ticket, int member) = 0;

  // Ticket of the last run that was given to the team (by enter_team). A worker that starts late
  // gets a ticket whose chunks are all taken.
  std::atomic<uint64_t> ticket{0};

 protected:
  ~Job() = default;
};

// Threads that a program may use, the caller included. The default is what the process may use:
// its affinity mask and its cgroup's quota.
constexpr int kMaxThreads = 256;
int team_threads();
void set_team_threads(int threads);

// Takes the team for `job` and wakes it; false if another program has it (or there are no workers)
// and the caller has to do all the work. After true, leave_team() must follow.
bool enter_team(Job* job, uint64_t ticket);
void leave_team();

// Waits until no worker touches `job` any more. For destructors.
void forget_job(Job* job);

// A number that changes in a forked child, which has none of its parent's threads.
uint32_t fork_epoch();

// One turn of a wait: spins a while, then yields the core.
class Backoff {
 public:
  void wait();
  bool spinning() const { return turns_ < kSpinTurns; }

 private:
  static constexpr int kSpinTurns = 64;  // about 2000 cycles
  int turns_ = 0;
};

}  // namespace tgm
