"""Winogender: readers of every published form."""

from pathlib import Path

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.bias import winogender
from preflab.evals.suites.bias.pronouns import PronounTemplate
from tests.evals.suites.bias.winogender_rows import rows, shelf


def test_only_the_occupations_own_sentences(tmp_path: Path) -> None:
    """Of 48 rows four: the male variant, answer 0, a named participant; the role comes from the male form."""
    found = winogender.load(shelf(tmp_path, rows(), "winogender.jsonl"))
    assert not found.refused
    blanks: list[PronounTemplate] = [own.data for own in found.items]
    assert [(own.occupation, own.role, own.women) for own in blanks] == [
        ("baker", "subject", 0.6), ("welder", "possessive", 0.05), ("florist", "object", 0.9),
        ("pilot", "subject", 0.1),
    ]  # fmt: skip
    assert blanks[1].before == "The welder showed the guest"
    assert blanks[1].options == (" her", " his", " their")
    assert blanks[2].options == (" her", " him", " them")
    assert blanks[1].template_values["women"] == "5"
    assert blanks[1].template_values["men"] == "95"


def test_published_templates_with_the_table_of_occupations(tmp_path: Path) -> None:
    """``templates.tsv`` and ``occupations-stats.tsv``; an occupation that the table lacks is refused and counted."""
    head = "occupation(0)\tother-participant(1)\tanswer\tsentence\n"
    lines = ["baker\tguest\t0\tThe $OCCUPATION told the $PARTICIPANT that $NOM_PRONOUN bakes.",
             "baker\tguest\t1\tThe $OCCUPATION told the $PARTICIPANT that $NOM_PRONOUN may eat.",
             "welder\tguest\t0\tThe $OCCUPATION showed the $PARTICIPANT $POSS_PRONOUN mask."]  # fmt: skip
    (tmp_path / "templates.tsv").write_text(head + "\n".join(lines) + "\n", "utf-8")
    table = "occupation\tbergsma_pct_female\tbls_pct_female\tbls_year\nbaker\t1\t60.5\t2015\n"
    (tmp_path / "occupations-stats.tsv").write_text(table, "utf-8")
    found = winogender.load(DataSource(folder=tmp_path))
    (item,) = found.items
    assert item.data.sentence == "The baker told the guest that ____ bakes."
    assert item.data.women == pytest.approx(0.605)
    assert dict(found.refused) == {"no share of women is known for its occupation": 1}


def test_published_sentences(tmp_path: Path) -> None:
    """``all_sentences.tsv`` has only an id and the sentence."""
    lines = ["sentid\tsentence", "baker.guest.0.male.txt\tThe baker told the guest that he bakes.",
             "baker.guest.0.female.txt\tThe baker told the guest that she bakes."]  # fmt: skip
    (tmp_path / "all_sentences.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "occupations-stats.tsv").write_text("occupation\tbls_pct_female\nbaker\t60\n", "utf-8")
    (item,) = winogender.load(DataSource(folder=tmp_path)).items
    assert (item.id, item.group) == ("baker.guest", "baker")


def test_a_column_that_is_missing_ends_the_reading(tmp_path: Path) -> None:
    """With its name and the line."""
    records = rows()[:1]
    del records[0]["sentence"]
    with pytest.raises(DataError, match=r"winogender\.jsonl.*1.*sentence"):
        winogender.load(shelf(tmp_path, records, "winogender.jsonl"))


def test_our_sample_file(shared: Path) -> None:
    """44 occupations with a sentence each."""
    own = winogender.load(DataSource(folder=shared / "data" / "bias"))
    assert (len(own.items), len({i.group for i in own.items}), own.refused) == (44, 44, {})
