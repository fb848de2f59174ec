#include "roofline.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "arena.hpp"
#include "dispatch.hpp"
#include "probe.hpp"
#include "team.hpp"

namespace tgm {
namespace {

using Clock = std::chrono::steady_clock;
// What thread number `thread` does in one run; returns how much it did.
using Work = std::function<int64_t(int thread)>;

constexpr double kBudget = 0.025;       // seconds that are spent on runs
constexpr double kLongEnough = 0.0005;  // seconds of a run: short, so that some are not disturbed
constexpr int kLeastRuns = 3;

using Memory = std::unique_ptr<float, void (*)(void*)>;

// Vectors that cross cache lines would take twice the time.
Memory zeros(int64_t n) {
  auto* memory = static_cast<float*>(
      std::aligned_alloc(Arena::kAlignment, aligned(n * static_cast<int64_t>(sizeof(float)))));
  if (memory == nullptr) throw std::bad_alloc();
  std::fill_n(memory, n, 0.0F);
  return {memory, std::free};
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Threads that start each run together. The caller is number 0.
class Runners {
 public:
  Runners(int threads, const Work& work) : work_(work) {
    for (int t = 1; t < threads; t++) threads_.emplace_back([this, t] { follow(t); });
  }

  ~Runners() {
    stop_ = true;
    run_.fetch_add(1);
    for (std::thread& thread : threads_) thread.join();
  }

  Runners(const Runners&) = delete;
  Runners& operator=(const Runners&) = delete;

  // One run of all threads: how much they did by its seconds, from the start of the first to the
  // end of the last.
  double rate() {
    const auto others = static_cast<int>(threads_.size());
    amount_ = 0;
    done_ = 0;
    const auto begin = Clock::now();
    run_.fetch_add(1);
    amount_ += work_(0);
    for (Backoff backoff; done_.load() < others;) backoff.wait();
    return static_cast<double>(amount_.load()) / seconds_since(begin);
  }

 private:
  void follow(int thread) {
    for (uint32_t seen = 0;;) {
      for (Backoff backoff; run_.load() == seen;) backoff.wait();
      seen++;
      if (stop_) return;
      amount_ += work_(thread);
      done_.fetch_add(1);
    }
  }

  const Work& work_;
  std::vector<std::thread> threads_;
  std::atomic<uint32_t> run_{0};
  std::atomic<int> done_{0};
  std::atomic<int64_t> amount_{0};
  std::atomic<bool> stop_{false};
};

// The best rate of runs of `work(repeats, thread)`, with as many repeats as make a run long enough.
double best_rate(int threads, const std::function<int64_t(int64_t repeats, int thread)>& work) {
  int64_t repeats = 1;
  for (;; repeats *= 2) {
    const auto begin = Clock::now();
    work(repeats, 0);
    if (seconds_since(begin) >= kLongEnough) break;
  }
  const Work run = [&](int thread) { return work(repeats, thread); };
  Runners runners(threads, run);
  double best = 0;
  const auto begin = Clock::now();
  for (int i = 0; i < kLeastRuns || seconds_since(begin) < kBudget; i++) {
    best = std::max(best, runners.rate());
  }
  return best;
}

}  // namespace

double measure_peak(DType dtype, int threads) {
  const Probe& probe = *current_target().probe;
  constexpr int64_t kRounds = 1000;
  const auto work = [&](int64_t repeats, int) {
    return probe.multiply_adds(dtype, repeats * kRounds);
  };
  return std::max(best_rate(threads, work), best_rate(threads, work));
}

double measure_bandwidth(int64_t bytes, int threads) {
  const Probe& probe = *current_target().probe;
  const int64_t n = bytes / threads / static_cast<int64_t>(sizeof(float));
  std::vector<Memory> memory;
  for (int t = 0; t < threads; t++) memory.emplace_back(nullptr, std::free);
  const auto part = [&](int thread) {
    // Each thread makes its own part, in its own node's memory.
    if (memory[thread] == nullptr) memory[thread] = zeros(n);
    return memory[thread].get();
  };
  const double triad = best_rate(
      threads, [&](int64_t repeats, int thread) { return probe.triad(part(thread), n, repeats); });
  const double read = best_rate(
      threads, [&](int64_t repeats, int thread) { return probe.read(part(thread), n, repeats); });
  return std::max(triad, read);
}

}  // namespace tgm
