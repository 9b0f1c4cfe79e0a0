"""A loop of control as a stage of a run: taken up where it stopped, with its bar, its log and its checkpoints."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from preflab.run import Run


@runtime_checkable
class Resumable(Protocol):
    """A loop that counts environment steps."""

    step: int

    def run(self, log: Callable[..., None], keep: Callable[[], object], waiting: Callable[[int], None] = ...) -> None:
        """Go on to the end; whoever waits for answers says how many are missing."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...


def run_as_stage(loop: Resumable, run: Run, stage: str, *, steps: int, label: str) -> None:
    """A loop from its last checkpoint to its end."""
    state = run.resume(stage)
    if state is not None:
        loop.load_state(state)
    with run.progress(label, steps, "steps", loop.step) as advance:
        done = loop.step

        def log(**numbers: Any) -> None:
            nonlocal done
            run.log(stage, **numbers)
            advance(numbers["step"] - done, note=" ")  # nothing is waited for any more
            done = numbers["step"]

        def waiting(missing: int) -> None:
            advance(0, note=f"waiting for {missing:,} answers")

        loop.run(log, lambda: run.checkpoint(stage, loop.state), waiting)
