"""Studies from YAML: what is wrong is named, and what is right comes back from the store unchanged."""

from pathlib import Path

import pytest

from preflab.errors import DataError, StudyError
from preflab.feedback.protocols import PROTOCOLS
from preflab.feedback.protocols.chat import Chat
from preflab.feedback.study import StudyDefinition, load_study, parse_study

CHAT = "name: s\nprotocol: chat\npolicies: [{name: p, model: tiny}]\n"


def test_a_definition_survives_the_store() -> None:
    text = CHAT + "settings: {mode: red-team, steps: 9}\nlease_minutes: 5\nexposure_cap: 3\ntitle: 'Ä: title'\n"
    found = parse_study(text).definition
    assert isinstance(found.protocol, Chat) and found.protocol.mode == "red-team" and found.lease_ms == 300_000
    assert StudyDefinition.from_mapping(found.to_json()) == found


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_protocol_survives_the_store(name: str) -> None:
    found = parse_study(f"name: s\nprotocol: {name}\npolicies: [{{name: p, model: tiny}}]\n").definition
    assert StudyDefinition.from_mapping(found.to_json()) == found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "key: value"),
        ("name: [", "the study:1"),
        ("protocol: rank", "name: expected a text"),
        ("name: S!\nprotocol: rank", "letters a-z"),
        ("name: s\nprotocol: ranks", "did you mean 'rank'"),
        ("name: s\nprotocol: rank\nslot: 3", "did you mean 'slots'"),
        ("name: s\nprotocol: rank\nslots: x", "slots must be"),
        ("name: s\nprotocol: rank\nslots: 0", r"\[1, 1000\]"),
        ("name: s\nprotocol: rank\nsettings: {step: 3}", "settings: unknown field 'step'; did you mean 'steps'"),
        ("name: s\nprotocol: rank\nsettings: {steps: 30}", r"\[2, 11\]"),
        ("name: s\nprotocol: chat", "at least one that answers"),
        (CHAT + "gold_every: 1", "gold items only"),
        ("name: s\nprotocol: rank\nname: t", "stands here a second time"),
        ("name: s\nprotocol: rank\nslots: 100000000", r"\[1, 1000\]"),
        ("name: s\nprotocol: rank\nitems: [{prompt: p, replies: [a, a]}]", "the same text"),
        ("name: s\nprotocol: rank\nitems: rows.jsonl", "works from the command line"),
        ("name: s\nprotocol: chat\npolicies: [{name: p}]", "exactly one of model, run and url"),
        ("name: s\nprotocol: chat\npolicies: [{name: p, model: a, key: b}]", "unknown field 'key'"),
        ("name: s\nprotocol: chat\npolicies: [{name: p, model: a}, {name: p, model: b}]", "the same name"),
        ("name: s\nprotocol: chat\npolicies: [{name: p, url: 'http://u:p@h/', served_name: m}]", "password"),
        ("name: s\nprotocol: questions\nitems: [{question: q, options: [a, b]}]", "policy that helps"),
        ("name: s\nprotocol: rule-judge\nitems: [{name: a, ITEM}, {name: a, ITEM}]", "two items are called 'a'"),
    ],
)
def test_what_is_wrong_is_named(text: str, complaint: str) -> None:
    with pytest.raises((StudyError, DataError), match=complaint):
        parse_study(text.replace("ITEM", "rule: no_body, messages: [{role: assistant, content: x}]"))


def test_an_item_file_is_read_beside_the_study_and_its_lines_are_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "p", "replies": ["a", "b"]}\n{"prompt": "p", "replies": ["a"]}\n')
    (tmp_path / "s.yaml").write_text("name: s\nprotocol: rank\nitems: rows.jsonl\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:2 \[replies\]: expected 2 to 9 replies, got 1"):
        load_study(tmp_path / "s.yaml")


def test_gold_must_say_what_is_right() -> None:
    with pytest.raises(DataError, match=r"\[best\]: a gold item must say what is right"):
        parse_study("name: s\nprotocol: rank\ngold: [{prompt: p, replies: [a, b]}]")


def test_about_the_asked_share_of_items_is_repeated_and_always_the_same() -> None:
    items = "\n".join(f"  - {{prompt: p{n}, replies: [a, b]}}" for n in range(400))
    text = f"name: s\nprotocol: rank\nrepeat_share: 0.25\nitems:\n{items}\n"
    again = [item.repeat for item in parse_study(text).items]
    assert again == [item.repeat for item in parse_study(text).items]
    assert abs(sum(again) - 100) < 4 * 8.7  # sqrt(400 * 0.25 * 0.75) = 8.7


def test_the_study_of_the_how_to_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "collect.md").read_text("utf-8")
    (study, *_) = (block.partition("```")[0] for block in page.split("```yaml\n")[1:])
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "p", "replies": ["a", "b"]}\n')
    (tmp_path / "study.yaml").write_text(study)
    assert [item.purpose for item in load_study(tmp_path / "study.yaml").items] == ["main", "gold", "practice"]
