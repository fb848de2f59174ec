#include "dependencies.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "sizes.hpp"

namespace tgm {
namespace {

// For each call the calls with a workspace that it waits for, directly or through others, as bits
// by their number among those. Calls without a workspace cost no bits, and long programs are mostly
// made of them.
class Ancestors {
 public:
  Ancestors(const std::vector<int64_t>& bytes, const Depends& depends)
      : rank_(bytes.size()), before_(bytes.size()) {
    size_t n = 0;
    for (size_t call = 0; call < bytes.size(); call++) {
      rank_[call] = n;
      std::vector<uint64_t>& before = before_[call];
      for (const int32_t other : depends[call]) {
        const std::vector<uint64_t>& theirs = before_[other];
        if (before.size() < theirs.size()) before.resize(theirs.size());
        for (size_t k = 0; k < theirs.size(); k++) before[k] |= theirs[k];
        if (bytes[other] == 0) continue;
        const size_t bit = rank_[other];
        if (before.size() <= bit / 64) before.resize(bit / 64 + 1);
        before[bit / 64] |= uint64_t{1} << bit % 64;
      }
      n += bytes[call] > 0;
    }
  }

  // Whether `later` waits for `earlier`, which has a workspace. If not, both may run at once.
  bool waits(size_t later, size_t earlier) const {
    const std::vector<uint64_t>& before = before_[later];
    const size_t bit = rank_[earlier];
    return bit / 64 < before.size() && (before[bit / 64] >> bit % 64 & 1) != 0;
  }

 private:
  std::vector<size_t> rank_;
  std::vector<std::vector<uint64_t>> before_;
};

}  // namespace

void check_order(const Depends& depends) {
  for (size_t call = 0; call < depends.size(); call++) {
    for (const int32_t other : depends[call]) {
      if (other < 0 || static_cast<size_t>(other) >= call) {
        throw std::invalid_argument("call " + std::to_string(call) + " waits for call " +
                                    std::to_string(other) + ", which is not before it");
      }
    }
  }
}

std::vector<int64_t> place_workspaces(const std::vector<int64_t>& bytes, const Depends& depends) {
  const Ancestors order(bytes, depends);
  std::vector<int64_t> places(bytes.size() + 1, 0);
  std::vector<size_t> placed;
  int64_t& total = places.back();
  for (size_t call = 0; call < bytes.size(); call++) {
    if (bytes[call] == 0) continue;
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const size_t other : placed) {
      if (!order.waits(call, other)) {
        taken.emplace_back(places[other], places[other] + bytes[other]);
      }
    }
    std::sort(taken.begin(), taken.end());
    for (const auto& [begin, end] : taken) {
      if (begin >= places[call] + bytes[call]) break;
      places[call] = std::max(places[call], end);
    }
    total = std::max(total, size_sum(places[call], bytes[call]));
    placed.push_back(call);
  }
  return places;
}

}  // namespace tgm
