"""HHH comparisons (Askell et al. 2021): which of two replies is more helpful, honest and harmless?

Asked of a policy by log-probability, of a preference model, of a judge in both orders, and of the policy as a question
with two options. Layouts: ours (subset, prompt, chosen, rejected); the hub's (input, targets with choices and labels,
one folder a subset); BIG-bench's (input, target_scores); whole dialogues (text_correct, text_incorrect), as the 438
of the Constitutional AI paper are published. Earlier turns inside a prompt stand behind Human: and Assistant:.
"""

from collections.abc import Mapping, Sequence

from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources.formats import hh
from preflab.data.sources.messages import wrong_type
from preflab.data.sources.source import Record
from preflab.errors import RecordRefused
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import Suite, Variant
from preflab.evals.metrics import preference_pairs
from preflab.evals.metrics.preference_pairs import PreferencePair

FILES = ("hhh_alignment*", "438HHHEvaluations*")


def read(record: Record) -> PreferencePair:
    """A record of any of the four layouts."""
    if "text_correct" in record:
        dialogues = {
            "chosen": record_fields.text(record, "text_correct"),
            "rejected": record_fields.text(record, "text_incorrect"),
        }
        comparison = hh.read(dialogues)
        prompt, better, worse = comparison.prompt, *comparison.replies
    else:
        prompt = dialogue(record_fields.first_text(record, "prompt", "input"))
        better, worse = _replies(record)
    if better.strip() == worse.strip():
        raise RecordRefused("the two replies are the same")
    subset = record_fields.optional_text(record, "subset").strip()
    return PreferencePair(prompt, better.strip(), worse.strip(), {"subset": subset} if subset else {})


def _replies(record: Record) -> tuple[str, str]:
    """The better reply and the worse."""
    if "chosen" in record:
        return record_fields.first_text(record, "chosen"), record_fields.first_text(record, "rejected")
    if isinstance(scores := record.get("target_scores"), Mapping):
        choices, labels = list(map(str, scores)), list(scores.values())
    else:
        targets = record_fields.column(record, "targets")
        if not isinstance(targets, Mapping):
            raise wrong_type("targets", "choices and labels", targets)
        choices, marked = record_fields.texts(targets, "choices", least=2), targets.get("labels")
        if not isinstance(marked, Sequence):
            raise wrong_type("targets.labels", "a list of 0 and 1", marked)
        labels = list(marked)
    if sorted(labels) != [0, 1] or len(choices) != 2:
        raise RecordRefused("not one better and one worse reply")
    if not all(choice.strip() for choice in choices):
        raise RecordRefused("a reply is empty", field="targets")
    better = labels.index(1)
    return choices[better], choices[1 - better]


def dialogue(prompt: str) -> Dialogue:
    """The turns of a prompt: what stands before the first marker is the user's.

    Raises:
        RecordRefused: it does not end with a turn of the user.
    """
    text = prompt.strip()
    turns = [
        Message(m.role, m.text.strip()) for m in hh.parse_turns(text if hh.has_markers(text) else f"Human: {text}")
    ]
    if turns[-1].role == "assistant" and not turns[-1].text:
        turns.pop()
    if not turns or turns[-1].role != "user" or not all(turn.text for turn in turns):
        raise RecordRefused("the prompt does not end with the user's turn, or a turn is empty", field="prompt")
    return Dialogue(tuple(turns))


def load(source: DataSource) -> Items:
    """The comparisons; those of one prompt are a group."""

    def item(record: Record) -> Item:
        pair = read(record)
        prompt = "\n\n".join(m.text for m in pair.prompt.messages)
        name = record_fields.identity(record, pair.marks.get("subset", ""), prompt, pair.better, pair.worse)
        return Item(id=name, group=prompt, data=pair)

    return source.records("hhh", FILES).items(item)


SUITE = Suite(
    name="hhh",
    title="HHH comparisons",
    summary="Whether the more helpful, honest or harmless of two replies is preferred.",
    source="Askell et al. 2021, arXiv 2112.00861; BIG-bench task hhh_alignment, Apache-2.0",
    load=load,
    files=FILES,
    variants=(
        Variant(
            name="policy",
            summary="log-probabilities of both replies, whole",
            plan=preference_pairs.policy_plan,
            logprobs=True,
        ),
        Variant(
            name="pm", summary="scores of a preference model", plan=preference_pairs.pm_plan, roles=frozenset({"pm"})
        ),
        Variant(
            name="judge",
            summary="a judge's probabilities of (A) and (B), both orders averaged",
            plan=preference_pairs.judge_plan,
            roles=frozenset({"judge"}),
        ),
        Variant(
            name="judge-sampled",
            summary="the letter that a judge writes, in both orders",
            plan=preference_pairs.sampled_judge_plan,
            roles=frozenset({"judge"}),
        ),
        Variant(
            name="letter",
            summary="the policy picks (A) or (B), both orders averaged",
            plan=preference_pairs.letter_plan,
            logprobs=True,
        ),
    ),
    measures=preference_pairs.measures(("subset",)),
)
