"""The lines for the terminal: every round's numbers, every policy's rating, and what is waited for."""

from pathlib import Path

from preflab.recipes.bai2022_online.summary import summarise, waiting
from preflab.reporting.format import DASH, MINUS
from tests.recipes.bai2022_online.results_of import deploy, make_run, one_round


def lines_of(folder: Path) -> dict[str, tuple[str, str]]:
    return {name: (number.replace(MINUS, "-"), remark) for name, number, remark in summarise(folder)}


def test_every_round_and_every_policy_has_its_lines(tmp_path: Path) -> None:
    lines = lines_of(make_run(tmp_path / "r", one_round()))
    assert lines["static: held-out accuracy"] == ("60.0 % [50.0, 70.0]", "40 pairs of the round")
    assert lines["round 1: held-out accuracy"] == ("70.0 % [60.0, 80.0]", "40 pairs of the round")
    assert lines["round 1: agrees with the known preference"][0] == "70.0 % [65.0, 75.0]"
    assert lines["static: policy, gain and KL"] == ("0.00 [-0.25, +0.25] nats", "KL 1.00 [0.50, 1.50]")
    assert lines["round 1: policy, gain and KL"] == ("+0.50 [+0.25, +0.75] nats", "KL 2.00 [1.50, 2.50]")
    assert lines["round 1: policy is liked better"] == ("75.0 % [65.0, 85.0]", "half is chance")
    assert lines["Elo of round-0"] == ("+30 [-20, +80]", "the start policy is at 0")
    assert lines["Elo of round-1"][0] == "+120 [+40, +200]"
    assert lines["time"][0] == "22.0 s"  # eleven stages of two seconds
    assert "Elo of start" not in lines and "waiting for choices" not in lines


def test_a_policy_without_a_rating_has_a_line_that_says_so(tmp_path: Path) -> None:
    lines = lines_of(make_run(tmp_path / "r", one_round()))
    assert lines["Elo of round-0, best of 2"] == (DASH, "in no choice so far")


def test_a_run_that_waits_says_for_which_round(tmp_path: Path) -> None:
    begun = {name: result for name, result in one_round().items() if name[-1] == "0"}
    folder = make_run(tmp_path / "r", begun | {"deploy1": deploy(1, ["start", "round-0"])})
    assert lines_of(folder)["waiting for choices"] == ("round 1", "start the command again")
    assert waiting(folder) == "round 1"
    assert not [name for name in lines_of(folder) if name.startswith("Elo")]
    assert waiting(make_run(tmp_path / "before", begun)) == ""


def test_the_table_at_the_end_of_a_run_has_a_line_for_every_round_and_every_policy(finished: Path) -> None:
    lines = lines_of(finished)
    assert {"static: policy, gain and KL", "round 1: policy, gain and KL", "round 2: policy, gain and KL"} <= set(lines)
    policies = {"round-0", "round-1", "round-2", *(f"round-{k}, best of 2" for k in range(3))}
    assert {name.removeprefix("Elo of ") for name in lines if name.startswith("Elo")} == policies  # rated or not
    assert "waiting for choices" not in lines
