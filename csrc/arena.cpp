#include "arena.hpp"

#include <algorithm>
#include <new>

namespace tgm {

void Arena::add_need(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  needs_.insert(bytes);
  largest_.store(*needs_.rbegin());
}

void Arena::drop_need(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  needs_.erase(needs_.find(bytes));
  largest_.store(needs_.empty() ? 0 : *needs_.rbegin());
  if (needs_.empty()) {  // no program is left that could be running
    memory_.reset();
    bytes_.store(0);
  }
}

char* Arena::memory() {
  const int64_t wanted = std::max(aligned(largest_.load()), kAlignment);
  if (memory_ == nullptr || wanted != bytes()) {
    // Freed first: a training step's memory would not always fit twice.
    memory_.reset();
    bytes_.store(0);
    memory_.reset(static_cast<char*>(std::aligned_alloc(kAlignment, static_cast<size_t>(wanted))));
    if (memory_ == nullptr) throw std::bad_alloc();
    bytes_.store(wanted);
  }
  return memory_.get();
}

}  // namespace tgm
