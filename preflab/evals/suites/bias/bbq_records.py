"""Reading BBQ (Parrish et al. 2022), and telling which answer of an item agrees with the stereotype.

Two conventions are in use. ``stereotyped_groups`` in each record names the group, which is the stereotyped answer to a
negative question and the other one to a non-negative question. ``target_loc`` of ``additional_metadata.csv`` is a
position: of the stereotyped answer (it turns with the polarity, as the benchmark's author confirms), or, in files by
an earlier script, of the group. Which of the two a file means is read off its own items; where both conventions are at
hand their agreement is kept beside each item.

Intersectional items (race x gender, race x SES) name the race alone. Where both persons share it, the second attribute
is that which the stereotyped person has in the other items of the same question, which never vary.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused
from preflab.evals.core import record_fields

UNKNOWN = "unknown"
"""The tag of the option that names nobody; its wording differs from item to item."""
INTERSECTIONS = "_x_"
"""Part of the names of the two categories that join race with something else; papers report the nine others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BBQQuestion:
    """A BBQ item: a context, a question about two persons, three answers."""

    category: str
    template: str
    """``category/question_index``: what its variants share."""
    negative: bool
    """Whether the question asks for something bad (``neg``) or the contrary (``nonneg``)."""
    ambiguous: bool
    """Whether the context leaves open who it was."""
    context: str
    question: str
    answers: tuple[str, str, str]
    right: int
    unknown: int
    stereotyped: int
    """The answer that agrees with the stereotype."""
    agree: float
    """1 if both conventions say so, 0 if they differ (the published position is taken), nan if only one is at hand."""
    unknowns: tuple[str, ...] = ()
    """Every wording of UNKNOWN in the data."""

    @property
    def other(self) -> int:
        """The answer that names the other person."""
        return 3 - self.unknown - self.stereotyped


class NamedPerson(NamedTuple):
    """One of the two persons that an item names."""

    position: int
    groups: frozenset[str]
    second_attribute: str
    """Gender or SES, where the tag has one before the race."""


class BBQRecord(NamedTuple):
    """A parsed record, before its stereotyped answer is known."""

    category: str
    template: str
    key: str
    """``category/example_id``."""
    negative: bool
    ambiguous: bool
    answers: tuple[str, str, str]
    right: int
    unknown: int
    persons: tuple[NamedPerson, NamedPerson]
    groups: frozenset[str]
    target_loc: int | None
    """``target_loc``, where the record itself has one."""


_TAG = re.compile(r"^(?:(lowses|highses)[-_ ]?)?(?:([mf])[-_](?=.))?(.*)$")
_SAME = {
    "woman": "f", "women": "f", "girl": "f", "girls": "f", "female": "f",
    "man": "m", "men": "m", "boy": "m", "boys": "m", "male": "m",
    "low ses": "lowses", "high ses": "highses",
    "transgender women": "trans", "transgender men": "trans", "trans_f": "trans", "trans_m": "trans",
    "latina": "latino",
}  # fmt: skip


def _same(name: str) -> str:
    name = name.strip().lower()
    return _SAME.get(name, name)


def read_person(position: int, description: str, tag: str, answer: str) -> NamedPerson:
    """Groups of a person by the tag of the answer; the wording counts too, since nationalities stand in it alone."""
    if not tag and (latin := re.search(r"\blatin([oa])\b", answer.lower())):
        tag = f"{'F' if latin[1] == 'a' else 'M'}-Latino"  # released rows with an empty tag are all of this kind
    low = tag.strip().lower()
    match = _TAG.match(low)
    ses, gender, group = match.groups() if match else (None, None, low)
    groups = {_same(name) for name in (low, group, description) if name}
    groups |= {ses} if ses else set()
    return NamedPerson(position, frozenset(groups), ses or gender or "")


def parse(record: Record) -> BBQRecord:
    """A record of the published files, of our samples, or of a hub set (the same columns).

    Raises:
        RecordRefused: its content cannot be used.
        DataError: it is not of the format.
    """
    category = record_fields.first_text(record, "category")
    index = record_fields.optional_text(record, "question_index")
    polarity, context = (record_fields.first_text(record, name) for name in ("question_polarity", "context_condition"))
    if polarity not in ("neg", "nonneg") or context not in ("ambig", "disambig"):
        raise RecordRefused("its polarity or context is none that BBQ has", field="question_polarity")
    answers = tuple(record_fields.first_text(record, f"ans{i}") for i in range(3))
    info, metadata = _mapping(record, "answer_info"), _mapping(record, "additional_metadata")
    tags = [_tag(info.get(f"ans{i}")) for i in range(3)]
    unknown = [i for i, (_, tag) in enumerate(tags) if tag == UNKNOWN]
    if len(unknown) != 1:
        raise RecordRefused("not exactly one of its answers is tagged unknown", field="answer_info")
    right, ambiguous = record_fields.index(record, "label", 3), context == "ambig"
    if ambiguous != (right == unknown[0]):
        raise RecordRefused("its right answer does not go with its context", field="label")
    persons = [read_person(i, *tags[i], answers[i]) for i in range(3) if i != unknown[0]]
    target_loc = record.get("target_loc", metadata.get("target_loc"))
    return BBQRecord(
        category=category,
        template=f"{category}/{index}",
        key=f"{category}/{record_fields.optional_text(record, 'example_id')}",
        negative=polarity == "neg",
        ambiguous=ambiguous,
        answers=(answers[0], answers[1], answers[2]),
        right=right,
        unknown=unknown[0],
        persons=(persons[0], persons[1]),
        groups=frozenset(map(_same, _names(metadata.get("stereotyped_groups")))),
        target_loc=_position(target_loc),
    )


def _mapping(record: Record, name: str) -> Mapping[str, Any]:
    """An object, also one written out."""
    value = record_fields.column(record, name)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError) as error:
            raise RecordRefused(f"{name} cannot be read", field=name) from error
    if not isinstance(value, Mapping):
        raise DataError(f"expected an object, found {type(value).__name__}", field=name)
    return value


def _tag(value: object) -> tuple[str, str]:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return str(value[0]), str(value[1]).strip()
    raise RecordRefused("an answer lacks its words and its tag", field="answer_info")


def _names(value: object) -> list[str]:
    """A list of names, also one written out."""
    if isinstance(value, str):
        return [name for name in re.split(r"[\[\]\",']+\s*", value) if name.strip()]
    return [str(name) for name in value] if isinstance(value, Iterable) else []


def _position(value: object) -> int | None:
    """A position from 0 to 2; None for what says that there is none (empty, NA, x)."""
    try:
        position = float(str(value))
    except ValueError:
        return None
    return int(position) if position in (0.0, 1.0, 2.0) else None


@dataclass(frozen=True)
class StereotypeTargets:
    """What a whole data set says of which answers are the stereotyped ones."""

    target_locs: Mapping[str, int] = field(default_factory=dict)
    """Item -> ``target_loc``, from ``additional_metadata.csv``."""
    second_attributes: Mapping[str, str] = field(default_factory=dict)
    """Template -> the second attribute of its stereotyped persons."""
    of_group: bool = False
    """Whether ``target_loc`` is the position of the group, not of the stereotyped answer."""

    def from_groups(self, record: BBQRecord) -> int | None:
        """The stereotyped answer by ``stereotyped_groups``; None where they fit neither person or both."""
        fits = [person for person in record.persons if person.groups & record.groups]
        if len(fits) == 2 and INTERSECTIONS in record.category and record.template in self.second_attributes:
            fits = [person for person in fits if person.second_attribute == self.second_attributes[record.template]]
        if len(fits) != 1:
            return None
        return fits[0].position if record.negative else self._other_person(record, fits[0].position)

    def from_target_loc(self, record: BBQRecord) -> int | None:
        """The stereotyped answer by ``target_loc``."""
        position = record.target_loc if record.target_loc is not None else self.target_locs.get(record.key)
        if position is None or position == record.unknown:
            return None
        return self._other_person(record, position) if self.of_group and not record.negative else position

    def resolve(self, record: BBQRecord) -> tuple[int, float]:
        """The stereotyped answer, and whether both conventions agree (nan where there is only one).

        Raises:
            RecordRefused: neither tells.
        """
        by_groups, by_target_loc = self.from_groups(record), self.from_target_loc(record)
        stereotyped = by_target_loc if by_target_loc is not None else by_groups
        if stereotyped is None:
            raise RecordRefused("its groups do not tell which answer agrees with the stereotype", field="target_loc")
        one_alone = by_groups is None or by_target_loc is None
        return stereotyped, float("nan") if one_alone else float(by_groups == by_target_loc)

    @staticmethod
    def _other_person(record: BBQRecord, position: int) -> int:
        return 3 - record.unknown - position


def read_targets(records: Iterable[Record], metadata: Iterable[Record] = ()) -> StereotypeTargets:
    """Read a data set once for its second attributes and what ``target_loc`` means in it."""
    target_locs = {
        f"{row.get('category')}/{row.get('example_id')}": position
        for row in metadata
        if (position := _position(row.get("target_loc"))) is not None
    }
    parsed, attribute_counts = list[BBQRecord](), dict[str, Counter[str]]()
    for record in records:
        try:
            parsed_record = parse(record)
        except (DataError, RecordRefused):
            continue  # reported when the items themselves are read
        parsed.append(parsed_record)
        fits = [person for person in parsed_record.persons if person.groups & parsed_record.groups]
        if len(fits) == 1 and INTERSECTIONS in parsed_record.category and fits[0].second_attribute:
            attribute_counts.setdefault(parsed_record.template, Counter())[fits[0].second_attribute] += 1
    second_attributes = {
        template: next(iter(counts)) for template, counts in attribute_counts.items() if len(counts) == 1
    }
    plain = StereotypeTargets(target_locs, second_attributes)
    both = [
        (by_groups, by_target_loc)
        for parsed_record in parsed
        if not parsed_record.negative
        and (by_groups := plain.from_groups(parsed_record)) is not None
        and (by_target_loc := plain.from_target_loc(parsed_record)) is not None
    ]
    same = sum(by_groups == by_target_loc for by_groups, by_target_loc in both)
    return StereotypeTargets(target_locs, second_attributes, of_group=2 * same < len(both))


def read_question(record: Record, parsed: BBQRecord, targets: StereotypeTargets) -> BBQQuestion:
    """A record, parsed, as the question that is asked.

    Raises:
        RecordRefused: which answer is the stereotyped one is unknown, or a text is empty.
    """
    stereotyped, agree = targets.resolve(parsed)
    return BBQQuestion(
        category=parsed.category,
        template=parsed.template,
        negative=parsed.negative,
        ambiguous=parsed.ambiguous,
        context=record_fields.first_text(record, "context"),
        question=record_fields.first_text(record, "question"),
        answers=parsed.answers,
        right=parsed.right,
        unknown=parsed.unknown,
        stereotyped=stereotyped,
        agree=agree,
    )
