"""The side of the loop that people see: policies deployed to a study of a store, and what was judged since.

It talks to the store alone. A server on the same store ('preflab collect') shows the study and lets its policies
answer; it notices a new revision by itself.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from preflab.data.comparison import EDITOR, Comparison
from preflab.data.load import load_comparisons
from preflab.data.sources.files import digest_of
from preflab.data.store import log
from preflab.data.store.open import Store, open_store
from preflab.data.store.queue import progress
from preflab.data.store.studies import add_items, create_study, find_study, list_studies, revise_study
from preflab.data.write import write_comparisons
from preflab.errors import ConfigError, StoreError
from preflab.feedback.judged_comparisons import comparisons_of, is_weak
from preflab.feedback.study import StudyDefinition, item_of
from preflab.maths.pairwise_votes import Votes
from preflab.maths.ratings import rate_policies, to_elo
from preflab.recipes.bai2022_online.claims import START
from preflab.recipes.bai2022_online.config import Config
from preflab.recipes.bai2022_online.results import CollectResult, DeployResult, EloResult, Vote
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.run import Run


class OnlineStudy:
    """One study of a store, round after round."""

    def __init__(self, config: Config, run: Run) -> None:
        self.config, self.run = config, run

    @cached_property
    def store(self) -> Store:
        """The store, open."""
        where = self.config.store or str(self.run.folder / "store.db")
        return open_store(where)

    def close(self) -> None:
        """Give the store back."""
        if "store" in self.__dict__:
            self.store.close()

    def needed(self, number: int) -> int:
        """Choices wanted of a round; the one after the last is for ratings alone."""
        return self.config.judgements if number <= self.config.rounds else self.config.final_judgements

    # deploying -------------------------------------------------------------------------------------------

    def deploy(self, number: int, policies: Sequence[PolicySpec], topics: Sequence[str]) -> DeployResult:
        """Let these policies answer from now on, and see to it that there are enough tasks.

        What an owner changed in the study stays. Choices made from here on are waited for; those made since the round
        before was collected, while its policy was trained, are learned from with them.

        Raises:
            ConfigError: the study is there and has another protocol.
        """
        noted = self.run.partials(f"deploy{number}")
        if "from" not in noted:  # noted first: a kill after the deployment must not lose what was judged meanwhile
            noted["from"] = self._head()
            self.run.save_partial(f"deploy{number}", "from", noted["from"])
        definition = self._define(policies)
        return DeployResult(
            revision=find_study(self.store, self.config.study).revision,
            first_event=noted["from"],
            policies=[policy.name for policy in policies],
            tasks_added=self._add_tasks(definition, number, self.needed(number), topics),
        )

    def _add_tasks(self, definition: StudyDefinition, number: int, choices: int, topics: Sequence[str]) -> int:
        """As many as are missing for each choice to have a task of its own; how many."""
        tasks = progress(self.store, self.config.study)
        missing = max(0, choices - tasks.free - tasks.held)
        head, items = self._head(), []
        for n in range(missing):
            topic = topics[n % len(topics)] if topics else ""
            name = f"round {number}, {head}-{n}"  # the log has grown since any earlier ones were added
            items.append(item_of(definition, {"name": name, "topic": topic}, "main"))
        if items:
            add_items(self.store, self.config.study, items)
        return missing

    def _define(self, policies: Sequence[PolicySpec]) -> StudyDefinition:
        name, protocol = self.config.study, self.config.protocol
        if name not in {study.name for study in list_studies(self.store)}:
            instructions = self.config.instructions
            definition = StudyDefinition(
                name=name, protocol=protocol, instructions=instructions, policies=tuple(policies)
            )
            create_study(self.store, name, definition.to_json())
            return definition
        before = StudyDefinition.from_mapping(find_study(self.store, name).definition)
        if before.protocol.name != protocol.name:
            raise ConfigError(f"study {name!r} has the protocol {before.protocol.name}; give another name: study=...")
        after = replace(before, policies=tuple(policies))
        revise_study(self.store, name, after.to_json())
        return after

    # waiting ---------------------------------------------------------------------------------------------

    def choices(self, since: int, *, up_to: int | None = None, weakest: float = 0.0) -> list[Comparison]:
        """What was chosen after an event of the log, and counts."""
        judged = comparisons_of(self.store, self.config.study, weakest=weakest, up_to=up_to)
        return [comparison for comparison in judged.comparisons if _event(comparison) > since]

    def wait(self, number: int, topics: Sequence[str], work: Callable[[], None] | None = None) -> bool:
        """Until a round has all its choices; False where the run is to stop before.

        Args:
            topics  for more tasks, where those there are run out.
            work    called when choices are missing, in place of sleeping: scripted annotators.

        Raises:
            StoreError: all tasks are done again and again, and no choice counts.
        """
        needed, have, head = self.needed(number), self._count(number), self._head()
        label = f"round {number}: choices" if number <= self.config.rounds else "last round: choices"
        topped_up_at = -1
        with self.run.progress(label, needed, "choices", min(have, needed)) as advance:
            while have < needed:
                topped_up_at = self._top_up(number, topics, have, topped_up_at)
                if work is not None:
                    work()
                elif self.config.wait == "stop":
                    print(f"{have} of {needed} choices of study {self.config.study!r} are there; start the same "
                          "command again when there are more", file=sys.stderr, flush=True)  # fmt: skip
                    return False
                else:
                    time.sleep(self.config.poll_seconds)
                if self._head() != head:  # counting reads all judgements: only when something happened
                    now, head = self._count(number), self._head()
                    state = find_study(self.store, self.config.study).state
                    advance(max(0, min(now, needed) - min(have, needed)), note="" if state == "open" else state)
                    have = now
        return True

    def _top_up(self, number: int, topics: Sequence[str], have: int, before: int) -> int:
        """More tasks where none is left; the number of choices at which that last happened."""
        tasks = progress(self.store, self.config.study)
        if tasks.free + tasks.held > 0:
            return before
        if have == before:
            raise StoreError(
                f"all tasks of study {self.config.study!r} were done twice over, and no choice among them counts: do "
                "its policies always say the same?"
            )
        definition = StudyDefinition.from_mapping(find_study(self.store, self.config.study).definition)
        self._add_tasks(definition, number, self.needed(number) - have, topics)
        return have

    def _head(self) -> int:
        with self.store.reading() as connection:
            return log.head(connection)[0]

    def _count(self, number: int) -> int:
        deployed = self.run.result(f"deploy{number}", DeployResult).first_event
        return len({comparison.provenance.id for comparison in self.choices(deployed)})

    # collecting ------------------------------------------------------------------------------------------

    def collect(self, number: int) -> CollectResult:
        """Keep what a round's choices teach beside the run, and rate the policies by all choices so far."""
        with self.store.reading() as connection:
            last_event, log_hash = log.head(connection)
        deployed = self.run.result(f"deploy{number}", DeployResult).first_event
        earlier = [self.run.result(f"collect{k}", CollectResult) for k in range(1, number)]
        first_event = earlier[-1].last_event if earlier else deployed
        comparisons = self.choices(first_event, up_to=last_event)
        strong = self.choices(first_event, up_to=last_event, weakest=self.config.weakest)
        path = self.folder(number) / "comparisons.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        written = write_comparisons(strong, path)
        study, digest = self.config.study, digest_of([path])
        facts = {"study": study, "from": first_event, "up_to": last_event, "hash": log_hash, "digest": digest}
        self.run.record("judgements", **{f"round {number}": facts})
        votes = [vote for comparison in comparisons if (vote := vote_of(comparison)) is not None]
        return CollectResult(
            study=study,
            first_event=first_event,
            last_event=last_event,
            log_hash=log_hash,
            digest=digest,
            choices=len({comparison.provenance.id for comparison in comparisons}),
            before_deployment=len({c.provenance.id for c in comparisons if _event(c) <= deployed}),
            comparisons=written.records,
            too_weak=sum(is_weak(comparison, self.config.weakest) for comparison in comparisons),
            ties=sum(outcome == 0.5 for _, _, outcome, _ in votes),
            annotators=len({comparison.provenance.annotator for comparison in comparisons}),
            votes=votes,
            elo=rate_by_votes([*(vote for result in earlier for vote in result.votes), *votes]),
        )

    def folder(self, number: int) -> Path:
        """Where what belongs to a round lies; 0 is what was learned before the first."""
        return self.run.folder / "rounds" / str(number)

    def comparisons(self, number: int) -> list[Comparison]:
        """What a collected round teaches."""
        return load_comparisons(self.folder(number) / "comparisons.jsonl", format="preflab_jsonl").comparisons


def rate_by_votes(votes: Sequence[Vote]) -> EloResult:
    """Elo of every policy that was judged, the start policy (or the oldest) at 0.

    By `preflab.maths.ratings.rate_policies`; ``ridge`` is above 0 where the choices alone fix no ratings (a policy won
    every one), and ``note`` names what it bridges.
    """
    usable = [vote for vote in votes if vote[0] != vote[1]]
    if not usable:
        return EloResult(ratings={}, interval="", ridge=0.0, note="no two policies were compared")
    names = list(dict.fromkeys(name for vote in usable for name in vote[:2]))
    anchor = START if START in names else sorted(names)[0]
    first, second, outcomes, voters = (list(column) for column in zip(*usable, strict=True))
    ratings = rate_policies(Votes.of(first, second, outcomes, voters=voters), anchor=anchor)
    interval = "from resampling people" if ratings.resampled else "from the curvature; votes taken as independent"
    note = f"A ridge of {ratings.ridge} per squared nat bridges this: {'; '.join(ratings.complaints)}."
    return EloResult(
        ratings={name: to_elo(rating) for name, rating in ratings.nats.items()},
        interval=interval,
        ridge=ratings.ridge,
        note=note if ratings.ridge else "",
    )


def _event(comparison: Comparison) -> int:
    return int(comparison.provenance.id.rpartition("/")[2])


def vote_of(comparison: Comparison) -> Vote | None:
    """First policy, second policy, 1 where the first was better (0.5 for a tie), annotator; None without two."""
    ranked = zip(comparison.provenance.policies, comparison.ranks, strict=True)
    sides = [(policy, rank) for policy, rank in ranked if policy != EDITOR]
    if len(sides) < 2:
        return None
    (first, first_rank), (second, second_rank) = sides
    outcome = 0.5 if first_rank == second_rank else float(first_rank < second_rank)
    return first, second, outcome, comparison.provenance.annotator
