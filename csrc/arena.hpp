// Scratch memory that several programs share, because only one of them runs at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>

#include "sizes.hpp"

namespace tgm {

// One allocation, as large as the largest need of its programs. No run reads what an earlier one
// left in it.
class Arena {
 public:
  static constexpr int64_t kAlignment = 64;

  Arena() : memory_(nullptr, std::free) {}

  // A program adds its need when it is made, and removes it when it is destroyed. Both may happen
  // while another program runs: the allocation stays as it is until memory() is called, or until
  // the last program is destroyed.
  void add_need(int64_t bytes);
  void drop_need(int64_t bytes);

  // The allocation. It is made anew if the largest need has changed: its contents are lost then,
  // and programs find their operands at the new address. Called before a run, while no other
  // program runs. Throws std::bad_alloc.
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
inline int64_t aligned(int64_t bytes) {
  return size_sum(bytes, Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

}  // namespace tgm
