"""Whether a reply says yes or no: its last stated verdict, not its first "no"."""

import re

from preflab.rollouts.requests.parse_reply import BOTH, NEITHER, is_question, require_one, sentences
from preflab.rollouts.requests.types import Generation

_OPENERS = r"[\s*_`\"'$({\[<>:=→-]*"
_WORD = r"(?P<word>yes|no|correct|incorrect|true|untrue|false)"
_YES = frozenset({"yes", "correct", "true"})
_VERDICT = re.compile(
    rf"(?:\b(?:answer|verdict|conclusion|decision|judg(?:e)?ment|recommendation)\b"
    rf"(?:\s+(?:is|was|would\s+be|will\s+be|must\s+be|should\s+be|has\s+to\s+be|remains))?"
    rf"|\b(?:so|therefore|thus|hence|overall|ultimately|finally|in\s+short|in\s+the\s+end)\b[\s,]*"
    rf"|\bI(?:'d|'ll|\s+would|\s+will|\s+must|\s+have\s+to)?(?:\s+still)?\s+(?:say|answer|go\s+with|vote)"
    rf"|\[\[|\\boxed\{{(?:\\text\{{)?|<answer>)"
    rf"(?:\s+(?:a|an|clearly|simply|definitely|still|clear|definite|resounding|therefore|thus|then))*"
    rf"{_OPENERS}(?P<denied>not\s+)?{_WORD}\b",
    re.IGNORECASE,
)
"""A word behind what announces a verdict."""
_OPENING = re.compile(
    rf"^{_OPENERS}(?:answer\W+)?(?P<denied>not\s+)?{_WORD}\b(?P<after>.*)$", re.IGNORECASE | re.DOTALL
)
_DETERMINER = re.compile(
    r"^\s+(?!it\b|he\b|she\b|they\b|there\b|the\b|this\b|that\b|these\b|those\b|i\b|we\b|you\b)[a-z]"
)
"""Behind "no": the noun that it goes with, as in "no mistakes"."""
_REASON = re.compile(r"^\s+(?:because|since|as|for|but|and|not|although|though|while|actually)\b", re.IGNORECASE)
_LOOSE = re.compile(r"(?<![\"'])\b(?P<word>yes|no)\b(?![\"'])(?P<after>\W*)", re.IGNORECASE)
_REPORTED = re.compile(
    r"\b(?:says?|said|claims?|claimed|replies|replied|answers|answered|or|neither)\s+\W*$", re.IGNORECASE
)


def parse_yes(generation: Generation, *, none: str = NEITHER, several: str = BOTH) -> bool:
    """Whether a reply says yes.

    What counts, the strongest first: the last word behind what announces a verdict ("Final answer: yes", "so: no");
    the reply's last sentence, where it is the word alone; the word that it opens with; the only one of the two in it.
    "Correct", "true", "incorrect", "false" count as whole sentences and behind "answer". Left out are "no" before a
    noun ("no mistakes"), quoted or reported words, and questions.

    Args:
        none, several  reasons why there is no answer.

    Raises:
        UnreadableResponse: the reply is empty, cut at its limit or within a thought, or says neither or both.
    """
    text = generation.require_answer()
    statements = [sentence for sentence in sentences(text) if not is_question(sentence)]
    verdicts = [match for sentence in statements for match in _VERDICT.finditer(sentence) if _stated(match, sentence)]
    if verdicts:
        return _means_yes(verdicts[-1])
    openings = [(i, match) for i, sentence in enumerate(statements) if (match := _opening(sentence))]
    if openings and openings[-1][0] == len(statements) - 1 and not re.search(r"\w", openings[-1][1]["after"]):
        return _means_yes(openings[-1][1])
    if openings and openings[0][0] == 0:
        return require_one({_means_yes(match) for _, match in openings}, none=none, several=several)
    loose = {word for sentence in statements for word in _loose(sentence)}
    return require_one(loose, none=none, several=several) == "yes"


def reasons_for(responder: str) -> dict[str, str]:
    """The reasons of `parse_yes` with who answered in them: "the model answers neither"."""
    return {"none": NEITHER.replace("judge", responder), "several": BOTH.replace("judge", responder)}


def _means_yes(match: re.Match[str]) -> bool:
    return (match["word"].lower() in _YES) != bool(match["denied"])


def _stated(match: re.Match[str], sentence: str) -> bool:
    """Whether the word is the verdict itself: no determiner ("so no mistakes"), nor the first of two ("yes or no")."""
    after = sentence[match.end() :]
    if re.match(r"\W*\b(?:or|and)\W+(?:yes|no)\b|\s*/", after, re.IGNORECASE):
        return False
    return match["word"].lower() != "no" or not _DETERMINER.match(after) or bool(_REASON.match(after))


def _opening(sentence: str) -> re.Match[str] | None:
    match = _OPENING.match(sentence)
    if match is None:
        return None
    word, after = match["word"].lower(), match["after"]
    if re.match(r"\W*\b(?:or|and)\W+(?:yes|no)\b|\s*/", after, re.IGNORECASE):
        return None
    if word not in ("yes", "no"):
        return None if re.search(r"\w", after) and not re.match(r"\s*[,:-]", after) else match
    if word == "no" and _DETERMINER.match(after) and not _REASON.match(after):
        return None
    return match


def _loose(sentence: str) -> list[str]:
    """The words yes and no of a sentence that are neither determiners nor reported."""
    answers = []
    for match in _LOOSE.finditer(sentence):
        determiner = match["word"].lower() == "no" and re.match(r"\s+[a-z]", sentence[match.end("word") :])
        if determiner or re.search(
            r"(?:\bthe\s+\w+|\bit|\bhe|\bshe)\s+" + _REPORTED.pattern, sentence[: match.start()], re.I
        ):
            continue
        answers.append(match["word"].lower())
    return answers
