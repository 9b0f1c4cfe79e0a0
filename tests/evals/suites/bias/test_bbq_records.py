"""Records of BBQ: persons, groups, and which answer agrees with the stereotype."""

from typing import Any

import pytest

from preflab.evals.suites.bias.bbq_records import parse, read_targets
from tests.evals.suites.bbq_records import block


def _races(index: int, first: str, second: str, n: int) -> dict[str, Any]:
    """An intersectional record; only the race of the stereotyped person is named."""
    return block(n)[0] | {
        "category": "Race_x_SES",
        "question_index": str(index),
        "example_id": n,
        "answer_info": {"ans0": ["a", first], "ans1": ["b", second], "ans2": ["Not known", "unknown"]},
        "additional_metadata": {"stereotyped_groups": ["Martian"]},
    }


def test_intersections_take_the_second_attribute_from_their_question() -> None:
    """Where one person is Martian that one is meant, always of low SES; so it is where both are."""
    records = [
        _races(1, "lowSES-Martian", "highSES-Venusian", 1),
        _races(1, "highSES-M-Venusian", "lowSES-M-Martian", 2),
        _races(1, "highSES-F-Martian", "lowSES-F-Martian", 3),
        _races(2, "highSES-Martian", "lowSES-Martian", 4),
    ]
    targets = read_targets(records)
    assert [targets.from_groups(parse(own)) for own in records] == [0, 1, 1, None]


@pytest.mark.parametrize(
    ("tag", "words", "groups", "fits"),
    [
        ("nonOld", "x", ["old"], False),
        ("lowSES", "poor", ["low SES"], True),
        ("woman", "woman", ["F"], True),
        ("trans_F", "x", ["Transgender women", "transgender men", "trans"], True),
        ("nonTrans_M", "x", ["Transgender women", "transgender men", "trans"], False),
        ("Africa", "Kenyan", ["Eritrean", "Kenyan"], True),
        ("M-Black", "Black man", ["Black", "African American"], True),
        ("African", "African", ["Black", "African American"], False),
        ("F-Native American", "x", ["Native American"], True),
    ],
)
def test_tags_and_groups(tag: str, words: str, groups: list[str], fits: bool) -> None:
    """Tags say the same in several spellings, and some groups stand in the wording alone."""
    record = block()[0]
    record["answer_info"] = {"ans0": [words, tag], "ans1": ["q", "Q"], "ans2": ["Not known", "unknown"]}
    record["additional_metadata"] = {"stereotyped_groups": groups}
    own = parse(record)
    assert bool(own.persons[0].groups & own.groups) is fits
