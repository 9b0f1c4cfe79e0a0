"""A loop as a stage: logged, checkpointed, taken up where it stopped."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from preflab.recipes.christiano2017.run_loop import Resumable, run_as_stage
from preflab.run import Run


class Counter:
    """Counts to ten by twos; stops before a step that is given."""

    def __init__(self, stop: int = 100) -> None:
        self.step, self.stop = 0, stop

    def run(
        self, log: Callable[..., None], checkpoint: Callable[[], object], on_wait: Callable[[int], None] | None = None
    ) -> None:
        while self.step < 10:
            if self.step >= self.stop:
                raise KeyboardInterrupt
            if on_wait is not None:
                on_wait(1)
            self.step += 2
            log(step=self.step)
            checkpoint()

    def state(self) -> dict[str, Tensor]:
        return {"step": torch.tensor(self.step)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.step = int(state["step"])


def test_a_loop_that_was_stopped_goes_on_and_logs_each_step_once(tmp_path: Path) -> None:
    assert isinstance(Counter(), Resumable)
    for stop in (6, 100):
        loop = Counter(stop)
        with Run(tmp_path, {"a": 1}, recipe="x", quiet=True, checkpoint_seconds=0.0) as run:
            if stop == 6:
                with pytest.raises(KeyboardInterrupt):
                    run_as_stage(loop, run, "count", steps=10, label="count")
            else:
                run_as_stage(loop, run, "count", steps=10, label="count")
                assert [line["step"] for line in run.metrics("count")] == [2, 4, 6, 8, 10]
