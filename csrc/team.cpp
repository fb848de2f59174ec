#include "team.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace tgm {
namespace {

constexpr auto kIdleBeforePark = std::chrono::microseconds(50);

inline void pause_core() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// CPUs of the cgroup's quota, rounded up; 0 if there is none.
int cgroup_quota() {
  long long quota = -1;
  long long period = 100000;
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    if (std::fscanf(file, "%lld %lld", &quota, &period) < 1) quota = -1;
    std::fclose(file);
  } else if (std::FILE* v1 = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
    if (std::fscanf(v1, "%lld", &quota) < 1) quota = -1;
    std::fclose(v1);
  }
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>((quota + period - 1) / period);
}

int default_threads() {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) threads = CPU_COUNT(&mask);
#endif
  if (const int quota = cgroup_quota()) threads = std::min(threads, quota);
  return std::clamp(threads, 1, kMaxThreads);
}

// Never destroyed: its workers may outlive main().
class Team {
 public:
  explicit Team(int threads) : threads_(threads) {}

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  void resize(int threads) {
    Backoff backoff;
    while (busy_.test_and_set(std::memory_order_acquire)) backoff.wait();
    stop_workers();
    threads_.store(threads, std::memory_order_relaxed);
    busy_.clear(std::memory_order_release);
  }

  bool enter(Job* job, uint64_t ticket) {
    if (threads() == 1) return false;
    if (busy_.test_and_set(std::memory_order_acquire)) return false;
    if (workers_.empty()) start_workers();
    job->ticket.store(ticket);
    job_.store(job);
    epoch_.fetch_add(1);
    if (parked_.load() > 0) {
      const std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    return true;
  }

  void leave() { busy_.clear(std::memory_order_release); }

  void forget(Job* job) {
    Job* expected = job;
    job_.compare_exchange_strong(expected, nullptr);
    for (Touched& touched : touched_) {
      Backoff backoff;
      while (touched.job.load() == job) backoff.wait();
    }
  }

 private:
  // The job that a worker may be touching.
  struct alignas(64) Touched {
    std::atomic<Job*> job{nullptr};
  };

  void start_workers() {
    // Signals go to the user's threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (int i = 1; i < threads(); i++) {
        workers_.emplace_back([this, i, seen = epoch_.load()] { serve(i, seen); });
      }
    } catch (const std::system_error&) {
      // The system refuses more threads: the team has those started so far.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void stop_workers() {
    stop_.store(true);
    epoch_.fetch_add(1);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stop_.store(false);
  }

  void serve(int member, uint64_t seen) {
    std::atomic<Job*>& touched = touched_[member].job;
    while (true) {
      seen = await_epoch(seen);
      if (stop_.load()) return;
      // Announces the job, then checks that it is still the current one: forget() clears the job
      // first and checks the workers second.
      Job* job = job_.load();
      touched.store(job);
      if (job != nullptr && job_.load() == job) job->work(job->ticket.load(), member);
      touched.store(nullptr);
    }
  }

  // Returns the first epoch other than `seen`: spins, yields, then sleeps.
  uint64_t await_epoch(uint64_t seen) {
    const auto start = std::chrono::steady_clock::now();
    Backoff backoff;
    while (epoch_.load() == seen) {
      backoff.wait();
      if (backoff.spinning() || std::chrono::steady_clock::now() - start < kIdleBeforePark)
        continue;
      std::unique_lock<std::mutex> lock(mutex_);
      parked_.fetch_add(1);
      wake_.wait(lock, [&] { return epoch_.load() != seen; });
      parked_.fetch_sub(1);
    }
    return epoch_.load();
  }

  std::atomic<int> threads_;
  std::atomic_flag busy_;
  alignas(64) std::atomic<uint64_t> epoch_{0};
  std::atomic<Job*> job_{nullptr};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<int> parked_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;  // changed only while busy_ is held
  Touched touched_[kMaxThreads];
};

std::atomic<uint32_t> forks{0};
Team* team = nullptr;

// The child has one thread: the old team's locks and workers are abandoned as they are.
void after_fork() {
  team = new Team(team->threads());
  forks.fetch_add(1);
}

Team& the_team() {
  static const bool ready = [] {
    team = new Team(default_threads());
    pthread_atfork(nullptr, nullptr, after_fork);
    return true;
  }();
  static_cast<void>(ready);
  return *team;
}

}  // namespace

int team_threads() { return the_team().threads(); }
void set_team_threads(int threads) { the_team().resize(threads); }
bool enter_team(Job* job, uint64_t ticket) { return the_team().enter(job, ticket); }
void leave_team() { the_team().leave(); }
void forget_job(Job* job) { the_team().forget(job); }
uint32_t fork_epoch() { return forks.load(std::memory_order_relaxed); }

void Backoff::wait() {
  if (turns_ < kSpinTurns) {
    turns_++;
    pause_core();
  } else {
    sched_yield();
  }
}

}  // namespace tgm
