"""A network together with what makes it learn: optimiser, gradient scaler, clipping, precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .distributed import World
from .options import Adam, AdamW, Loop

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Output = Tensor | list[Tensor]


def optimiser(options: Adam, net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Adam or AdamW over all weights of `net`, in one kernel where the device has it."""
    kind = torch.optim.AdamW if isinstance(options, AdamW) else torch.optim.Adam
    weights = list(net.parameters())
    return kind(
        weights, lr=lr, betas=options.betas, eps=options.eps, weight_decay=options.weight_decay,
        fused=weights[0].is_cuda,
    )  # fmt: skip


class Learner:
    """A network that learns. Its weights are float32; its layers run in the precision of the loop.

    One step is: `backward` for each micro-batch, `gather`, then `step` or `skip`. `rate` is the last learning rate.
    """

    def __init__(self, net: nn.Module, options: Adam, lr: float, loop: Loop, device: torch.device) -> None:
        layout = torch.channels_last if loop.channels_last else torch.contiguous_format
        self.net = net.to(device).to(memory_format=layout)  # type: ignore[call-overload]  # of the stubs
        self.lr = self.rate = lr
        self.optimiser = optimiser(options, self.net, lr)
        self.scaler = torch.amp.GradScaler(device.type, enabled=loop.precision == "fp16")
        self._layout, self._clip, self._device = layout, loop.clip, device
        self.dtype = DTYPES[loop.precision]
        self._run = self.net if loop.compile == "off" else torch.compile(self.net, mode=loop.compile)

    def __call__(self, x: Tensor) -> Output:
        """What the network makes of N 3 H W float32, as float32: what follows is no longer autocast."""
        return self._pass(self._run, x)

    def pictures(self, x: Tensor) -> Tensor:
        """The same of a network that makes pictures: B 3 H W float32."""
        result = self(x)
        assert isinstance(result, Tensor)
        return result

    def eager(self, x: Tensor) -> Output:
        """The same without torch.compile."""
        return self._pass(self.net, x)

    def _pass(self, run: Any, x: Tensor) -> Output:
        with torch.autocast(self._device.type, self.dtype, enabled=self.dtype != torch.float32):
            result = run(x.contiguous(memory_format=self._layout))
        return [part.float() for part in result] if isinstance(result, list) else result.float()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`, a scalar, to what is there."""
        torch.autograd.backward(self.scaler.scale(loss))

    @property
    def has_gradient(self) -> bool:
        """Whether anything was learnt from since the last step."""
        return any(weight.grad is not None for weight in self.net.parameters())

    def gather(self, world: World) -> Tensor:
        """Let all processes have the mean of their gradients; its norm, a scalar that may be infinite or NaN.

        The mean is taken while gradients are still scaled, so that all processes find the same overflows.
        """
        found = [weight.grad for weight in self.net.parameters() if weight.grad is not None]
        world.mean(found)
        self.scaler.unscale_(self.optimiser)
        self._norm = torch.nn.utils.get_total_norm(found)
        return self._norm

    @property
    def may_overflow(self) -> bool:
        """Whether a gradient that is not finite only means that the scale of float16 is still too large."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > 1

    def step(self, factor: float) -> None:
        """Change the weights by the gradient, at `factor` of the learning rate. An overflow of float16 changes nothing
        but the scale."""
        if self._clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.net.parameters(), self._clip, self._norm)
        self.rate = self.lr * factor
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def skip(self) -> None:
        """Forget the gradient; a scaler remembers none of its overflows either."""
        if self.scaler.is_enabled():
            self.scaler.update(self.scaler.get_scale())
        self.optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Optimiser and scaler; the weights are kept apart, under the name of the network."""
        return {"optimiser": self.optimiser.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
