"""A loop of control as a stage of a run: taken up where it stopped, with its bar, its log and its checkpoints."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from preflab.run import Run


@runtime_checkable
class Goes(Protocol):
    """A loop that counts environment steps."""

    step: int

    def run(self, log: Callable[..., None], keep: Callable[[], object]) -> None:
        """Go on to the end."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...


def follow(loop: Goes, run: Run, stage: str, *, steps: int, label: str) -> None:
    """A loop from its last checkpoint to its end."""
    state = run.resume(stage)
    if state is not None:
        loop.load_state(state)
    with run.progress(label, steps, "steps", loop.step) as advance:
        done = loop.step

        def log(**numbers: Any) -> None:
            nonlocal done
            run.log(stage, **numbers)
            advance(numbers["step"] - done)
            done = numbers["step"]

        loop.run(log, lambda: run.checkpoint(stage, loop.state))
