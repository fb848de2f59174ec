#include "roofline.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

#include "arena.hpp"
#include "dispatch.hpp"
#include "probe.hpp"
#include "team.hpp"

namespace tgm {
namespace {

using Clock = std::chrono::steady_clock;
// Does `turns` turns in the part of thread number `thread`; returns the work done.
using Work = std::function<int64_t(int64_t turns, int thread)>;

constexpr double kBudget = 0.025;       // seconds that are spent on runs
constexpr double kLongEnough = 0.0005;  // seconds of a run: short, so that some are undisturbed
constexpr int kLeastRuns = 3;

// A thread's own floats, which it fills itself, so that they are in its own node's memory. Aligned:
// vectors that cross cache lines take twice the time.
class Part {
 public:
  explicit Part(int64_t n) : n_(n), floats_(nullptr, std::free) {
    const auto bytes = aligned(n * static_cast<int64_t>(sizeof(float)));
    floats_.reset(static_cast<float*>(std::aligned_alloc(Arena::kAlignment, bytes)));
    if (floats_ == nullptr) throw std::bad_alloc();
  }

  float* filled() {
    if (!is_filled_) std::fill_n(floats_.get(), n_, 0.0F);
    is_filled_ = true;
    return floats_.get();
  }

 private:
  int64_t n_;
  bool is_filled_ = false;
  std::unique_ptr<float, void (*)(void*)> floats_;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Threads that all work at the same time, each at its own pace.
class Crew {
 public:
  Crew(int threads, const Work& work) : threads_(threads), work_(work) {}

  // The sum of every thread's best rate, measured while all of them work. Waiting for runs in
  // which no thread is disturbed would take long on a busy machine.
  double best_rate() {
    std::vector<double> rates(threads_);
    std::vector<std::thread> others;
    for (int t = 1; t < threads_; t++) others.emplace_back([&, t] { rates[t] = follow(t); });
    rates[0] = follow(0);
    for (std::thread& other : others) other.join();
    return std::accumulate(rates.begin(), rates.end(), 0.0);
  }

 private:
  double follow(int thread) {
    int64_t turns = 1;
    while (run(turns, thread).seconds < kLongEnough) turns *= 2;
    ready_.fetch_add(1);
    for (Backoff backoff; ready_.load() < threads_;) backoff.wait();
    double best = 0;
    const auto begin = Clock::now();
    for (int i = 0; i < kLeastRuns || seconds_since(begin) < kBudget; i++) {
      const Run done = run(turns, thread);
      best = std::max(best, done.amount / done.seconds);
    }
    done_.fetch_add(1);
    while (done_.load() < threads_) run(turns, thread);  // the others' runs are shared, too
    return best;
  }

  struct Run {
    double amount;
    double seconds;
  };

  Run run(int64_t turns, int thread) {
    const auto begin = Clock::now();
    const auto amount = static_cast<double>(work_(turns, thread));
    return {amount, seconds_since(begin)};
  }

  int threads_;
  const Work& work_;
  std::atomic<int> ready_{0};
  std::atomic<int> done_{0};
};

double best_rate(int threads, const Work& work) { return Crew(threads, work).best_rate(); }

}  // namespace

double measure_peak(DType dtype, int threads) {
  const Probe& probe = *current_target().probe;
  constexpr int64_t kRounds = 1000;
  const auto work = [&](int64_t turns, int) { return probe.multiply_adds(dtype, turns * kRounds); };
  return std::max(best_rate(threads, work), best_rate(threads, work));
}

double measure_bandwidth(int64_t bytes, int threads) {
  const Probe& probe = *current_target().probe;
  const int64_t n = bytes / threads / static_cast<int64_t>(sizeof(float));
  std::vector<Part> parts;
  for (int t = 0; t < threads; t++) parts.emplace_back(n);
  const double triad = best_rate(threads, [&](int64_t turns, int thread) {
    return probe.triad(parts[thread].filled(), n, turns);
  });
  const double read = best_rate(threads, [&](int64_t turns, int thread) {
    return probe.read(parts[thread].filled(), n, turns);
  });
  return std::max(triad, read);
}

}  // namespace tgm
