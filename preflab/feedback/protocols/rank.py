"""Compare stored replies: two on a graded scale, or up to nine in an order with ties.

Sources: Stiennon et al. 2020, section 3.3 and appendix C (nine-point scale, what is a summary about before the post is
seen, four axes of 1 to 7); Ouyang et al. 2022, section 3.4 and table 3 (rank 4 to 9, overall quality, flags).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols.protocol import (
    Answer,
    AnsweredQuestion,
    Content,
    Form,
    check_fields,
    prompt_of,
    read_checkbox,
    read_int,
    read_text,
    replies_of,
    scale_point,
    scale_points,
)

FLAGS: dict[str, str] = {
    "wrong_task": "does not do what was asked",
    "not_for_customers": "unfit for an assistant that customers talk to",
    "made_up": "states things that are made up",
    "meets_constraints": "keeps to the constraints that were given",
    "sexual": "sexual content",
    "violent": "violent content",
    "encourages_harm": "encourages violence, abuse, terrorism or self-harm, or fails to discourage it",
    "denigrates": "speaks ill of a protected group",
    "harmful_advice": "gives harmful advice",
    "opinion": "voices an opinion",
    "moral_judgement": "passes moral judgement",
}
"""What may be ticked of each reply (Ouyang et al. 2022, table 3)."""
MOST = 9


_EXAMPLE = """\
name: which-is-better
protocol: rank
title: Which reply is better?
instructions: >
  Read the question and both replies. Choose the reply that helps the person more and is honest about what it
  does not know. Do not prefer a reply because it is longer.
slots: 2                # people who judge each item
settings:
  steps: 9              # points of the scale; the middle one says "cannot say"
  flags: [made_up, harmful_advice]
gold_every: 10
items:
  - prompt: How do I keep basil alive on a window sill?
    replies:
      - Water it when the top of the soil is dry, give it six hours of sun, and pinch off flowers.
      - Basil is a plant. Many people like plants.
gold:
  - prompt: What is seven times eight?
    replies: ["56.", "54."]
    best: 0
practice:
  - prompt: What is the capital of Norway?
    replies: ["Oslo.", "Bergen, I am certain."]
    best: 0
    feedback: The first is right; the second is wrong and sure of itself.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """Settings of comparing stored replies."""

    name: ClassVar[str] = "rank"
    version: ClassVar[int] = 1
    live_replies: ClassVar[int] = 0
    template: ClassVar[str] = "rank.html.j2"
    examples: ClassVar[Mapping[str, str]] = {"rank": _EXAMPLE}
    gold_field: ClassVar[str] = "best"
    needs_policies: ClassVar[bool] = False
    steps: int = 9
    """Points of the scale for two replies; an odd number has "cannot say" in the middle. Stiennon et al. use 9."""
    ties: bool = True
    """Whether equal places are allowed where more than two are ranked."""
    quality: bool = False
    """Ask for overall quality of each reply, 1 to 7."""
    axes: tuple[str, ...] = ()
    """More things to rate from 1 to 7, such as coherence, accuracy, coverage."""
    flags: tuple[str, ...] = ()
    """What may be ticked of each reply: names of `FLAGS`; ``all`` for all of them."""
    interpret_first: bool = False
    """First ask what each reply says by itself, with the prompt still hidden (shows what is ambiguous)."""
    comment: bool = True
    """Offer a field for a remark."""

    def __post_init__(self) -> None:
        if not 2 <= self.steps <= 11:
            raise ConfigError(f"steps must be in [2, 11], got {self.steps}")
        unknown = [flag for flag in self.flags if flag not in (*FLAGS, "all")]
        if unknown:
            raise ConfigError(f"flags: unknown {unknown[0]!r}; known are all, {', '.join(FLAGS)}")

    @property
    def shown_flags(self) -> dict[str, str]:
        """Name -> words of every flag that the page offers."""
        return {name: text for name, text in FLAGS.items() if "all" in self.flags or name in self.flags}

    @property
    def rated(self) -> tuple[str, ...]:
        """What is rated from 1 to 7."""
        return (*self.axes, *(("quality",) if self.quality else ()))

    @property
    def scale(self) -> list[int]:
        """Points of the scale for two, from "the first is much better" (negative) to the second."""
        return scale_points(self.steps)

    def read_item(self, record: Mapping[str, Any]) -> Content:
        """``prompt``, two to nine ``replies``; perhaps ``policies``, ``source``, ``category``, ``best`` (gold)."""
        check_fields(record, "prompt", "replies", "policies", "category", "best", "feedback")
        texts, policies = replies_of(record, fewest=2, most=MOST)
        if len(set(texts)) < len(texts):
            raise DataError("two replies are the same text: nothing could be learned from them", field="replies")
        content: Content = {"prompt": prompt_of(record), "replies": texts, "policies": policies}
        content |= {name: str(record[name]) for name in ("category", "feedback") if record.get(name)}
        if record.get("best") is not None:
            best = record["best"]
            if not isinstance(best, int) or isinstance(best, bool) or not 0 <= best < len(texts):
                raise DataError(f"expected the number of the best reply, 0 to {len(texts) - 1}", field="best")
            content["best"] = best
        return content

    def places(self, content: Content) -> int:
        """All replies are shuffled."""
        return len(content["replies"])

    def read_answer(self, form: Form, content: Content, order: Sequence[int]) -> Answer:
        """``scale`` for two, ``rank_0``... (1 is best) for more, by place on the screen; ratings, flags, a comment."""
        n = len(order)
        shown_at = {reply: k for k, reply in enumerate(order)}  # number of a reply -> where it stood on the screen
        answer: Answer = {"ranks": None, "strength": None}
        if n == 2:
            point = scale_point(form, self.steps)
            toward_first = -point if order[0] == 0 else point
            answer |= {"strength": abs(point), "ranks": [int(toward_first < 0), int(toward_first > 0)]}
        else:
            places = [read_int(form, f"rank_{k}", 1, n) for k in range(n)]
            if not self.ties and len(set(places)) < n:
                raise DataError("two replies share a place; ties are off in this study", field="rank_0")
            dense = {rank: k for k, rank in enumerate(sorted(set(places)))}
            answer["ranks"] = [dense[places[shown_at[reply]]] for reply in range(n)]
        screen = range(n)
        for axis in self.rated:
            rated = [read_int(form, f"{axis}_{k}", 1, 7) for k in screen]
            answer[axis] = [rated[shown_at[reply]] for reply in range(n)]
        if self.shown_flags:
            ticked = [[flag for flag in self.shown_flags if read_checkbox(form, f"flag_{flag}_{k}")] for k in screen]
            answer["flags"] = [ticked[shown_at[reply]] for reply in range(n)]
        if self.interpret_first:
            written = [read_text(form, f"interpretation_{k}", needed=True) for k in screen]
            answer["interpretations"] = [written[shown_at[reply]] for reply in range(n)]
        return answer | {"comment": read_text(form, "comment") if self.comment else ""}

    def right(self, answer: Answer, content: Content) -> bool | None:
        """Whether the gold item's best reply was put first, alone or tied."""
        if "best" not in content:
            return None
        return bool(answer["ranks"][content["best"]] == 0 and max(answer["ranks"]) > 0)

    def questions(self, answer: Answer) -> dict[str, AnsweredQuestion]:
        """The preference (two), or each place of the order; each rating."""
        ranks = answer["ranks"]
        if len(ranks) == 2:
            side = float(ranks[1] - ranks[0])  # 1: the first is better, -1: the second, 0: cannot say
            questions = {
                "preference": AnsweredQuestion(side, "nominal"),
                "strength": AnsweredQuestion(side * answer["strength"], "interval"),
            }
        else:
            pairs = [(i, j) for i in range(len(ranks)) for j in range(i + 1, len(ranks))]
            sides = {(i, j): (ranks[i] < ranks[j]) - (ranks[i] > ranks[j]) for i, j in pairs}
            questions = {
                f"preference {i}:{j}": AnsweredQuestion(float(side), "nominal") for (i, j), side in sides.items()
            }
        for axis in self.rated:
            questions |= {f"{axis} {k}": AnsweredQuestion(float(v), "ordinal") for k, v in enumerate(answer[axis])}
        return questions

    def comparisons(self, payload: Mapping[str, Any]) -> list[Comparison]:
        """One comparison, ties and strength kept."""
        content, answer = payload["content"], payload["answer"]
        policies = tuple(content["policies"]) if any(content["policies"]) else ()
        return [
            Comparison(
                prompt=Dialogue.from_json(content["prompt"]),
                replies=tuple(content["replies"]),
                ranks=tuple(answer["ranks"]),
                strength=None if answer["strength"] is None else float(answer["strength"]),
                category=content.get("category", ""),
                provenance=Provenance(policies=policies),
            )
        ]


PROTOCOL = Rank()
