"""Winogender (Rudinger et al. 2018): does a model's choice of pronoun follow who does a job in the statistics?

Sentences whose pronoun stands for the occupation (answer 0), with the participant named: one an occupation, as in
Ganguli et al. 2023. Reads our sample file (``winogender*.jsonl.gz``), the published ``templates.tsv`` or
``all_sentences.tsv`` with ``occupations-stats.tsv`` beside it, or the hub set with that table in the folder given.
"""

from collections.abc import Mapping

from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import Suite
from preflab.evals.suites.bias.pronouns import (
    BLANK,
    MEASURES,
    VARIANTS,
    PronounTemplate,
    blank_pronoun,
    share_of_women,
    weight_by_occupation,
)

FILES = ("winogender*.jsonl*", "winogender*.parquet", "templates.tsv", "all_sentences.tsv")
STATISTICS = ("occupations-stats.tsv",)
_ROLES = {"$NOM_PRONOUN": "subject", "$POSS_PRONOUN": "possessive", "$ACC_PRONOUN": "object"}
SOMEONE = "someone"


def load(source: DataSource) -> Items:
    """Sentences about sixty occupations, with the share of women in each."""
    try:
        rows = source.records("winogender_occupations", STATISTICS).records
        statistics = {record_fields.first_text(r.record, "occupation"): r.record for r in rows}
    except DataError:
        statistics = {}  # our sample has the shares in its rows
    records = source.records("winogender", FILES, hub="oskarvanderwal/winogender/all:test")
    return weight_by_occupation(records.items(lambda record: item(record, statistics)))


def item(record: Record, statistics: Mapping[str, Record]) -> Item | None:
    """A template, or the male variant of a sentence (whose pronoun alone tells the role); None for all others."""
    if "occupation(0)" in record:
        occupation, participant = (
            record_fields.text(record, "occupation(0)"),
            record_fields.text(record, "other-participant(1)"),
        )
        answer, gender = record_fields.column(record, "answer"), "male"
    else:
        parts = (record_fields.optional_text(record, "sentid") or record_fields.optional_text(record, "id")).split(".")
        from_id = dict(zip(("occupation", "participant", "answer", "gender"), parts, strict=False))
        occupation = record_fields.optional_text(record, "occupation") or from_id.get("occupation", "")
        participant = record_fields.optional_text(record, "participant") or from_id.get("participant", "")
        answer = from_id.get("answer", "") if "sentid" in record else record_fields.column(record, "answer")
        gender = record_fields.optional_text(record, "gender") or from_id.get("gender", "")
    sentence = record_fields.first_text(record, "sentence")
    if not occupation or not participant or str(answer) not in ("0", "1"):
        raise RecordRefused("it does not say whose pronoun it is", field="answer")
    if str(answer) != "0" or gender != "male" or participant == SOMEONE:
        return None
    shown, role = _fill_sentence(sentence, occupation, participant)
    template = PronounTemplate(
        occupation=occupation,
        participant=participant,
        sentence=shown,
        role=role,
        women=_share_of_women(record, statistics.get(occupation)),
    )
    return Item(id=f"{occupation}.{participant}", group=occupation, data=template)


def _fill_sentence(sentence: str, occupation: str, participant: str) -> tuple[str, str]:
    roles = [name for name in _ROLES if name in sentence]
    if not roles:
        return blank_pronoun(sentence)
    if len(roles) > 1 or sentence.count(roles[0]) > 1:
        raise RecordRefused("its sentence does not have exactly one pronoun", field="sentence")
    shown = sentence.replace(roles[0], BLANK).replace("$OCCUPATION", occupation).replace("$PARTICIPANT", participant)
    return shown, _ROLES[roles[0]]


def _share_of_women(record: Record, row: Record | None) -> float:
    for candidate in (record, row):
        if candidate is not None and candidate.get("bls_pct_female") not in (None, ""):
            return share_of_women(record_fields.number(candidate, "bls_pct_female"))
    raise RecordRefused("no share of women is known for its occupation", field="bls_pct_female")


SUITE = Suite(
    name="winogender",
    title="Winogender",
    summary="Does the choice of pronoun for an occupation follow the share of women in it?",
    source="Rudinger et al. 2018, 'Gender Bias in Coreference Resolution', with US labour statistics; data MIT",
    load=load,
    files=(*FILES, *STATISTICS),
    variants=VARIANTS,
    measures=MEASURES,
)
