// The process-wide team of threads that programs run on.
//
// One run of a program is one parallel region: the caller and the workers walk through the same
// phases and take chunks from each phase's counter. Nobody waits for a thread, only for chunks, so
// a thread that lost its core while it held no chunk delays nobody.
#pragma once

#include <atomic>
#include <cstdint>

namespace tgm {

// What the team runs. `work` is called by each worker that comes in time, with the run's ticket and
// the worker's number, from 1.
class Job {
 public:
  virtual void work(uint64_t ticket, int member) = 0;

  // Ticket of the last run that was given to the team (by enter_team). A worker that comes late
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

// One turn of a wait: spins a while, then gives the core away.
class Backoff {
 public:
  void wait();
  bool spinning() const { return turns_ < kSpinTurns; }

 private:
  static constexpr int kSpinTurns = 64;  // about 2000 cycles
  int turns_ = 0;
};

}  // namespace tgm
