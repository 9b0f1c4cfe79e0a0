"""A loop of control as a stage of a run: taken up where it stopped, with its bar, its log and its checkpoints."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from preflab.run import Run


@runtime_checkable
class Resumable(Protocol):
    """A loop that counts environment steps."""

    @property
    def step(self) -> int:
        """Environment steps so far."""
        ...

    def run(
        self, log: Callable[..., None], checkpoint: Callable[[], object], on_wait: Callable[[int], None] = ...
    ) -> None:
        """Go on to the end; ``on_wait`` is given how many answers are missing."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...


def run_as_stage(loop: Resumable, run: Run, stage: str, *, steps: int, label: str) -> None:
    """Run a loop from its last checkpoint to its end."""
    state = run.resume(stage)
    if state is not None:
        loop.load_state(state)
    with run.progress(label, steps, "steps", loop.step) as advance:
        shown_step = loop.step

        def log(*, step: int, **metrics: object) -> None:
            nonlocal shown_step
            run.log(stage, step=step, **metrics)
            advance(step - shown_step, note=" ")  # the note on waiting is gone
            shown_step = step

        def on_wait(missing: int) -> None:
            advance(0, note=f"waiting for {missing:,} answers")

        loop.run(log, lambda: run.checkpoint(stage, loop.state), on_wait)
