"""Where a policy is sampled: in this process, or on a server that is handed its weights.

``PolicyTraining`` knows an engine only by these two calls. Prompts and replies are tokens, never text, and every
rollout names the version of the weights it was drawn with.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch

from preflab.models.roles import Role
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig, generate

IN_PROCESS = "in-process"
"""How settings name ``InProcess``; anything else is the address of a server."""


@runtime_checkable
class Engine(Protocol):
    """A sampler of tokens whose weights can be renewed."""

    def push(self, role: Role, version: int) -> None:
        """Sample with this role's weights from now on, and call them ``version``."""
        ...

    def generate(
        self, prompts: Sequence[Sequence[int]], config: SamplingConfig, *, n: int, seed: int
    ) -> list[list[Rollout]]:
        """``n`` replies to each prompt, in the order of the prompts; the same seed gives the same draws."""
        ...


class InProcess:
    """The role itself: its live weights, sampled in this process."""

    def __init__(self, role: Role, encoder: Encoder) -> None:
        self.role, self.encoder, self.version = role, encoder, 0

    def push(self, role: Role, version: int) -> None:
        """Take note of the version; the weights are the live ones anyway."""
        self.role, self.version = role, version

    def generate(
        self, prompts: Sequence[Sequence[int]], config: SamplingConfig, *, n: int, seed: int
    ) -> list[list[Rollout]]:
        """Sample with ``rollouts.generate.generate``."""
        generator = torch.Generator().manual_seed(seed)
        replies = generate(self.role, prompts, self.encoder, config, n=n, rng=generator)
        return [[replace(rollout, version=self.version) for rollout in rollouts] for rollouts in replies]
