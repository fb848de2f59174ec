"""A real GPU, through NVIDIA's driver: one context, one stream, machine code, graphs and events.

All work goes into one stream. A recording is a graph that is built node by node, not captured from
a stream: its dependencies are known, and other threads may use the stream meanwhile.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends.cuda.api import (
    Device,
    Driver,
    chosen_device,
    devices,
    driver_version,
    load_driver,
)
from tinygrad_mnist.backends.cuda.code import Advance, Code, KernelCode, Recipe, machine_code
from tinygrad_mnist.backends.cuda.design import Design
from tinygrad_mnist.backends.cuda.gpu import Bound, Loaded, LoadedKernel, Recording
from tinygrad_mnist.backends.cuda.ranges import ranged
from tinygrad_mnist.backends.cuda.toolkit import oldest_driver_for
from tinygrad_mnist.backends.cuda.workers import compile_codes
from tinygrad_mnist.compile.listing import scaled
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import DeviceError, DeviceMemoryError

# Bytes of shared memory that a block may have without an attribute of its kernel.
_PLAIN_SHARED = 48 << 10
# Arrays up to this many bytes are copied on the host first and sent asynchronously.
_SMALL = 64 << 10
_COPIES, _TRIALS = 8, 10  # of a bandwidth measurement


class DeviceMemory:
    """A block of a GPU's memory; see `gpu.Memory`."""

    __slots__ = ("__weakref__", "address", "nbytes")

    def __init__(self, address: int, nbytes: int) -> None:
        self.address = address
        self.nbytes = nbytes


class _Function(NamedTuple):
    """A kernel in the GPU's memory. code: keeps the cubin alive; the driver may still read it."""

    name: str
    function: Any
    code: KernelCode


class _Context:
    """The GPU's context, current in the calling thread during a `with` block.

    The thread's own context, such as that of another library, is current again afterwards. The
    driver's objects whose owners are gone are released at the beginning of the next block, not when
    the garbage collector finds them: at that time another library may be recording a graph, which a
    release would break.
    """

    def __init__(self, driver: Driver, handle: Any) -> None:
        self._driver = driver
        self._handle = handle
        self._unused: deque[tuple[Any, Any]] = deque()

    def __enter__(self) -> None:
        self._driver("using the GPU", "cuCtxPushCurrent", self._handle)
        while self._unused:
            try:
                release, handle = self._unused.popleft()
            except IndexError:  # another thread was faster
                break
            release(handle)  # errors are ignored: they would come from earlier work

    def __exit__(self, *_: object) -> None:
        self._driver.functions.cuCtxPopCurrent()

    def release_with(self, owner: Any, function: str, handle: Any) -> None:
        """Has `function(handle)` called after `owner` was collected, but not at the end of the
        process: then the driver releases everything itself."""
        release = getattr(self._driver.functions, function)
        weakref.finalize(owner, self._unused.append, (release, handle)).atexit = False


class _Graph:
    """A recording: a graph, launched as a whole."""

    def __init__(self, gpu: CudaGpu, executable: Any) -> None:
        self._gpu = gpu
        self._executable = executable

    def replay(self) -> None:
        self._gpu.launch_graph(self._executable)


class CudaGpu:
    """See `gpu.Gpu`. Its methods may be called from any thread.

    device: by default that of `api.chosen_device`. Raises DeviceError if there is none, and
    ModuleNotFoundError without the package cuda-bindings.
    """

    backend = "cuda"

    def __init__(self, device: Device | None = None) -> None:
        self._driver = driver = load_driver()
        self.device = chosen_device(devices(driver)) if device is None else device
        self.name = self.device.name
        self.capability = self.device.capability
        handle = driver("looking for the GPU", "cuDeviceGet", self.device.number)
        context = driver("using the GPU", "cuDevicePrimaryCtxRetain", handle)
        self._context = _Context(driver, context)
        self._supports = driver_version(driver)
        flags = int(driver.functions.CUstream_flags.CU_STREAM_NON_BLOCKING)
        with self._context:
            self._stream = driver("making a stream", "cuStreamCreate", flags)
        self._sending = threading.Lock()
        self._sent: list[Array] = []  # arrays that the stream may not have read yet
        self._timing = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: dict[Recipe, Loaded] = {}
        self._events: list[Any] = []
        self._timed: tuple[tuple[Bound, ...], _Graph] | None = None

    # --- memory -------------------------------------------------------------------------------

    def allocate(self, nbytes: int) -> DeviceMemory:
        doing = f"allocating {scaled(nbytes)}B of the memory of {self.name}"
        try:
            with self._context:
                address = self._driver(doing, "cuMemAlloc", max(nbytes, 1))
        except DeviceMemoryError:
            gc.collect()  # may free some
            with self._context:
                address = self._driver(doing, "cuMemAlloc", max(nbytes, 1))
        memory = DeviceMemory(int(address), nbytes)
        self._context.release_with(memory, "cuMemFree", memory.address)
        return memory

    def pointer(self, memory: Any, dtype: str, offset: int) -> int:
        address: int = memory.address
        return address + offset * np.dtype(dtype).itemsize

    def upload(self, memory: Any, array: Array) -> None:
        """See `gpu.Gpu`. The array may change afterwards: a small one is copied on the host first,
        and for a large one the host waits."""
        if not array.nbytes:
            return
        is_small = array.nbytes <= _SMALL
        if is_small:
            array = array.copy()
        doing, function = "copying to the GPU", "cuMemcpyHtoDAsync"
        source, n = array.ctypes.data, array.nbytes
        with self._context:
            with self._sending:
                self._sent.append(array)
                self._driver(doing, function, memory.address, source, n, self._stream)
            if not is_small:
                self._wait()

    def download(self, memory: Any, array: Array) -> None:
        doing, function = "copying from the GPU", "cuMemcpyDtoHAsync"
        target, n = array.ctypes.data, array.nbytes
        with self._context:
            if n:
                self._driver(doing, function, target, memory.address, n, self._stream)
            self._wait()

    def synchronize(self) -> None:
        with self._context:
            self._wait()

    def _wait(self) -> None:
        with self._sending:
            sent, self._sent = self._sent, []
        self._driver("waiting for the GPU", "cuStreamSynchronize", self._stream)
        del sent  # only now: the stream has read it

    # --- kernels ------------------------------------------------------------------------------

    def load(self, designs: Sequence[Design]) -> list[Loaded]:
        # With them the kernel that every program needs, so that all are compiled at once.
        return self._load([*designs, Advance(self.capability)])[:-1]

    def load_advance(self) -> LoadedKernel:
        return self._load([Advance(self.capability)])[0].kernels[0]

    @ranged("load kernels")
    def _load(self, recipes: Sequence[Recipe]) -> list[Loaded]:
        with self._loading:
            missing = [recipe for recipe in recipes if recipe not in self._loaded]
            codes = machine_code(missing, compile_codes)
            with self._context:
                for recipe, code in codes.items():
                    self._check_driver(recipe.kernel, code)
                    kernels = tuple(self._load_kernel(recipe.kernel, k) for k in code.kernels)
                    loaded = Loaded(kernels, code.workspace_bytes, code.workspace_dtype)
                    self._loaded[recipe] = loaded
            return [self._loaded[recipe] for recipe in recipes]

    def _check_driver(self, name: str, code: Code) -> None:
        if self._supports < oldest_driver_for(code.cuda):
            has = ".".join(map(str, self._supports))
            raise DeviceError(
                f"the kernel {name} was compiled by CUDA {code.cuda}, and NVIDIA's driver supports"
                f" CUDA {has}: install a newer driver, or compile it with CUDA {self._supports[0]}"
            )

    def _load_kernel(self, name: str, code: KernelCode) -> LoadedKernel:
        doing = f"loading the kernel {name}"
        module = self._driver(doing, "cuModuleLoadData", code.cubin)
        function = self._driver(doing, "cuModuleGetFunction", module, code.name.encode())
        shared_bytes = code.shape.shared_bytes
        if shared_bytes + code.static_bytes > _PLAIN_SHARED:
            which = self._driver.functions.CUfunction_attribute
            self._driver(
                f"reserving {shared_bytes} bytes of shared memory for the kernel {name}",
                "cuFuncSetAttribute",
                function,
                which.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                shared_bytes,
            )
        self._driver(doing, "cuFuncLoad", function)  # now, not at the first launch
        handle = _Function(name, function, code)
        return LoadedKernel(handle, code.pointers, code.shape)

    # --- graphs -------------------------------------------------------------------------------

    def record(self, launches: Sequence[Bound]) -> Recording:
        return self._record(launches, [])

    def launch_graph(self, executable: Any) -> None:
        """Starts a graph."""
        with self._context:
            self._driver("starting a graph", "cuGraphLaunch", executable, self._stream)

    @ranged("make a graph")
    def _record(self, launches: Sequence[Bound], events: Sequence[Any]) -> _Graph:
        """A graph of launches. events: none, or one more than launches. With events the launches
        run one by one, with an event before, between and after them."""
        doing = f"making a graph of {len(launches)} launches"
        with self._context:
            graph = self._driver(doing, "cuGraphCreate", 0)
            try:
                if events:
                    self._add_timed(graph, launches, events)
                else:
                    nodes: list[Any] = []
                    for launch in launches:
                        after = [nodes[index] for index in dict.fromkeys(launch.after)]
                        nodes.append(self._add_launch(graph, launch, after))
                executable = self._driver(doing, "cuGraphInstantiate", graph, 0)
            finally:
                self._driver.functions.cuGraphDestroy(graph)
            recording = _Graph(self, executable)
            self._context.release_with(recording, "cuGraphExecDestroy", executable)
            self._driver(doing, "cuGraphUpload", executable, self._stream)
        return recording

    def _add_timed(self, graph: Any, launches: Sequence[Bound], events: Sequence[Any]) -> None:
        last: list[Any] = []
        for launch, event in zip([None, *launches], events, strict=True):
            if launch is not None:
                last = [self._add_launch(graph, launch, last)]
            doing, function = "adding an event to a graph", "cuGraphAddEventRecordNode"
            last = [self._driver(doing, function, graph, last, len(last), event)]

    def _add_launch(self, graph: Any, launch: Bound, after: Sequence[Any]) -> Any:
        """Adds the node of a launch, which depends on the nodes `after`. Every parameter takes 8
        bytes; the driver copies them before it returns."""
        kernel = launch.kernel
        name = kernel.handle.name
        if len(launch.pointers) != kernel.pointers:
            raise ValueError(f"{name} takes {kernel.pointers} pointers, not {len(launch.pointers)}")
        values = (*launch.pointers, *launch.state, launch.ahead)
        n = len(values)
        parameters = (ctypes.c_uint64 * n)(*values)
        first = ctypes.addressof(parameters)
        addresses = (ctypes.c_void_p * n)(*range(first, first + 8 * n, 8))
        node = self._driver.functions.CUDA_KERNEL_NODE_PARAMS()
        node.func = kernel.handle.function
        node.gridDimX, node.gridDimY, node.gridDimZ = kernel.shape.grid
        node.blockDimX, node.blockDimY, node.blockDimZ = kernel.shape.block
        node.sharedMemBytes = kernel.shape.shared_bytes
        node.kernelParams = ctypes.addressof(addresses)
        doing = f"adding the kernel {name} to a graph"
        return self._driver(doing, "cuGraphAddKernelNode", graph, list(after), len(after), node)

    # --- time ---------------------------------------------------------------------------------

    def time(self, launches: Sequence[Bound]) -> list[float]:
        """See `gpu.Gpu`. The launches are one graph with an event between each two, so the host's
        own time is not included. Events have a resolution of about half a microsecond."""
        with self._timing:
            if self._timed is None or self._timed[0] != tuple(launches):
                events = self._take_events(len(launches) + 1)
                self._timed = tuple(launches), self._record(launches, events)
            self._timed[1].replay()
            self.synchronize()
            return self._elapsed(len(launches))

    def _take_events(self, n: int) -> list[Any]:
        flags = int(self._driver.functions.CUevent_flags.CU_EVENT_DEFAULT)
        with self._context:
            while len(self._events) < n:
                self._events.append(self._driver("making an event", "cuEventCreate", flags))
        return self._events[:n]

    def _elapsed(self, n: int) -> list[float]:
        """Seconds from each of the first n events to the next."""
        pairs = zip(self._events[:n], self._events[1 : n + 1], strict=True)
        doing = "reading a time"
        with self._context:
            return [self._driver(doing, "cuEventElapsedTime", *pair) * 1e-3 for pair in pairs]

    def peak(self, dtype: str) -> float:
        """Peak FLOP/s of multiply-adds, by the number of multiprocessors and the highest clock."""
        return self.device.peak(dtype)

    def bandwidth(self, nbytes: int) -> float:
        """Bytes/s, read and written, measured: repeated copies within `nbytes` of memory."""
        half = max(nbytes // 2, 1)
        source, target = self.allocate(half), self.allocate(half)
        best = float("inf")
        with self._timing:
            events = self._take_events(2)
            for _ in range(_TRIALS):
                with self._context:
                    self._driver("recording a time", "cuEventRecord", events[0], self._stream)
                    for _ in range(_COPIES):
                        self._driver(
                            "copying on the GPU",
                            "cuMemcpyDtoDAsync",
                            target.address,
                            source.address,
                            half,
                            self._stream,
                        )
                    self._driver("recording a time", "cuEventRecord", events[1], self._stream)
                self.synchronize()
                best = min(best, self._elapsed(1)[0])
        if best <= 0:
            raise DeviceError(f"{self.name} copied {scaled(nbytes)}B in no time")
        return 2 * half * _COPIES / best
