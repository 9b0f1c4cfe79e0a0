"""The outcome of a run of ``bai2022_online`` in a few lines, from the results it left behind."""

from pathlib import Path

from preflab.recipes.bai2022_online.claims import START
from preflab.recipes.bai2022_online.results import RoundResults, data_name, read_rounds
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import DASH, nats, share, with_interval
from preflab.reporting.format import elo as elo_text
from preflab.reporting.run_files import read_results, read_run


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number of each round and every file worth opening; stages not run have none."""
    rounds = int(read_run(folder).config["rounds"])
    results = read_rounds(folder, rounds)
    lines = [line for number in range(rounds + 1) for line in _round_lines(results, number)]
    if results.elo is not None:
        ratings = {policy: rating for policy, rating in results.elo.ratings.items() if policy != START}
        lines += [(f"Elo of {policy}", elo_text(ratings[policy]), "the start policy is at 0") for policy in ratings]
        lines += [(f"Elo of {policy}", DASH, "in no choice so far") for policy in results.unrated]
    if round_name := waiting(folder):
        lines.append(("waiting for choices", round_name, "start the command again"))
    return lines + closing_lines(folder, read_results(folder))


def _round_lines(results: RoundResults, number: int) -> list[Line]:
    """What a round's preference model and policy reach."""
    name, lines = data_name(number), list[Line]()
    if (fit := results.preference.get(number)) is not None:
        if accuracy := fit.accuracy.get(name):
            lines.append((f"{name}: held-out accuracy", share(accuracy), f"{accuracy.n} pairs of the round"))
        if fit.agreement:
            lines.append((f"{name}: agrees with the known preference", share(fit.agreement), "without their errors"))
    if (policy := results.measure.get(number)) is not None:
        kl = f"KL {with_interval(policy.kl, '.2f')}"
        lines.append((f"{name}: policy, gain and KL", f"{nats(policy.gain)} nats", kl))
        if policy.true_gain:
            lines.append((f"{name}: policy is liked better", share(policy.true_gain.wins), "half is chance"))
    return lines


def waiting(folder: Path) -> str:
    """Which round a run stopped in to wait for choices; empty where it did not."""
    number = read_rounds(folder, int(read_run(folder).config["rounds"])).waiting_for
    return "" if number is None else f"round {number}"
