"""Compare two clips of behaviour: one is better, they are about the same, or it cannot be told.

Source: Christiano et al. 2017, sec. 2.2.2 and appendix B: two films of one to two seconds side by side, four answers,
arrow keys. Which clip stands on which side is drawn by a keyed hash, as for all protocols, and answers are kept in
terms of the clips: ``left`` is the item's first clip, wherever it stood on the screen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from preflab.data.comparison import Comparison
from preflab.errors import DataError
from preflab.feedback.protocols.protocol import (
    Answer,
    AnsweredQuestion,
    Content,
    Form,
    check_fields,
    field_of,
    read_text,
)
from preflab.feedback.video_store import is_video_name

RESPONSES = ("left", "right", "tie", "cannot tell")
"""What may be answered; of the clips as the item has them."""
_PREFERENCE = {"left": 1.0, "right": -1.0, "tie": 0.0}
_RANKS = {"left": [0, 1], "right": [1, 0], "tie": [0, 0], "cannot tell": None}


_EXAMPLE = """\
name: which-clip
protocol: clips
title: Which clip is better?
instructions: >
  Two clips of a hopping robot. Choose the one in which better things happen: the robot moves to the right, and the
  higher its middle the better where they move alike. Judge by what you see in the clip alone.
items:                  # a run that asks people adds its own; films are named by their sha256
  - films:
      - FIRST.gif
      - SECOND.gif
""".replace("FIRST", "0" * 64).replace("SECOND", "1" * 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """Settings of comparing clips."""

    name: ClassVar[str] = "clips"
    version: ClassVar[int] = 1
    live_replies: ClassVar[int] = 0
    template: ClassVar[str] = "clips.html.j2"
    examples: ClassVar[Mapping[str, str]] = {"clips": _EXAMPLE}
    gold_field: ClassVar[str] = "best"
    needs_policies: ClassVar[bool] = False
    responses: ClassVar[tuple[str, ...]] = RESPONSES
    comment: bool = False
    """Offer a field for a remark; without it every answer is one key."""
    growing: bool = True
    """Whether more may come while people judge: who has judged all is told to wait, and the page looks again."""

    def read_item(self, record: Mapping[str, Any]) -> Content:
        """``films``: names of two; ``clips``, ``step``, ``run``: numbers, age and whose; ``best`` (gold): 0 or 1."""
        check_fields(record, "films", "clips", "step", "run", "best", "feedback")
        films = field_of(record, "films", list, "the names of two films")
        if len(films) != 2 or not all(is_video_name(film) for film in films):
            raise DataError(f"expected two names (a sha256, a dot, gif or webp), got {films!r:.200}", field="films")
        if films[0] == films[1] and "clips" not in record:  # of a run two clips may look alike, and are a tie
            raise DataError("both films are the same: there is nothing to compare", field="films")
        content: Content = {"films": list(films)}
        if "clips" in record:
            clips = field_of(record, "clips", list, "the numbers of two clips")
            if len(clips) != 2 or not all(isinstance(k, int) and not isinstance(k, bool) for k in clips):
                raise DataError(f"expected two whole numbers, got {clips!r:.200}", field="clips")
            content["clips"] = list(clips)
        if "step" in record:
            content["step"] = field_of(record, "step", int, "a whole number")
        if "run" in record:
            content["run"] = field_of(record, "run", str, "a name")
        if record.get("best") is not None:
            best = record["best"]
            if isinstance(best, bool) or best not in (0, 1):
                raise DataError(f"expected the number of the better film, 0 or 1, got {best!r:.20}", field="best")
            content["best"] = best
        return content | ({"feedback": str(record["feedback"])} if record.get("feedback") else {})

    def places(self, content: Content) -> int:
        """Two films, in either order."""
        del content
        return 2

    def read_answer(self, form: Form, content: Content, order: Sequence[int]) -> Answer:
        """``answer``: left, right, tie or cannot tell, as seen on the screen; turned into the item's own sides."""
        del content
        response = form.get("answer", "")
        if response not in RESPONSES:
            complaint = f"got {response!r:.20}" if response else "nothing was chosen"
            raise DataError(f"expected one of {', '.join(RESPONSES)}; {complaint}", field="answer")
        if response in ("left", "right"):
            response = RESPONSES[order[RESPONSES.index(response)]]
        comment = read_text(form, "comment") if self.comment else ""
        return {"response": response, "ranks": _RANKS[response], "comment": comment}

    def right(self, answer: Answer, content: Content) -> bool | None:
        """Whether the gold item's better film was chosen."""
        if "best" not in content:
            return None
        return bool(answer.get("response") == RESPONSES[content["best"]])

    def questions(self, answer: Answer) -> dict[str, AnsweredQuestion]:
        """The answer; and the preference where there is one, a tie being half way."""
        response = answer["response"]
        questions = {"answer": AnsweredQuestion(response, "nominal")}
        if response in _PREFERENCE:
            questions["preference"] = AnsweredQuestion(_PREFERENCE[response], "nominal")
        return questions

    def comparisons(self, payload: Mapping[str, Any]) -> list[Comparison]:
        """None: clips are no texts. Whoever learns a reward from them reads the answers themselves."""
        del payload
        return []


PROTOCOL = Clips()
