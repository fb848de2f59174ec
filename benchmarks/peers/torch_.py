"""PyTorch: eager, one compiled graph for the whole step, and on a GPU the eager step captured as a
CUDA graph by hand; each with images in either layout.

Products of float32 keep float32's precision (no tf32).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from benchmarks.job import Job
from benchmarks.workloads import (
    AVERAGING,
    EPSILON,
    IMAGE,
    Conv,
    Layer,
    Net,
    initial_averages,
    initial_parameters,
)

ACTIVATIONS: dict[str | None, Any] = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    None: lambda z: z,
}
Tensors = list[tuple[torch.Tensor, ...]]  # by layer
WARM_UP = 5  # steps before a capture: libraries choose algorithms and take memory in them


class State(NamedTuple):
    """What a step changes: weights, running averages, Adam's two moments and its count of steps."""

    parameters: Tensors
    averages: Tensors
    moments: list[Tensors]
    t: torch.Tensor


def max_pool(x: torch.Tensor, size: int) -> torch.Tensor:
    """The maximum of each window; x itself where a window is one pixel."""
    return F.max_pool2d(x, size) if size > 1 else x


def multiply(layer: Layer, x: torch.Tensor, w: torch.Tensor, b: Any, dropout: bool) -> torch.Tensor:
    """What a layer does before its activation, apart from normalising."""
    if isinstance(layer, Conv):
        return max_pool(F.conv2d(x, w, b, layer.stride, layer.padding), layer.first_pool)
    x = x.flatten(1)
    if layer.dropout and dropout:
        x = F.dropout(x, layer.dropout)
    return F.linear(x, w, b)


def forward(
    net: Net, parameters: Tensors, averages: Tensors, x: torch.Tensor, dropout: bool
) -> torch.Tensor:
    """Logits of the images x, (n, 1, 28, 28); the averages are updated in place."""
    for layer, (w, b, *scale), average in zip(net.layers, parameters, averages, strict=True):
        if layer.normalise:
            x = multiply(layer, x, w, None, dropout)
            x = F.batch_norm(x, *average, scale[0], b, True, AVERAGING, EPSILON)
        else:
            x = multiply(layer, x, w, b, dropout)
        x = ACTIVATIONS[layer.activation](x)
        if isinstance(layer, Conv):
            x = max_pool(x, layer.last_pool)
    return x


def descend(net: Net, state: State, gradients: Tensors) -> None:
    """A step of the net's optimiser, in place."""
    if net.adam is None:
        for (w, *bs), (dw, *dbs) in zip(state.parameters, gradients, strict=True):
            w.sub_(net.rate * (dw + net.decay * w) if net.decay else net.rate * dw)
            for b, db in zip(bs, dbs, strict=True):
                b.sub_(net.rate * db)
        return
    adam, t = net.adam, state.t.add_(1)
    # Multiplied out, as ours is: one division an element.
    deviation = (1 - adam.beta2**t).sqrt()
    step, epsilon = net.rate * deviation / (1 - adam.beta1**t), adam.epsilon * deviation
    for layer in zip(state.parameters, gradients, *state.moments, strict=True):
        for w, g, m, v in zip(*layer, strict=True):
            m.mul_(adam.beta1).add_(g, alpha=1 - adam.beta1)
            v.mul_(adam.beta2).addcmul_(g, g, value=1 - adam.beta2)
            w.sub_(step * m / (v.sqrt() + epsilon))


class Steps:
    """Steps of one workload; mode: eager, compile or graph, each also with `channels-last`
    behind it. Compiled graphs take channels last on the processor; on a GPU they run as CUDA
    graphs.
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
        self._state = self._make_state()
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
            for tensors, values in (
                (self._state.parameters, initial_parameters(self._net)),
                (self._state.averages, initial_averages(self._net)),
            ):
                for layer, arrays in zip(tensors, values, strict=True):
                    for tensor, value in zip(layer, arrays, strict=True):
                        tensor.copy_(torch.from_numpy(value if value.ndim != 2 else value.T))
            self._state.t.zero_()
            for moment in [m for ms in self._state.moments for layer in ms for m in layer]:
                moment.zero_()
        if self._optimiser is not None:
            self._optimiser.state.clear()

    def _make_state(self) -> State:
        grad = not self._compiled and not self._workload.infer
        parameters = []
        for w, *others in initial_parameters(self._net):
            weight = torch.from_numpy(w if w.ndim == 4 else np.ascontiguousarray(w.T))
            if w.ndim == 4:
                weight = weight.contiguous(memory_format=self._format)
            # A copy on the processor too: reset() must not change what it resets to.
            layer = [weight.clone(), *(torch.from_numpy(v).clone() for v in others)]
            parameters.append(tuple(v.to(self._device).requires_grad_(grad) for v in layer))
        self._optimiser = self._make_optimiser(parameters) if grad else None
        averages = [
            tuple(torch.from_numpy(a).to(self._device) for a in layer)
            for layer in initial_averages(self._net)
        ]
        # In eager steps the optimiser has its own moments.
        own = self._net.adam is not None and self._compiled and not self._workload.infer
        moments = [
            [tuple(torch.zeros_like(v) for v in layer) for layer in parameters]
            for _ in range(2 * own)
        ]
        if self._compiled:  # a CUDA graph may write to these in place
            for tensor in [v for part in (parameters, *moments) for layer in part for v in layer]:
                torch._dynamo.mark_static_address(tensor)
        return State(parameters, averages, moments, torch.zeros((), device=self._device))

    def _make_optimiser(self, parameters: Tensors) -> torch.optim.Optimizer:
        net = self._net
        weights = [layer[0] for layer in parameters]
        others = [v for layer in parameters for v in layer[1:]]
        if net.adam is not None:
            adam, betas = net.adam, (net.adam.beta1, net.adam.beta2)
            return torch.optim.Adam(weights + others, net.rate, betas, adam.epsilon, fused=True)
        groups = [{"params": weights, "weight_decay": net.decay}, {"params": others}]
        return torch.optim.SGD(groups, lr=net.rate, fused=True)

    def _make_step(self) -> Any:
        mode = "reduce-overhead" if self._device.type == "cuda" else "default"
        if self._workload.infer:
            return torch.compile(self._infer, mode=mode) if self._compiled else self._infer
        if self._compiled:
            return torch.compile(self._compiled_step, fullgraph=True, mode=mode)
        return self._replay if self._captured else self._eager

    def _infer(self, state: State, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return forward(self._net, state.parameters, state.averages, x, dropout=False)

    def _eager(self, state: State, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        assert self._optimiser is not None
        self._optimiser.zero_grad(set_to_none=True)
        dropout = self._workload.is_random
        logits = forward(self._net, state.parameters, state.averages, x, dropout)
        cost = F.cross_entropy(logits, y)
        cost.backward()
        self._optimiser.step()
        return cost

    def _compiled_step(self, state: State, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        net, dropout = self._net, self._workload.is_random

        def cost_of(parameters: Tensors, averages: Tensors) -> torch.Tensor:
            return F.cross_entropy(forward(net, parameters, averages, x, dropout), y)

        gradients, cost = torch.func.grad_and_value(cost_of)(state.parameters, state.averages)
        descend(net, state, gradients)
        return cost

    def _capture(self, state: State, x: torch.Tensor, y: torch.Tensor) -> None:
        """The eager step as a CUDA graph over images and labels of its own, of nets whose only
        state is their parameters."""
        self._images, self._labels = x.clone(), y.clone()
        begun = [v.detach().clone() for layer in state.parameters for v in layer]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self._eager(state, self._images, self._labels)
        torch.cuda.current_stream().wait_stream(beside)
        assert self._optimiser is not None
        self._optimiser.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._cost = self._eager(state, self._images, self._labels)
        with torch.no_grad():
            flat = [v for layer in state.parameters for v in layer]
            for parameter, value in zip(flat, begun, strict=True):
                parameter.copy_(value)

    def _replay(self, state: State, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self._graph is None:
            self._capture(state, x, y)
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
                result = self._step(self._state, self._x[rows], self._y[rows])
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return np.atleast_1d(result.detach().cpu().numpy())
