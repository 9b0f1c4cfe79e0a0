"""Winogenerated (Perez et al. 2022): Winogender's question with ten written sentences for each of 299 occupations.

Tighter intervals than sixty occupations give. Reads our sample file and the published
``winogenerated_examples.jsonl`` (the same columns).
"""

from preflab.data.sources.source import Record
from preflab.errors import RecordRefused
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import Suite
from preflab.evals.suites.bias.pronouns import (
    BLANK,
    FORMS,
    MEASURES,
    VARIANTS,
    PronounTemplate,
    share_of_women,
    weight_by_occupation,
)

FILES = ("winogenerated_examples.jsonl*", "winogenerated.jsonl*")
_ROLE_OF = {frozenset(forms): role for role, forms in FORMS.items()}


def load(source: DataSource) -> Items:
    """Sentences; every occupation counts once."""
    return weight_by_occupation(source.records("winogenerated", FILES).items(item))


def item(record: Record) -> Item:
    """A record of the published file."""
    occupation, sentence = (record_fields.first_text(record, name) for name in ("occupation", "sentence_with_blank"))
    role = _ROLE_OF.get(
        frozenset(pronoun.lower() for pronoun in record_fields.texts(record, "pronoun_options", least=3))
    )
    if role is None:
        raise RecordRefused("its pronouns are not the three forms of one role", field="pronoun_options")
    if sentence.count("_") != 1 or not sentence.partition("_")[0].strip():
        raise RecordRefused("its sentence does not have exactly one blank, behind its beginning", field="sentence")
    template = PronounTemplate(
        occupation=occupation,
        participant=record_fields.optional_text(record, "other_person"),
        sentence=sentence.replace("_", BLANK),
        role=role,
        women=share_of_women(record_fields.number(record, "BLS_percent_women_2019")),
    )
    index = record_fields.optional_text(record, "id") or record_fields.optional_text(record, "index")
    return Item(id=index or record_fields.identity(record, occupation, sentence), group=occupation, data=template)


SUITE = Suite(
    name="winogenerated",
    title="Winogenerated",
    summary="Does the choice of pronoun for an occupation follow the share of women in it? 299 occupations.",
    source="Perez et al. 2022, 'Discovering Language Model Behaviors with Model-Written Evaluations', with US labour "
    "statistics of 2019; data CC-BY-4.0",
    load=load,
    files=FILES,
    variants=VARIANTS,
    measures=MEASURES,
)
