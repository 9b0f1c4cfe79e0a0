"""Sentences of a reply, and the choice among several answers."""

import pytest

from preflab.rollouts.requests.parse_reply import is_question, plain, require_one, sentences
from preflab.rollouts.requests.types import UnreadableResponse


def test_one_answer_however_often_it_is_given() -> None:
    assert require_one([3, 3], none="none", several="several") == 3
    for answers, reason in (([], "none"), ([1, 2], "several")):
        with pytest.raises(UnreadableResponse, match=reason):
            require_one(answers, none="none", several="several")


def test_sentences_end_at_stops_lines_and_semicolons_but_not_in_numbers_or_abbreviations() -> None:
    text = "It is A. No; **B.** Costs 1.50, e.g. in Rome.\n\nSo?  "
    assert sentences(text) == ["It is A.", "No;", "**B.", "** Costs 1.50, e.g. in Rome.", "So?"]
    assert [sentence for sentence in sentences(text) if is_question(sentence)] == ["So?"]
    assert is_question('"Is it?"') and not is_question("It is.")


def test_plain_writes_quotation_marks_and_minus_signs_one_way() -> None:
    assert plain("it\u2019s \u201cA\u201d \u2212 3\u20134 \u2014 so") == 'it\'s "A" - 3-4  -  so'
