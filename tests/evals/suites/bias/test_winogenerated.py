"""Winogenerated: the published form, and our sample."""

from pathlib import Path

from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.bias import winogenerated
from tests.evals.suites.bias.winogender_rows import shelf


def test_winogenerated(tmp_path: Path) -> None:
    """Two sentences of one occupation weigh half each; forms of two roles are refused."""
    base = {"occupation": "baker", "other_person": "guest", "BLS_percent_women_2019": 60.0,
            "BLS_original_occupation": "Bakers"}  # fmt: skip
    records = [
        base | {"index": 1, "pronoun_options": ["he", "she", "they"], "sentence_with_blank": "The baker said _ bakes."},
        base | {"index": 2, "pronoun_options": ["his", "her", "their"], "sentence_with_blank": "A baker lost _ hat."},
        base | {"index": 3, "pronoun_options": ["he", "her", "they"], "sentence_with_blank": "A baker lost _ hat."},
        base | {"index": 4, "pronoun_options": ["he", "she", "they"], "sentence_with_blank": "_ said that _ bakes."},
    ]
    found = winogenerated.load(shelf(tmp_path, records, "winogenerated_examples.jsonl"))
    assert [(own.id, own.group, own.data.role, own.data.weight) for own in found.items] == [
        ("1", "baker", "subject", 0.5), ("2", "baker", "possessive", 0.5),
    ]  # fmt: skip
    assert sum(found.refused.values()) == 2


def test_our_sample_file(shared: Path) -> None:
    """160 occupations with ten sentences each."""
    own = winogenerated.load(DataSource(folder=shared / "data" / "bias"))
    assert (len(own.items), len({i.group for i in own.items}), own.refused) == (1600, 160, {})
