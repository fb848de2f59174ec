// A plan prepared for running: kernels looked up, work cut into chunks, operands laid out.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "dependencies.hpp"
#include "dispatch.hpp"
#include "failure.hpp"
#include "kernel.hpp"
#include "schedule.hpp"
#include "team.hpp"

namespace tgm {

struct BufferSpec {
  enum class Kind { Arena, Bind, Fixed };
  Kind kind;
  int64_t value;       // byte offset in the arena, number of the bound address, or address
  int64_t bytes = -1;  // from there on; -1: not known, so that views are not compared with it
};

// A strided view of a buffer. The first element is `offset` elements after the buffer's start,
// plus slot * multiplier for each pair of `slots`.
struct ViewSpec {
  int32_t buffer;
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  int64_t offset;
  std::vector<std::pair<int32_t, int64_t>> slots;
};

struct CallSpec {
  std::string kernel;
  std::vector<ViewSpec> inputs;
  std::vector<ViewSpec> outputs;
  std::vector<int64_t> ints;
  std::vector<Tape> tapes;
};

// Runs its calls on the team, where there is work for it: each call after those that it waits for;
// others may run at the same time. Temporaries and workspace lie in an arena; run()
// allocates nothing, unless the arena's largest need has changed since the last run. One run at a
// time of all programs on an arena; the caller sees to that.
class Program final : public Job {
 public:
  // depends: for each call the earlier calls that it waits for. Throws std::invalid_argument, with
  // the kernel's name where a call is not what its kernel takes.
  Program(const std::vector<BufferSpec>& buffers, const std::vector<CallSpec>& calls,
          const std::vector<std::vector<int32_t>>& depends, int64_t arena_bytes,
          std::shared_ptr<Arena> arena);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // addresses: of the bound buffers, which don't overlap; slots: values of the run-time offsets.
  // Throws std::out_of_range, before any call has run, where slots move a view out of its buffer.
  // Returns 0, or 1 + the number of the call whose check failed; then no call that waits for it has
  // run, and what others would have made may be missing.
  int64_t run(const int64_t* addresses, const int64_t* slots);

  // The same, one call after the other. Writes to `times` when the first call began, the seconds of
  // each call, and when the run ended: 1 + n_calls + 1 numbers, times as seconds of the steady
  // clock.
  int64_t run_timed(const int64_t* addresses, const int64_t* slots, double* times);

  // The same as run(), calls overlapping as there. Writes when each chunk ran, and behind them when
  // the run did: n_chunks() + 1 times. Those of chunks that a failed check skipped stay as they
  // are.
  int64_t run_recorded(const int64_t* addresses, const int64_t* slots, ChunkTime* times);

  void work(uint64_t ticket, int member) override;  // for the team

  int64_t arena_bytes() const { return arena_bytes_; }
  int64_t workspace_bytes() const { return workspaces_.back(); }
  int32_t n_addresses() const { return n_addresses_; }
  int32_t n_slots() const { return n_slots_; }
  int64_t needed_bytes() const { return size_sum(aligned(arena_bytes_), workspace_bytes()); }
  int64_t n_calls() const { return static_cast<int64_t>(calls_.size()); }
  int64_t n_chunks() const { return schedule_.n_chunks(); }
  const std::vector<Schedule::Phase>& phases() const { return schedule_.phases(); }

 private:
  struct Call {
    Args args;
    const Kernel* kernel;
  };

  // A view whose address changes from run to run.
  struct MovingView {
    Tensor* tensor;
    int32_t bind;  // number of the bound address, kInArena or kFixed
    int32_t first_term;
    int32_t n_terms;
    char* base;      // where bind is kFixed
    int64_t offset;  // bytes
    size_t item;     // bytes of an element; 1 if there is none
    // The offsets in bytes, slots included, with which all elements are in the buffer.
    int64_t first_offset;
    int64_t last_offset;
  };
  static constexpr int32_t kInArena = -1;
  static constexpr int32_t kFixed = -2;

  // A view that moves only when the arena does.
  struct ArenaView {
    Tensor* tensor;
    int64_t offset;  // bytes
  };

  struct OffsetTerm {
    int32_t slot;
    int64_t bytes;
  };

  void add_call(const std::vector<BufferSpec>& buffers, const CallSpec& spec);
  void add_tensor(const std::vector<BufferSpec>& buffers, const ViewSpec& view);
  int64_t moved_offset(const MovingView& view, const int64_t* slots) const;
  void make_schedule(const std::vector<std::vector<int32_t>>& depends);
  void follow_arena();
  void resolve(const int64_t* addresses, const int64_t* slots);
  int64_t run(const int64_t* addresses, const int64_t* slots, CallTimes* call_times,
              ChunkTime* chunk_times);

  int64_t arena_bytes_;
  int32_t n_addresses_ = 0;
  int32_t n_slots_ = 0;

  std::shared_ptr<Arena> arena_;
  char* memory_ = nullptr;       // of the arena, at the last run
  std::vector<Tensor> tensors_;  // operands of all calls, in order
  std::vector<int64_t> ints_;
  std::vector<Tape> tapes_;
  std::vector<const Tape*> tape_pointers_;
  std::vector<Call> calls_;
  std::vector<int64_t> workspaces_;  // offset of each call's, and their size
  Schedule schedule_;
  std::vector<MovingView> moving_;
  std::vector<ArenaView> in_arena_;
  std::vector<OffsetTerm> terms_;

  uint64_t last_ticket_ = 0;
  std::atomic<bool> one_by_one_{false};  // the run is timed call by call
  alignas(64) Failure failure_;
};

}  // namespace tgm
