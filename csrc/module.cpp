// The Python interface of the runtime: tinygrad_mnist._native.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <tuple>

#include "dispatch.hpp"
#include "program.hpp"
#include "roofline.hpp"
#include "rounding.hpp"
#include "tape.hpp"
#include "team.hpp"

namespace py = pybind11;

namespace tgm {
namespace {

DType parse_dtype(const std::string& name) {
  static const std::pair<const char*, DType> dtypes[] = {
      {"bool", DType::Bool},       {"int8", DType::Int8},     {"int16", DType::Int16},
      {"int32", DType::Int32},     {"int64", DType::Int64},   {"uint8", DType::UInt8},
      {"uint16", DType::UInt16},   {"uint32", DType::UInt32}, {"float32", DType::Float32},
      {"float64", DType::Float64},
  };
  for (const auto& [known, dtype] : dtypes) {
    if (name == known) return dtype;
  }
  throw std::invalid_argument("the cpu backend has no dtype '" + name + "'");
}

// (kind, value), or (kind, value, bytes) for a bound or fixed buffer whose views are to be checked.
BufferSpec parse_buffer(const py::tuple& spec) {
  const auto kind = spec[0].cast<std::string>();
  const auto value = spec[1].cast<int64_t>();
  const int64_t bytes = spec.size() > 2 ? spec[2].cast<int64_t>() : -1;
  if (spec.size() > 2 && bytes < 0) throw std::invalid_argument("a buffer has negative bytes");
  if (kind == "arena") return {BufferSpec::Kind::Arena, value};
  if (kind == "bind") return {BufferSpec::Kind::Bind, value, bytes};
  if (kind == "fixed") return {BufferSpec::Kind::Fixed, value, bytes};
  throw std::invalid_argument("a buffer is 'arena', 'bind' or 'fixed', not '" + kind + "'");
}

ViewSpec parse_view(const py::tuple& spec) {
  return {spec[0].cast<int32_t>(),
          parse_dtype(spec[1].cast<std::string>()),
          spec[2].cast<std::vector<int64_t>>(),
          spec[3].cast<std::vector<int64_t>>(),
          spec[4].cast<int64_t>(),
          spec[5].cast<std::vector<std::pair<int32_t, int64_t>>>()};
}

Opcode parse_opcode(const std::string& name) {
  const std::vector<const char*>& names = tape_opcodes();
  for (size_t i = 0; i < names.size(); i++) {
    if (names[i] == name) return static_cast<Opcode>(i);
  }
  throw std::invalid_argument("the cpu backend has no tape operation '" + name + "'");
}

Tape parse_tape(const py::tuple& spec) {
  Tape tape;
  tape.dtype = parse_dtype(spec[0].cast<std::string>());
  tape.n_inputs = spec[1].cast<int32_t>();
  for (const py::handle item : spec[2]) {
    const auto fields = item.cast<py::tuple>();
    Instruction instruction{};
    instruction.opcode = parse_opcode(fields[0].cast<std::string>());
    const auto args = fields[1].cast<std::vector<int32_t>>();
    if (static_cast<int32_t>(args.size()) != opcode_arity(instruction.opcode)) {
      throw std::invalid_argument("the tape operation " + fields[0].cast<std::string>() +
                                  " takes " + std::to_string(opcode_arity(instruction.opcode)) +
                                  " arguments, not " + std::to_string(args.size()));
    }
    std::copy(args.begin(), args.end(), instruction.arg);
    // An int64 constant may need more digits than a double has.
    if (tape.dtype == DType::Int64) {
      instruction.integer = py::int_(fields[2].cast<py::object>()).cast<int64_t>();
    } else {
      instruction.immediate = fields[2].cast<double>();
    }
    instruction.key = fields[3].cast<uint64_t>();
    tape.instructions.push_back(instruction);
  }
  tape.outputs = spec[3].cast<std::vector<int32_t>>();
  return tape;
}

std::vector<ViewSpec> parse_views(const py::handle& specs) {
  std::vector<ViewSpec> views;
  for (const py::handle spec : specs) views.push_back(parse_view(spec.cast<py::tuple>()));
  return views;
}

CallSpec parse_call(const py::tuple& spec) {
  CallSpec call;
  call.kernel = spec[0].cast<std::string>();
  try {
    call.inputs = parse_views(spec[1]);
    call.outputs = parse_views(spec[2]);
    call.ints = spec[3].cast<std::vector<int64_t>>();
    for (const py::handle tape : spec[4]) call.tapes.push_back(parse_tape(tape.cast<py::tuple>()));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(call.kernel + ": " + error.what());
  }
  return call;
}

std::unique_ptr<Program> make_program(const py::iterable& buffers, const py::iterable& calls,
                                      const std::vector<std::vector<int32_t>>& depends,
                                      int64_t arena_bytes, std::shared_ptr<Arena> arena) {
  std::vector<BufferSpec> buffer_specs;
  for (const py::handle spec : buffers)
    buffer_specs.push_back(parse_buffer(spec.cast<py::tuple>()));
  std::vector<CallSpec> call_specs;
  for (const py::handle spec : calls) call_specs.push_back(parse_call(spec.cast<py::tuple>()));
  return std::make_unique<Program>(buffer_specs, call_specs, depends, arena_bytes,
                                   std::move(arena));
}

// An integer, or the address of an array's first element: cheaper here than in Python.
int64_t integer_or_address(PyObject* item) {
  if (!PyLong_Check(item) && py::isinstance<py::array>(item)) {
    return reinterpret_cast<int64_t>(py::detail::array_proxy(item)->data);
  }
  const int64_t value = PyLong_AsLongLong(item);
  if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  return value;
}

// The integers of a list or tuple, without a std::vector for the usual few.
class Integers {
 public:
  Integers(const py::handle& sequence, int32_t needed, const char* what) {
    const py::object fast = py::reinterpret_steal<py::object>(
        PySequence_Fast(sequence.ptr(), "addresses and slots are lists of integers"));
    if (!fast) throw py::error_already_set();
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(fast.ptr());
    if (n < needed) {
      throw std::invalid_argument("the program needs " + std::to_string(needed) + " " + what +
                                  ", got " + std::to_string(n));
    }
    if (n > kFew) more_.resize(n);
    int64_t* values = n > kFew ? more_.data() : few_;
    for (Py_ssize_t i = 0; i < n; i++) {
      values[i] = integer_or_address(PySequence_Fast_GET_ITEM(fast.ptr(), i));
    }
  }

  const int64_t* data() const { return more_.empty() ? few_ : more_.data(); }

 private:
  static constexpr Py_ssize_t kFew = 64;
  int64_t few_[kFew];
  std::vector<int64_t> more_;
};

// An arena, and whether one of its programs is running: a second run then is an error of the
// caller, and would overwrite what the first has there.
struct PyArena {
  std::shared_ptr<Arena> arena = std::make_shared<Arena>();
  uint32_t running_in = 0;  // 1 + the fork epoch of the run

  // Guarded by the GIL. A run that a fork cut off counts for nothing in the child.
  class Busy {
   public:
    explicit Busy(PyArena& owner) : owner_(owner) {
      if (owner.running_in == fork_epoch() + 1) {
        throw std::runtime_error("a program of this arena is running already, in another thread");
      }
      owner.running_in = fork_epoch() + 1;
    }
    ~Busy() { owner_.running_in = 0; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    PyArena& owner_;
  };
};

// A row per step, a column per slot.
using Slots = py::array_t<int64_t, py::array::c_style | py::array::forcecast>;
// One number: how many steps ran whole. It is valid also after an exception.
using Progress = py::array_t<int64_t, py::array::c_style>;

class PyProgram {
 public:
  PyProgram(std::unique_ptr<Program> program, std::shared_ptr<PyArena> arena)
      : program_(std::move(program)), arena_(std::move(arena)) {}

  int64_t run(const py::handle& addresses, const py::handle& slots) {
    const Integers address_values(addresses, program_->n_addresses(), "addresses");
    const Integers slot_values(slots, program_->n_slots(), "slots");
    const PyArena::Busy busy(*arena_);
    const py::gil_scoped_release release;
    return program_->run(address_values.data(), slot_values.data());
  }

  // Runs one step per row of `slots`. The addresses of step i are addresses + i * step_bytes.
  // Each step that ran whole adds 1 to `progress`. Returns 0 or the failing check + 1.
  int64_t sweep(const py::handle& addresses, const py::handle& step_bytes, const Slots& slots,
                Progress& progress) {
    return run_steps(addresses, step_bytes, slots, progress,
                     [this](int64_t, const int64_t* current, const int64_t* row) {
                       return program_->run(current, row);
                     });
  }

  // The same, timed. Also returns an array (steps, 1 + calls + 1): when the step's first call
  // began, the seconds of each call, when the step ended.
  std::pair<int64_t, py::array_t<double>> profile(const py::handle& addresses,
                                                  const py::handle& step_bytes, const Slots& slots,
                                                  Progress& progress) {
    const py::ssize_t width = program_->n_calls() + 2;
    py::array_t<double> times({slots.ndim() == 2 ? slots.shape(0) : 0, width});
    double* first = times.mutable_data();
    const int64_t failed =
        run_steps(addresses, step_bytes, slots, progress,
                  [&](int64_t step, const int64_t* current, const int64_t* row) {
                    return program_->run_timed(current, row, first + step * width);
                  });
    return {failed, std::move(times)};
  }

  // A sweep that records its chunks. Also returns an array (steps, chunks + 1, 3): when each chunk
  // began and ended and which thread ran it, in the order of the phases; then the same of the step.
  std::pair<int64_t, py::array_t<double>> timeline(const py::handle& addresses,
                                                   const py::handle& step_bytes, const Slots& slots,
                                                   Progress& progress) {
    const py::ssize_t n = program_->n_chunks() + 1;
    py::array_t<double> times({slots.ndim() == 2 ? slots.shape(0) : 0, n, py::ssize_t{3}});
    static_assert(sizeof(ChunkTime) == 3 * sizeof(double));
    auto* first = reinterpret_cast<ChunkTime*>(times.mutable_data());
    const int64_t failed =
        run_steps(addresses, step_bytes, slots, progress,
                  [&](int64_t step, const int64_t* current, const int64_t* row) {
                    return program_->run_recorded(current, row, first + step * n);
                  });
    return {failed, std::move(times)};
  }

  int64_t arena_bytes() const { return program_->arena_bytes(); }
  int64_t workspace_bytes() const { return program_->workspace_bytes(); }

  // (call, number among the phases of its kernel, chunks, phases that it waits for) of each phase.
  py::list phases() const {
    py::list all;
    for (const Schedule::Phase& p : program_->phases()) {
      all.append(py::make_tuple(p.call, p.number, p.n_chunks, p.after));
    }
    return all;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kSignalPeriod{20};

  // Calls run(step, addresses, row of slots) for every step until one returns the number of a
  // failing check. Signals are polled between steps, every few milliseconds: after an
  // interrupt, memory is as after a whole step.
  template <class Run>
  int64_t run_steps(const py::handle& addresses, const py::handle& step_bytes, const Slots& slots,
                    Progress& progress, const Run& run) {
    if (slots.ndim() != 2 || slots.shape(1) < program_->n_slots()) {
      throw std::invalid_argument("slots must have a row per step and a column per slot");
    }
    if (progress.size() != 1) throw std::invalid_argument("progress must be one int64");
    int64_t* done = progress.mutable_data();
    const int32_t n = program_->n_addresses();
    const Integers first(addresses, n, "addresses");
    const Integers strides(step_bytes, n, "step_bytes");
    std::vector<int64_t> current(first.data(), first.data() + n);
    const int64_t* row = slots.data();
    const int64_t n_steps = slots.shape(0);
    const int64_t n_columns = slots.shape(1);
    const PyArena::Busy busy(*arena_);
    const py::gil_scoped_release release;
    auto next_poll = Clock::now() + kSignalPeriod;
    for (int64_t step = 0; step < n_steps; step++, row += n_columns) {
      const int64_t failed = run(step, current.data(), row);
      if (failed != 0) return failed;
      *done += 1;
      for (int32_t i = 0; i < n; i++) current[i] += strides.data()[i];
      if (Clock::now() < next_poll) continue;
      const py::gil_scoped_acquire acquire;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      next_poll = Clock::now() + kSignalPeriod;
    }
    return 0;
  }

  std::unique_ptr<Program> program_;
  std::shared_ptr<PyArena> arena_;
};

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const Kernel* const* kernel = current_target().kernels; *kernel != nullptr; kernel++) {
    names.push_back((*kernel)->name);
  }
  return names;
}

void check_threads(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw std::invalid_argument("threads must be from 1 to " + std::to_string(kMaxThreads));
  }
}

void set_threads(int threads) {
  check_threads(threads);
  const py::gil_scoped_release release;
  set_team_threads(threads);
}

double peak(const std::string& dtype, int threads) {
  const DType chosen = parse_dtype(dtype);
  if (chosen != DType::Float32 && chosen != DType::Float64) {
    throw std::invalid_argument("the peak is that of float32 or float64, not '" + dtype + "'");
  }
  check_threads(threads);
  const py::gil_scoped_release release;
  return measure_peak(chosen, threads);
}

double bandwidth(int64_t bytes, int threads) {
  check_threads(threads);
  if (bytes < kLeastBytes * threads) {
    throw std::invalid_argument("bytes must be at least " + std::to_string(kLeastBytes) +
                                " for each thread");
  }
  const py::gil_scoped_release release;
  return measure_bandwidth(bytes, threads);
}

template <class T>
py::array_t<T> rounded_arrays(Arithmetic op, Rounding mode, const py::array_t<T>& a,
                              const py::array_t<T>& b, const py::array_t<T>& c) {
  const ssize_t n = std::max({a.size(), b.size(), c.size()});
  const auto factor = [n](const py::array_t<T>& x) -> Factor<T> {
    if (x.size() != 1 && x.size() != n) throw std::invalid_argument("lengths differ");
    return {x.data(), size_t(x.size() == n && n > 1)};
  };
  py::array_t<T> out(n);
  rounded<T>(op, mode, size_t(n), factor(a), factor(b), factor(c), out.mutable_data());
  return out;
}

// Arrays of one dtype, float32 or float64, each of n elements or of one.
py::array rounded_any(const std::string& name, int mode, const py::array& a, const py::array& b,
                      const py::array& c) {
  static const char* names[] = {"fma", "add", "sub", "mul", "div", "sqrt"};
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names) || mode < 0 || mode > 3) throw std::invalid_argument(name);
  const auto op = static_cast<Arithmetic>(found - std::begin(names));
  if (a.dtype().is(py::dtype::of<float>())) {
    return rounded_arrays<float>(op, static_cast<Rounding>(mode), a, b, c);
  }
  return rounded_arrays<double>(op, static_cast<Rounding>(mode), a, b, c);
}

}  // namespace
}  // namespace tgm

PYBIND11_MODULE(_native, module) {
  using namespace tgm;
  module.doc() = "Runs plans on the processor.";
  module.def("targets", supported_targets,
             "Instruction sets compiled in and supported by this processor, best last.");
  module.def("target", [] { return std::string(current_target().name); });
  module.def("set_target", set_target, py::arg("name"),
             "Chooses the instruction set of the programs built from now on.");
  module.def("kernels", kernel_names);
  module.def("opcodes", tape_opcodes);
  module.def("threads", team_threads);
  module.def("set_threads", set_threads, py::arg("threads"));
  module.def("measure_peak", peak, py::arg("dtype") = "float32", py::arg("threads") = 1,
             "FLOP/s of multiply-adds in registers, with the present target.");
  module.def("measure_bandwidth", bandwidth, py::arg("bytes"), py::arg("threads") = 1,
             "Bytes/s of threads that go through so much memory in all, again and again.");
  module.def("rounded", rounded_any, py::arg("op"), py::arg("mode"), py::arg("a"), py::arg("b"),
             py::arg("c"), "fma, add, sub, mul, div or sqrt of flat arrays, rounded once.");
  py::class_<PyArena, std::shared_ptr<PyArena>>(module, "Arena")
      .def(py::init<>())
      .def_property_readonly("nbytes", [](const PyArena& self) { return self.arena->bytes(); });
  py::class_<PyProgram>(module, "Program")
      .def(py::init([](const py::iterable& buffers, const py::iterable& calls,
                       const std::vector<std::vector<int32_t>>& depends, int64_t arena_bytes,
                       std::shared_ptr<PyArena> arena) {
             if (arena == nullptr) arena = std::make_shared<PyArena>();
             auto program = make_program(buffers, calls, depends, arena_bytes, arena->arena);
             return std::make_unique<PyProgram>(std::move(program), std::move(arena));
           }),
           py::arg("buffers"), py::arg("calls"), py::arg("depends"), py::arg("arena_bytes"),
           py::arg("arena") = std::shared_ptr<PyArena>(),
           "A program of its own arena, or of one that it shares with others.")
      .def("run", &PyProgram::run, py::arg("addresses"), py::arg("slots"))
      .def("sweep", &PyProgram::sweep, py::arg("addresses"), py::arg("step_bytes"),
           py::arg("slots"), py::arg("progress").noconvert())
      .def("profile", &PyProgram::profile, py::arg("addresses"), py::arg("step_bytes"),
           py::arg("slots"), py::arg("progress").noconvert())
      .def("timeline", &PyProgram::timeline, py::arg("addresses"), py::arg("step_bytes"),
           py::arg("slots"), py::arg("progress").noconvert())
      .def_property_readonly("phases", &PyProgram::phases)
      .def_property_readonly("arena_bytes", &PyProgram::arena_bytes)
      .def_property_readonly("workspace_bytes", &PyProgram::workspace_bytes);
  if (const char* wish = std::getenv("TINYGRAD_MNIST_SIMD"); wish != nullptr && *wish != '\0') {
    set_target(wish);
  }
}
