"""Report and closing lines of the lesson on horizons, from results by hand."""

from pathlib import Path

import numpy as np

from preflab.recipes.christiano2017.horizon.claims import compare
from preflab.recipes.christiano2017.horizon.config import ARMS, smoke
from preflab.recipes.christiano2017.horizon.report import summarise, write_report
from preflab.recipes.christiano2017.horizon.results import AgentResult, Comparison
from preflab.run import Run


def comparison(balanced: dict[str, float]) -> Comparison:
    agents = {
        arm: [
            AgentResult(arm=arm, curve=((0, 22.0), (128, steps + k)), untrained=22.0, trained=steps + k, falls=1200)
            for k in np.linspace(-1, 1, 3).tolist()
        ]
        for arm, steps in balanced.items()
    }
    return compare(agents, 60)


def test_the_lesson_is_drawn_where_every_claim_holds(tmp_path: Path) -> None:
    with Run(tmp_path, smoke(), recipe="christiano2017_horizon", quiet=True) as run:
        assert "nothing to tell" in write_report(tmp_path).read_text()
        run.stage("compare", lambda: comparison({"varying": 59.0, "fixed": 21.0, "minus": 9.0}), Comparison)
    page = write_report(tmp_path).read_text()
    assert "says little of the reward that was learned" in page and "3,600" in page  # falls of three seeds
    lines = {title: number for title, number, _ in summarise(tmp_path)}
    assert lines["claims"] == "holds, holds, holds, holds"
    assert set(ARMS) < lines.keys() and lines["untrained"] == "22.00 [22.00, 22.00]"


def test_it_is_not_drawn_where_one_fails(tmp_path: Path) -> None:
    with Run(tmp_path, smoke(), recipe="christiano2017_horizon", quiet=True) as run:
        run.stage("compare", lambda: comparison({"varying": 25.0, "fixed": 21.0, "minus": 9.0}), Comparison)
    assert "says little of the reward" not in write_report(tmp_path).read_text()
