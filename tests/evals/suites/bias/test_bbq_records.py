"""Records of BBQ: persons, groups, and which answer agrees with the stereotype."""

import math
from typing import Any

import pytest

from preflab.errors import DataError, RecordRefused
from preflab.evals.suites.bias.bbq_records import StereotypeTargets, parse, read_question, read_targets
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


def variants(**more: Any) -> list[dict[str, Any]]:
    """Three templates of four records: the first group, at position 0 or 1, is the stereotyped one."""
    return [record for n in (1, 2, 3) for record in block(n, unknown=n - 1, **more)]


def group_position(record: dict[str, Any]) -> int:
    """Where the stereotyped group stands."""
    tags = [record["answer_info"][f"ans{i}"][1] for i in range(3)]
    return tags.index("old")


def stereotyped(record: dict[str, Any]) -> int:
    """By the definition: the group for a question that asks for something bad, the other person otherwise."""
    tags = [record["answer_info"][f"ans{i}"][1] for i in range(3)]
    return tags.index("old" if record["question_polarity"] == "neg" else "nonOld")


def test_the_stereotyped_answer_turns_with_the_question() -> None:
    targets = read_targets(variants())
    for record in variants():
        question = read_question(record, parse(record), targets)
        assert question.stereotyped == stereotyped(record)
        assert {question.stereotyped, question.other, question.unknown} == {0, 1, 2}
        assert math.isnan(question.agree)  # only the groups are at hand


@pytest.mark.parametrize("position", [stereotyped, group_position], ids=["of the answer", "of the group"])
@pytest.mark.parametrize("beside", [True, False])
def test_which_position_a_file_means_is_read_off_its_items(position: Any, beside: bool) -> None:
    """Both conventions end in the same answers; in the records themselves or in the file of metadata."""
    records = variants()
    rows = [{"category": r["category"], "example_id": r["example_id"], "target_loc": position(r)} for r in records]
    if not beside:
        records = [record | {"target_loc": row["target_loc"]} for record, row in zip(records, rows, strict=True)]
    targets = read_targets(records, rows if beside else ())
    assert targets.of_group == (position is group_position)
    for record in records:
        assert targets.resolve(parse(record)) == (stereotyped(record), 1.0)


def test_where_the_conventions_differ_the_published_position_is_taken_and_noted() -> None:
    records = variants()
    wrong = 3 - stereotyped(records[0]) - parse(records[0]).unknown
    records = [r | {"target_loc": stereotyped(r)} for r in records]
    records[0] |= {"target_loc": wrong}
    assert read_targets(records).resolve(parse(records[0])) == (wrong, 0.0)


@pytest.mark.parametrize("place", ["", "NA", "x", None, 3, -1, 0.5])
def test_a_position_that_is_none_leaves_the_groups_to_tell(place: object) -> None:
    record = block()[0] | {"target_loc": place}
    answer, agree = StereotypeTargets().resolve(parse(record))
    assert answer == stereotyped(record) and math.isnan(agree)


def test_where_neither_tells_the_record_is_refused() -> None:
    record = block()[0] | {"additional_metadata": {"stereotyped_groups": ["Martian"]}}
    with pytest.raises(RecordRefused, match="do not tell which answer agrees"):
        StereotypeTargets().resolve(parse(record))
    with_unknown = record | {"target_loc": parse(record).unknown}  # a position that nobody stands at
    with pytest.raises(RecordRefused, match="do not tell"):
        StereotypeTargets().resolve(parse(with_unknown))


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"question_polarity": "negative"}, RecordRefused, "question_polarity"),
        ({"context_condition": "clear"}, RecordRefused, "question_polarity"),
        ({"answer_info": {"ans0": ["a", "old"], "ans1": ["b", "nonOld"], "ans2": ["c", "old"]}}, RecordRefused, "info"),
        ({"answer_info": {"ans0": "a", "ans1": ["b", "nonOld"], "ans2": ["c", "unknown"]}}, RecordRefused, "info"),
        ({"answer_info": "not {an object"}, RecordRefused, "info"),
        ({"answer_info": [1, 2]}, DataError, "info"),
        ({"label": 0}, RecordRefused, "label"),  # the first block's first record leaves open who it was
        ({"label": 7}, DataError, "label"),
    ],
)
def test_what_is_wrong_with_a_record_is_told_by_its_field(
    changes: dict[str, Any], error: type[Exception], field: str
) -> None:
    with pytest.raises((error, RecordRefused)) as raised:
        parse(block()[0] | changes)
    assert field in str(getattr(raised.value, "field", ""))


def test_objects_may_be_written_out_as_text() -> None:
    plain = block()[0]
    written = plain | {name: str(plain[name]) for name in ("answer_info", "additional_metadata")}
    assert parse(written) == parse(plain)
    groups = plain | {"additional_metadata": {"stereotyped_groups": "['old', \"Old people\"]"}}
    assert parse(groups).groups == {"old", "old people"}


def test_records_that_cannot_be_read_do_not_stop_the_reading_of_the_others() -> None:
    broken: list[dict[str, Any]] = [{}, block()[0] | {"label": 0}, block()[0] | {"answer_info": 3}]
    assert read_targets([*broken, *variants()]) == read_targets(variants())
