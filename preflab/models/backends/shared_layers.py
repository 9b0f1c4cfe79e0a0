"""Run a body in two halves, so that roles which differ only in the upper layers share the lower ones.

With adapters on the topmost layers alone, everything below them is the same for policy, reference,
value and preference model, and needs no gradient: it is computed once for a batch of rows, whoever asks.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preflab.models.row_attention.attention import DeviceBatch, run_body


class LayerSplit:
    """A transformer body cut below layer ``cut``. Build one with ``find_split``, which checks that it is exact."""

    def __init__(self, body: Any, cut: int) -> None:
        self.body = body
        self._halves = nn.ModuleList(body.layers[:cut]), nn.ModuleList(body.layers[cut:])
        self._memo: tuple[DeviceBatch, Tensor] | None = None

    @torch.no_grad()
    def lower(self, batch: DeviceBatch) -> Float[Tensor, "1 token hidden"]:
        """Hidden states below the cut; remembered for as long as the same batch is asked for."""
        if self._memo is None or self._memo[0] is not batch:
            with self._only(0):
                self._memo = batch, run_body(self.body, batch, input_ids=batch.ids)
        return self._memo[1]

    def upper(self, batch: DeviceBatch, lower: Float[Tensor, "1 token hidden"]) -> Float[Tensor, "1 token hidden"]:
        """From there to the last hidden state, with whatever adapter is active."""
        with self._only(1):
            return run_body(self.body, batch, inputs_embeds=lower)

    def forget(self) -> None:
        """Let go of the remembered batch."""
        self._memo = None

    @contextlib.contextmanager
    def _only(self, half: int) -> Iterator[None]:
        """The body with one half of its layers; the final norm belongs to the upper one."""
        layers, norm = self.body.layers, self.body.norm
        self.body.layers = self._halves[half]
        if half == 0:
            self.body.norm = nn.Identity()
        try:
            yield
        finally:
            self.body.layers, self.body.norm = layers, norm


def find_split(body: Any, cut: int, probe: DeviceBatch) -> LayerSplit | None:
    """A split that gives the whole body's numbers on the probe rows; None for a body that cannot be split.

    Bodies that do more to their input embeddings than look them up (scaling, learned positions) give other
    numbers the second time round, and are left whole.
    """
    layers = getattr(body, "layers", None)
    if not isinstance(layers, nn.ModuleList) or not hasattr(body, "norm") or not 0 < cut < len(layers):
        return None
    split = LayerSplit(body, cut)
    with torch.no_grad():
        expected = run_body(body, probe, input_ids=probe.ids)
        try:
            hidden = split.upper(probe, split.lower(probe))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
            return None
    split.forget()
    return split if torch.equal(expected, hidden) else None
