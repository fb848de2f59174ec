// A stand-in for NVIDIA's driver: the functions that the package calls, over host memory.
//
// It checks what a driver takes for granted or answers with a crash: contexts, live memory, numbers
// of parameters, dependencies of graphs. Errors are printed on standard error and returned.
// Kernels are not run, except the last one of a graph, which has no operands and counts steps. A
// program can set a function that runs the others (stand_in_run).
#include <cuda.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

using std::size_t;
using std::uint64_t;

struct CUctx_st { int retained = 0; };
struct CUstream_st {};
struct CUevent_st { bool recorded = false; float milliseconds = 0; };
struct CUfunc_st {
    std::string name;
    size_t n_parameters = 0;
    unsigned shared_limit = 48 << 10;
    bool loaded = false;
};
struct CUmod_st {
    std::map<std::string, CUfunc_st> functions;
    std::vector<char> image;
};
struct CUgraphNode_st {
    CUfunction function = nullptr;
    std::vector<uint64_t> parameters;
    unsigned grid[3], block[3], shared_bytes;
    CUevent event = nullptr;
};
struct CUgraph_st { std::vector<std::unique_ptr<CUgraphNode_st>> nodes; };
struct CUgraphExec_st { std::vector<CUgraphNode_st> nodes; };

namespace {

// A kernel that a test computes; `Launch` in launches.py has the same fields.
struct Launch {
    CUfunction function;
    const char* kernel;
    unsigned grid[3], block[3], shared_bytes;
    const uint64_t* parameters;
    uint64_t n;
};
using Runner = void (*)(const Launch*);

std::recursive_mutex lock;
bool initialised = false;
CUctx_st primary;
thread_local std::vector<CUcontext> contexts;
std::map<uint64_t, size_t> memory;  // live blocks: address, bytes
std::set<const void*> live;         // streams, events, graphs
float now = 0;                      // milliseconds; every launch takes one
uint64_t launches = 0;
uint64_t limit = uint64_t(1) << 40;  // bytes that can be taken
Runner runner = nullptr;

CUresult refuse(CUresult code, const char* where, const std::string& why) {
    std::fprintf(stderr, "stand-in driver: %s: %s\n", where, why.c_str());
    return code;
}

#define WRONG(why) return refuse(CUDA_ERROR_INVALID_VALUE, __func__, why)
#define LOCKED const std::lock_guard guard(lock)
#define IN_CONTEXT                                                                  \
    LOCKED;                                                                         \
    if (!initialised) return refuse(CUDA_ERROR_NOT_INITIALIZED, __func__, "cuInit"); \
    if (contexts.empty() || contexts.back() != &primary || primary.retained == 0)   \
    return refuse(CUDA_ERROR_INVALID_CONTEXT, __func__, "no context in this thread")
#define ALIVE(thing) \
    if (!live.count(thing)) return refuse(CUDA_ERROR_INVALID_HANDLE, __func__, #thing)

bool is_live(uint64_t address, size_t nbytes) {
    auto block = memory.upper_bound(address);
    if (block == memory.begin()) return false;
    --block;
    return address + nbytes <= block->first + block->second;
}

template <typename T>
T read(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// Numbers of parameters by kernel, from a cubin: an ELF file with a section .nv.info.<kernel> each.
bool read_cubin(const char* elf, std::map<std::string, CUfunc_st>& functions) {
    if (std::memcmp(elf, "\177ELF", 4) != 0) return false;
    const char* headers = elf + read<uint64_t>(elf + 0x28);
    const auto size = read<uint16_t>(elf + 0x3A), count = read<uint16_t>(elf + 0x3C);
    const char* names = headers + size * read<uint16_t>(elf + 0x3E);
    names = elf + read<uint64_t>(names + 24);
    const std::string prefix = ".nv.info.";
    for (int k = 0; k < count; ++k) {
        const char* header = headers + k * size;
        const std::string name = names + read<uint32_t>(header);
        if (name.compare(0, prefix.size(), prefix) != 0) continue;
        CUfunc_st& function = functions[name.substr(prefix.size())];
        function.name = name.substr(prefix.size());
        const char* at = elf + read<uint64_t>(header + 24);
        const char* end = at + read<uint64_t>(header + 32);
        while (at < end) {
            const int format = at[0], attribute = at[1], bytes = read<uint16_t>(at + 2);
            if (format == 4 && attribute == 0x17) function.n_parameters += 1;
            at += 4 + (format == 4 ? bytes : 0);
        }
    }
    return !functions.empty();
}

// The state's words, as in kernels/core/entry.py.
enum { STEP, FAILED };

CUresult run(const CUgraphExec_st& graph) {
    for (const auto& node : graph.nodes) {
        if (node.event) {
            *node.event = {true, now};
            continue;
        }
        now += 1;
        const auto& values = node.parameters;
        for (size_t k = 0; k + 1 < values.size(); ++k)
            if (!is_live(values[k], 1))
                return refuse(CUDA_ERROR_ILLEGAL_ADDRESS, node.function->name.c_str(),
                              "parameter " + std::to_string(k) + " points to no live memory");
        launches += 1;
        if (values.size() == 3) {
            auto* words = reinterpret_cast<int64_t*>(values[0]);
            if (words[FAILED] == 0) words[STEP] += int64_t(values.back());
        } else if (runner) {
            const auto& [gx, gy, gz] = node.grid;
            const auto& [bx, by, bz] = node.block;
            const Launch launch = {
                node.function, node.function->name.c_str(), {gx, gy, gz}, {bx, by, bz},
                node.shared_bytes, values.data(), values.size(),
            };
            runner(&launch);
        }
    }
    return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

// --- for tests ----------------------------------------------------------------------------------

uint64_t stand_in_launches() { return launches; }
uint64_t stand_in_blocks() { return memory.size(); }
uint64_t stand_in_contexts() { return contexts.size(); }  // of the calling thread
uint64_t stand_in_handles() { return live.size(); }
void stand_in_limit(uint64_t nbytes) { limit = nbytes; }
void stand_in_run(Runner function) { runner = function; }
// Bytes of the live block that has this address, and where it begins; 0 if there is none.
uint64_t stand_in_block(uint64_t address, uint64_t* begin) {
    if (!is_live(address, 1)) return 0;
    const auto block = std::prev(memory.upper_bound(address));
    *begin = block->first;
    return block->second;
}

// --- the driver ---------------------------------------------------------------------------------

CUresult cuInit(unsigned flags) {
    LOCKED;
    if (flags != 0) WRONG("flags");
    initialised = true;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
    const char* wish = std::getenv("STAND_IN_VERSION");
    *version = wish ? std::atoi(wish) : 13000;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** text) {
    switch (error) {
        case CUDA_ERROR_OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
        case CUDA_ERROR_INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; break;
        case CUDA_ERROR_INVALID_CONTEXT: *text = "CUDA_ERROR_INVALID_CONTEXT"; break;
        case CUDA_ERROR_ILLEGAL_ADDRESS: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
        default: *text = nullptr; return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
    const CUresult found = cuGetErrorName(error, text);
    if (found == CUDA_SUCCESS) *text = "what the driver says about it";
    return found;
}

CUresult cuDeviceGetCount(int* count) {
    const char* wish = std::getenv("STAND_IN_GPUS");
    *count = wish ? std::atoi(wish) : 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    int count = 0;
    cuDeviceGetCount(&count);
    if (!initialised || ordinal < 0 || ordinal >= count) WRONG("ordinal");
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    std::snprintf(name, size_t(length), "Stand-in GPU %d", device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t* nbytes, CUdevice) {
    *nbytes = size_t(80) << 30;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
    const char* old = std::getenv("STAND_IN_OLD");
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = old ? 6 : 9; break;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
        case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *value = 1980000; break;
        case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *value = 2619000; break;
        case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *value = 5120; break;
        case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO: *value = 2; break;
        default: WRONG("attribute " + std::to_string(attribute));
    }
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    LOCKED;
    primary.retained += 1;
    *context = &primary;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    if (context != &primary) WRONG("context");
    if (contexts.empty()) contexts.push_back(context);
    contexts.back() = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext context) {
    if (context != &primary) WRONG("context");
    contexts.push_back(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext* context) {
    if (contexts.empty()) WRONG("there is no context");
    *context = contexts.back();
    contexts.pop_back();
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    IN_CONTEXT;
    if (flags != CU_STREAM_NON_BLOCKING) WRONG("flags");
    live.insert(*stream = new CUstream_st);
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream) {
    IN_CONTEXT;
    ALIVE(stream);
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr* address, size_t nbytes) {
    IN_CONTEXT;
    if (nbytes == 0) WRONG("no bytes");
    if (nbytes > limit) return CUDA_ERROR_OUT_OF_MEMORY;
    void* block = std::aligned_alloc(256, (nbytes + 255) / 256 * 256);
    std::memset(block, 0xAB, nbytes);  // shows where nothing was written
    memory[*address = reinterpret_cast<CUdeviceptr>(block)] = nbytes;
    return CUDA_SUCCESS;
}

CUresult cuMemFree(CUdeviceptr address) {
    IN_CONTEXT;
    if (memory.erase(address) == 0) WRONG("not a live block");
    std::free(reinterpret_cast<void*>(address));
    return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void* source, size_t n, CUstream stream) {
    IN_CONTEXT;
    ALIVE(stream);
    if (!is_live(target, n)) WRONG("target");
    std::memcpy(reinterpret_cast<void*>(target), source, n);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync(void* target, CUdeviceptr source, size_t n, CUstream stream) {
    IN_CONTEXT;
    ALIVE(stream);
    if (!is_live(source, n)) WRONG("source");
    std::memcpy(target, reinterpret_cast<void*>(source), n);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr target, CUdeviceptr source, size_t n, CUstream stream) {
    IN_CONTEXT;
    ALIVE(stream);
    if (!is_live(source, n) || !is_live(target, n)) WRONG("source or target");
    now += 1;
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    IN_CONTEXT;
    auto made = std::make_unique<CUmod_st>();
    if (!read_cubin(static_cast<const char*>(image), made->functions)) WRONG("not a cubin");
    *module = made.release();
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    IN_CONTEXT;
    const auto found = module->functions.find(name);
    if (found == module->functions.end()) WRONG(name);
    *function = &found->second;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    IN_CONTEXT;
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) WRONG("attribute");
    if (value > (227 << 10)) WRONG("more shared memory than a block can have");
    function->shared_limit = unsigned(value);
    return CUDA_SUCCESS;
}

CUresult cuFuncLoad(CUfunction function) {
    IN_CONTEXT;
    function->loaded = true;
    return CUDA_SUCCESS;
}

CUresult cuGraphCreate(CUgraph* graph, unsigned flags) {
    LOCKED;
    if (flags != 0) WRONG("flags");
    live.insert(*graph = new CUgraph_st);
    return CUDA_SUCCESS;
}

}  // extern "C"

namespace {

// A new node of a graph, whose dependencies have to be in it, once each.
CUresult add(CUgraph graph, const CUgraphNode* after, size_t n, CUgraphNode* node) {
    ALIVE(graph);
    std::set<CUgraphNode> known;
    for (const auto& other : graph->nodes) known.insert(other.get());
    for (size_t k = 0; k < n; ++k)
        if (known.erase(after[k]) == 0) WRONG("a dependency is not in the graph, or there twice");
    graph->nodes.push_back(std::make_unique<CUgraphNode_st>());
    *node = graph->nodes.back().get();
    return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuGraphAddKernelNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after, size_t n,
                              const CUDA_KERNEL_NODE_PARAMS* wish) {
    IN_CONTEXT;
    const CUfunction function = wish->func;
    if (!function || !function->loaded || wish->kern || wish->ctx || wish->extra) WRONG("kernel");
    const uint64_t threads = uint64_t(wish->blockDimX) * wish->blockDimY * wish->blockDimZ;
    const uint64_t blocks = uint64_t(wish->gridDimX) * wish->gridDimY * wish->gridDimZ;
    if (threads < 1 || threads > 1024 || wish->blockDimZ > 64) WRONG("block");
    if (blocks < 1 || wish->gridDimX > 0x7fffffff) WRONG("grid");
    if (wish->gridDimY > 65535 || wish->gridDimZ > 65535) WRONG("grid");
    if (wish->sharedMemBytes > function->shared_limit) WRONG("shared memory");
    const CUresult added = add(graph, after, n, node);
    if (added != CUDA_SUCCESS) return added;
    (*node)->function = function;
    (*node)->grid[0] = wish->gridDimX, (*node)->block[0] = wish->blockDimX;
    (*node)->grid[1] = wish->gridDimY, (*node)->block[1] = wish->blockDimY;
    (*node)->grid[2] = wish->gridDimZ, (*node)->block[2] = wish->blockDimZ;
    (*node)->shared_bytes = wish->sharedMemBytes;
    for (size_t k = 0; k < function->n_parameters; ++k)
        (*node)->parameters.push_back(*static_cast<const uint64_t*>(wish->kernelParams[k]));
    return CUDA_SUCCESS;
}

CUresult cuGraphAddEventRecordNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* after,
                                   size_t n, CUevent event) {
    IN_CONTEXT;
    ALIVE(event);
    const CUresult added = add(graph, after, n, node);
    if (added == CUDA_SUCCESS) (*node)->event = event;
    return added;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* made, CUgraph graph, unsigned long long flags) {
    IN_CONTEXT;
    ALIVE(graph);
    if (flags != 0) WRONG("flags");
    auto executable = std::make_unique<CUgraphExec_st>();
    for (const auto& node : graph->nodes) executable->nodes.push_back(*node);
    live.insert(*made = executable.release());
    return CUDA_SUCCESS;
}

CUresult cuGraphUpload(CUgraphExec executable, CUstream stream) {
    IN_CONTEXT;
    ALIVE(executable);
    ALIVE(stream);
    return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    IN_CONTEXT;
    ALIVE(executable);
    ALIVE(stream);
    return run(*executable);
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
    LOCKED;
    ALIVE(executable);
    live.erase(executable);
    delete executable;
    return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph graph) {
    LOCKED;
    ALIVE(graph);
    live.erase(graph);
    delete graph;
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    IN_CONTEXT;
    if (flags != CU_EVENT_DEFAULT) WRONG("flags");
    live.insert(*event = new CUevent_st);
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    IN_CONTEXT;
    ALIVE(event);
    ALIVE(stream);
    *event = {true, now};
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
    IN_CONTEXT;
    ALIVE(begin);
    ALIVE(end);
    if (!begin->recorded || !end->recorded) WRONG("an event was not recorded");
    *milliseconds = end->milliseconds - begin->milliseconds;
    return CUDA_SUCCESS;
}

// Through this one the others are found, by their names without versions.
CUresult cuGetProcAddress_v2(const char* symbol, void** function, int, cuuint64_t,
                             CUdriverProcAddressQueryResult*) {
    struct Entry { const char* name; void* function; };
#define ENTRY(name) {#name, reinterpret_cast<void*>(&name)}
    // `cuMemAlloc` is what the header calls `cuMemAlloc_v2`, and so on.
    static const std::vector<Entry> entries = {
        ENTRY(cuInit), ENTRY(cuDriverGetVersion), ENTRY(cuGetErrorName), ENTRY(cuGetErrorString),
        ENTRY(cuDeviceGetCount), ENTRY(cuDeviceGet), ENTRY(cuDeviceGetName),
        ENTRY(cuDeviceTotalMem), ENTRY(cuDeviceGetAttribute), ENTRY(cuDevicePrimaryCtxRetain),
        ENTRY(cuCtxSetCurrent), ENTRY(cuCtxPushCurrent), ENTRY(cuCtxPopCurrent),
        ENTRY(cuStreamCreate), ENTRY(cuStreamSynchronize), ENTRY(cuMemAlloc), ENTRY(cuMemFree),
        ENTRY(cuMemcpyHtoDAsync), ENTRY(cuMemcpyDtoHAsync), ENTRY(cuMemcpyDtoDAsync),
        ENTRY(cuModuleLoadData), ENTRY(cuModuleGetFunction), ENTRY(cuFuncSetAttribute),
        ENTRY(cuFuncLoad), ENTRY(cuGraphCreate), ENTRY(cuGraphAddKernelNode),
        ENTRY(cuGraphAddEventRecordNode), ENTRY(cuGraphInstantiateWithFlags),
        ENTRY(cuGraphUpload), ENTRY(cuGraphLaunch), ENTRY(cuGraphExecDestroy),
        ENTRY(cuGraphDestroy), ENTRY(cuEventCreate), ENTRY(cuEventRecord),
        ENTRY(cuEventElapsedTime),
    };
    for (const Entry& entry : entries)
        if (std::strcmp(entry.name, symbol) == 0) {
            *function = entry.function;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

}  // extern "C"
