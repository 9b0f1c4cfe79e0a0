"""What studies find beside preferences: broken rules, ticked flags, bad pairs, how right and how sure people are."""

import json
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preflab.data.store.judgements import Judgement
from preflab.maths.bootstrap import clustered_bootstrap
from preflab.maths.statistics import Estimate, mean_with_interval, wilson


@dataclass(frozen=True, slots=True)
class RuleRate:
    """How often a rule was judged broken; "cannot say" is left out of the rate and counted."""

    rule: str
    broken: Estimate | None
    """Share in [0, 1] of the judgements that say; resampled by dialogue where some have several judgements."""
    unsure: int


def rule_rates(judged: Iterable[Judgement]) -> list[RuleRate]:
    """By rule, the most broken first; of ``rule-judge`` and ``rule-probe`` studies (1 and 2 broken, 4 and 5 kept).

    Gold items, practice and repetitions are left out. Under probing it is a rate under attack, not one of ordinary use
    (Glaese et al. 2022, sec. 3.2).
    """
    ratings: dict[str, list[tuple[int, Hashable]]] = defaultdict(list)
    for judgement, payload in _first_answers(judged):
        answer = payload["answer"]
        if "rating" in answer:
            ratings[payload["content"]["rule"]].append((int(answer["rating"]), _dialogue(judgement, payload)))
    rates = []
    for rule, rated in ratings.items():
        decided = [(rating < 3, dialogue) for rating, dialogue in rated if rating != 3]
        rates.append(RuleRate(rule, _share_by_cluster(decided) if decided else None, len(rated) - len(decided)))
    return sorted(rates, key=lambda rate: (-(rate.broken.value if rate.broken else -1), rate.rule))


def _dialogue(judgement: Judgement, payload: Mapping[str, Any]) -> Hashable:
    """What tells dialogues apart: their messages where an item brings them; item and person where it was live."""
    messages = payload["content"].get("messages")
    return (judgement.item_name, judgement.person) if messages is None else json.dumps(messages, sort_keys=True)


def _share_by_cluster(decided: Sequence[tuple[bool, Hashable]]) -> Estimate:
    """Share of the judgements that say yes. Each comes with its cluster, such as the dialogue that was judged.

    Wilson's interval where each cluster has one judgement; else from resampling clusters, or, where there is nothing
    to resample (one cluster, or all judged alike), Wilson's for as many trials as there are clusters.
    """
    yes, clusters = np.array([float(answer) for answer, _ in decided]), [cluster for _, cluster in decided]
    estimate = clustered_bootstrap(yes, clusters)
    trials = estimate.clusters or len(yes)
    if trials == len(yes):
        return wilson(float(yes.sum()), trials)
    if trials > 1 and 0 < estimate.value < 1:
        return estimate
    bounds = wilson(estimate.value * trials, trials)
    return Estimate(estimate.value, bounds.low, bounds.high, estimate.n, estimate.clusters, estimate.level)


@dataclass(frozen=True, slots=True)
class FlagRate:
    """How often a flag was ticked of a policy's replies."""

    flag: str
    policy: str
    """Empty where items do not say who wrote the replies."""
    ticked: Estimate
    """Share in [0, 1] of the judged replies; resampled by item where some have several judgements."""


def flag_rates(judged: Iterable[Judgement], flags: Iterable[str]) -> list[FlagRate]:
    """By flag and policy, of ``rank`` studies that offer these flags (Ouyang et al. 2022, table 3 and figure 4).

    Gold items, practice and repetitions are left out.
    """
    ticks: dict[str, list[tuple[list[str], Hashable]]] = defaultdict(list)
    for judgement, payload in _first_answers(judged):
        for policy, ticked in zip(payload["content"]["policies"], payload["answer"].get("flags", []), strict=False):
            ticks[policy].append((ticked, judgement.item_name))
    return [
        FlagRate(flag, policy, _share_by_cluster([(flag in ticked, item) for ticked, item in ticks[policy]]))
        for flag in flags
        for policy in sorted(ticks)
    ]


def both_bad_rate(judged: Iterable[Judgement]) -> Estimate | None:
    """Share of the votes of conversations that call both replies bad (offered by Glaese et al. 2022).

    Conversations are resampled, where some have several votes; None where there are no votes.
    """
    votes = [
        (bool(payload["answer"]["both_bad"]), (judgement.item_name, judgement.person))
        for judgement, payload in _first_answers(judged)
        if "both_bad" in payload["answer"]
    ]
    return _share_by_cluster(votes) if votes else None


@dataclass(frozen=True, slots=True)
class Condition:
    """Answers to questions with help, or without (Bowman et al. 2022, sec. 4)."""

    assisted: bool
    accuracy: Estimate
    """Unanswered ones count as wrong; resampled by person."""
    confidence: float | None
    """Mean stated, per cent."""
    calibration_error: float | None
    """Mean over the stated levels of ``|share right - level|``, in points, each level alike (their sec. 4)."""
    team: Estimate | None
    """Share of questions that the confidence-weighted vote of all who answered gets right."""
    timed_out: int
    turns: float
    """Mean messages to the model."""


def question_outcomes(judged: Iterable[Judgement]) -> list[Condition]:
    """With help and without, of questions whose answer is known; gold items, practice and repetitions are left out."""
    answered = _first_answers(judged)
    graded = [(j, payload) for j, payload in answered if payload["answer"].get("correct") is not None]
    conditions = []
    for assisted in (True, False):
        in_condition = [(j, payload) for j, payload in graded if payload["answer"]["assisted"] is assisted]
        if not in_condition:
            continue
        answers = [payload["answer"] for _, payload in in_condition]
        right = [float(answer["correct"]) for answer in answers]
        stated = [(a["confidence"], bool(a["correct"])) for a in answers if a["confidence"] is not None]
        conditions.append(
            Condition(
                assisted=assisted,
                accuracy=mean_with_interval(np.array(right), [j.person for j, _ in in_condition]).clip(),
                confidence=sum(level for level, _ in stated) / len(stated) if stated else None,
                calibration_error=calibration_error(stated),
                team=_team(in_condition),
                timed_out=sum(bool(answer["timed_out"]) for answer in answers),
                turns=sum(len(payload.get("conversation", [])) for _, payload in in_condition) / len(in_condition),
            )
        )
    return conditions


def calibration_error(stated: Sequence[tuple[int, bool]]) -> float | None:
    """Mean over stated levels of ``|100 * share right - level|``, in points; None where nothing was stated.

    Levels weigh alike, however often each was stated (Bowman et al. 2022): 39 % right at 42 gives 3.
    """
    by_level: dict[int, list[bool]] = defaultdict(list)
    for level, right in stated:
        by_level[level].append(right)
    if not by_level:
        return None
    return sum(abs(100 * sum(r) / len(r) - level) for level, r in by_level.items()) / len(by_level)


def team_vote(votes: Sequence[tuple[int, int]], options: int) -> tuple[int, float]:
    """The option with the largest product of stated probabilities, and its share of all products.

    Somebody who picks an option at p gives it p and each other one ``(1 - p) / (options - 1)``; 100 counts as 99. Of
    equal options the first is taken (Bowman et al. 2022, sec. 4).

    Args:
        votes    (option, per cent) of each person.
        options  how many there are.
    """
    logs = [0.0] * options
    for choice, per_cent in votes:
        p = min(per_cent, 99) / 100
        for option in range(options):
            logs[option] += math.log(p if option == choice else (1 - p) / (options - 1))
    best = max(range(options), key=logs.__getitem__)
    return best, 1 / sum(math.exp(x - logs[best]) for x in logs)


def _team(answered: Sequence[tuple[Judgement, Mapping[str, Any]]]) -> Estimate | None:
    """How often the vote is right, over the questions that anybody answered; the unanswered are skipped."""
    by_item: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for judgement, payload in answered:
        answer = payload["answer"]
        if answer["choice"] is not None and answer["confidence"]:
            by_item[judgement.item_name].append(payload)
    if not by_item:
        return None
    right = 0
    for payloads in by_item.values():
        content = payloads[0]["content"]
        votes = [(payload["answer"]["choice"], payload["answer"]["confidence"]) for payload in payloads]
        right += team_vote(votes, len(content["options"]))[0] == content["answer"]
    return wilson(right, len(by_item))


def _first_answers(judged: Iterable[Judgement]) -> list[tuple[Judgement, Mapping[str, Any]]]:
    """Judgements of main items and their payloads; repetitions, which check people and not items, are left out."""
    payloads = [(judgement, judgement.payload) for judgement in judged if judgement.payload is not None]
    return [(judgement, p) for judgement, p in payloads if p["purpose"] == "main" and p["repeats"] is None]
