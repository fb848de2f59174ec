#include "dispatch.hpp"

#include <cstring>
#include <stdexcept>

#define TGM_TARGET_ENTRY(name, supported) \
  namespace name {                        \
  extern const Kernel* const kernels[];   \
  extern const Probe probe;               \
  }
namespace tgm {
#include "targets.inc"
}
#undef TGM_TARGET_ENTRY

namespace tgm {
namespace {

#define TGM_TARGET_ENTRY(name, supported) \
  Target{#name, static_cast<bool>(supported), name::kernels, &name::probe},

const std::vector<Target>& all_targets() {
  static const std::vector<Target> targets = {
#include "targets.inc"
  };
  return targets;
}

const Target* best_target() {
  const Target* best = nullptr;
  for (const Target& target : all_targets()) {
    if (target.supported) best = &target;
  }
  return best;
}

const Target*& chosen_target() {
  static const Target* chosen = best_target();
  return chosen;
}

}  // namespace

std::vector<std::string> supported_targets() {
  std::vector<std::string> names;
  for (const Target& target : all_targets()) {
    if (target.supported) names.push_back(target.name);
  }
  return names;
}

const Target& current_target() { return *chosen_target(); }

void set_target(const std::string& name) {
  std::string known;
  for (const Target& target : all_targets()) {
    if (!target.supported) continue;
    if (name == target.name) {
      chosen_target() = &target;
      return;
    }
    known += known.empty() ? target.name : std::string(", ") + target.name;
  }
  throw std::invalid_argument("no SIMD target '" + name + "' here; this processor has: " + known);
}

const Kernel& find_kernel(const Target& target, const std::string& name) {
  for (const Kernel* const* kernel = target.kernels; *kernel != nullptr; kernel++) {
    if (name == (*kernel)->name) return **kernel;
  }
  throw std::invalid_argument("the cpu backend has no kernel '" + name + "'");
}

}  // namespace tgm
