"""PyTorch: eager, one compiled graph for the whole step, and on a GPU the eager step captured as a
CUDA graph by hand; each with images in either layout.

Products of float32 keep float32's precision (no tf32).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from benchmarks.job import Job
from benchmarks.workloads import IMAGE, Conv, Net, initial_weights

ACTIVATIONS: dict[str | None, Any] = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    None: lambda z: z,
}
Parameters = list[tuple[torch.Tensor, torch.Tensor]]
WARM_UP = 5  # steps before a capture: libraries choose algorithms and take memory in them


def forward(net: Net, parameters: Parameters, x: torch.Tensor, train: bool) -> torch.Tensor:
    """Logits of the images x, (n, 1, 28, 28)."""
    for layer, (w, b) in zip(net.layers, parameters, strict=True):
        activation = ACTIVATIONS[layer.activation]
        if isinstance(layer, Conv):
            x = activation(F.max_pool2d(F.conv2d(x, w, b), layer.pool))
        else:
            x = x.flatten(1)
            if layer.dropout:
                x = F.dropout(x, layer.dropout, train)
            x = activation(F.linear(x, w, b))
    return x


class Steps:
    """Steps of one workload; mode: eager, compile or graph, behind each of which channels-last may
    stand. Compiled graphs take channels last on the processor; on a GPU they run as CUDA graphs.
    """

    quantum = 1

    def __init__(self, job: Job) -> None:
        torch.manual_seed(0)
        self._workload = job.workload
        self._net = job.workload.net
        self._device = torch.device(job.device)
        self._compiled = job.mode.startswith("compile")
        self._captured = job.mode.startswith("graph")
        if job.device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.benchmark = True
        else:
            torch.set_num_threads(job.threads)
        convolves = any(isinstance(layer, Conv) for layer in self._net.layers)
        last = job.channels_last or (job.device == "cpu" and self._compiled)
        self._format = torch.channels_last if last and convolves else torch.contiguous_format
        self._parameters = self._make_parameters()
        self._step = self._make_step()
        self._graph: Any = None

    @property
    def details(self) -> dict[str, Any]:
        if self._device.type == "cpu":
            return {}
        details = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        if self._compiled:  # a graph that is skipped would be timed as something else
            from torch._dynamo.utils import counters

            details["cudagraph_skips"] = counters["inductor"]["cudagraph_skips"]
        return details

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        x = torch.from_numpy(images).reshape(-1, *IMAGE)
        self._x = x.contiguous(memory_format=self._format).to(self._device)
        self._y = torch.from_numpy(labels).to(self._device)
        self._batches = len(images) // self._workload.batch
        self._next = 0

    def reset(self) -> None:
        """The tensors stay the same: graphs keep their addresses."""
        self._next = 0
        with torch.no_grad():
            for pair, values in zip(self._parameters, initial_weights(self._net), strict=True):
                for parameter, value in zip(pair, values, strict=True):
                    parameter.copy_(torch.from_numpy(value if value.ndim != 2 else value.T))

    def _make_parameters(self) -> Parameters:
        grad = not self._compiled and not self._workload.infer
        parameters = []
        for w, b in initial_weights(self._net):
            weight = torch.from_numpy(w if w.ndim == 4 else np.ascontiguousarray(w.T))
            if w.ndim == 4:
                weight = weight.contiguous(memory_format=self._format)
            # A copy on the processor too: reset() must not change what it resets to.
            pair = (weight.clone().to(self._device), torch.from_numpy(b).clone().to(self._device))
            for parameter in pair:
                parameter.requires_grad_(grad)
                if self._compiled:  # a CUDA graph may write to these in place
                    torch._dynamo.mark_static_address(parameter)
            parameters.append(pair)
        if grad:
            weights, biases = zip(*parameters, strict=True)
            groups = [{"params": weights, "weight_decay": self._net.decay}, {"params": biases}]
            self._optimiser = torch.optim.SGD(groups, lr=self._net.rate, fused=True)
        return parameters

    def _make_step(self) -> Any:
        mode = "reduce-overhead" if self._device.type == "cuda" else "default"
        if self._workload.infer:
            return torch.compile(self._infer, mode=mode) if self._compiled else self._infer
        if self._compiled:
            return torch.compile(self._compiled_step, fullgraph=True, mode=mode)
        return self._replay if self._captured else self._eager

    def _infer(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return forward(self._net, parameters, x, train=False)

    def _eager(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self._optimiser.zero_grad(set_to_none=True)
        cost = F.cross_entropy(forward(self._net, parameters, x, train=True), y)
        cost.backward()
        self._optimiser.step()
        return cost

    def _compiled_step(
        self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        net = self._net

        def cost_of(parameters: Parameters) -> torch.Tensor:
            return F.cross_entropy(forward(net, parameters, x, train=True), y)

        gradients, cost = torch.func.grad_and_value(cost_of)(parameters)
        for (w, b), (dw, db) in zip(parameters, gradients, strict=True):
            w.sub_(net.rate * (dw + net.decay * w) if net.decay else net.rate * dw)
            b.sub_(net.rate * db)
        return cost

    def _capture(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> None:
        """The eager step as a CUDA graph over images and labels of its own."""
        self._images, self._labels = x.clone(), y.clone()
        begun = [parameter.detach().clone() for pair in parameters for parameter in pair]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self._eager(parameters, self._images, self._labels)
        torch.cuda.current_stream().wait_stream(beside)
        self._optimiser.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._cost = self._eager(parameters, self._images, self._labels)
        with torch.no_grad():
            flat = [parameter for pair in parameters for parameter in pair]
            for parameter, value in zip(flat, begun, strict=True):
                parameter.copy_(value)

    def _replay(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self._graph is None:
            self._capture(parameters, x, y)
        self._images.copy_(x)
        self._labels.copy_(y)
        self._graph.replay()
        return self._cost

    def run(self, steps: int) -> NDArray[Any]:
        batch, result = self._workload.batch, torch.empty(0)
        if self._workload.infer:
            guard: Any = torch.inference_mode()
        else:
            guard = torch.no_grad() if self._compiled else torch.enable_grad()
        with guard:
            for _ in range(steps):
                rows = slice(self._next * batch, (self._next + 1) * batch)
                self._next = (self._next + 1) % self._batches
                if self._compiled:
                    torch.compiler.cudagraph_mark_step_begin()
                result = self._step(self._parameters, self._x[rows], self._y[rows])
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return np.atleast_1d(result.detach().cpu().numpy())
