// Scratch memory that several programs share, because only one of them runs at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>

namespace tgm {

// One allocation, as large as the largest of its programs wants it. What a run leaves in it means
// nothing to the next.
class Arena {
 public:
  static constexpr int64_t kAlignment = 64;

  Arena() : memory_(nullptr, std::free) {}

  // A program states its need when it is made, and takes it back when it goes. Both may happen
  // while another program runs: the allocation stays as it is until memory() is called, or until
  // the last program is gone.
  void add_need(int64_t bytes);
  void drop_need(int64_t bytes);

  // The allocation, made anew where the largest need has changed; what it held is lost then, and
  // programs have to look for their operands at the new address. For whoever runs next, who is
  // alone. Throws std::bad_alloc.
  char* memory();

  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }  // allocated now

 private:
  std::mutex mutex_;  // of needs_
  std::multiset<int64_t> needs_;
  std::atomic<int64_t> largest_{0};
  std::atomic<int64_t> bytes_{0};
  std::unique_ptr<char, void (*)(void*)> memory_;
};

// The next multiple of the arena's alignment.
constexpr int64_t aligned(int64_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

}  // namespace tgm
