"""Reading BBQ (Parrish et al. 2022), and telling which answer of an item agrees with the stereotype.

Two conventions are in use. ``stereotyped_groups`` in each record names the group, which is the stereotyped answer to a
negative question and the other one to a non-negative question. ``target_loc`` of ``additional_metadata.csv`` is a
place: of the stereotyped answer (it turns with the polarity, as the benchmark's author confirms), or, in files made by
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
class Question:
    """An item: a context, a question about two persons, three answers."""

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
    """1 if both conventions say so, 0 if they differ (the published place is taken), nan if only one is at hand."""
    unknowns: tuple[str, ...] = ()
    """Every wording of UNKNOWN in the data."""

    @property
    def other(self) -> int:
        """The answer that names the other person."""
        return 3 - self.unknown - self.stereotyped


class Person(NamedTuple):
    """One of the two persons that an item names."""

    place: int
    groups: frozenset[str]
    second: str
    """Gender or SES, where the tag has one before the race."""


class Parsed(NamedTuple):
    """A record without the question of its target."""

    category: str
    template: str
    key: str
    """``category/example_id``."""
    negative: bool
    ambiguous: bool
    answers: tuple[str, str, str]
    right: int
    unknown: int
    persons: tuple[Person, Person]
    groups: frozenset[str]
    place: int | None
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


def person(place: int, words: str, tag: str, answer: str) -> Person:
    """Groups of a person by the tag of the answer; the wording counts too, since nationalities stand in it alone."""
    if not tag and (found := re.search(r"\blatin([oa])\b", answer.lower())):
        tag = f"{'F' if found[1] == 'a' else 'M'}-Latino"  # released rows with an empty tag are all of this kind
    low = tag.strip().lower()
    match = _TAG.match(low)
    ses, gender, rest = match.groups() if match else (None, None, low)
    groups = {_same(own) for own in (low, rest, words) if own}
    groups |= {ses} if ses else set()
    return Person(place, frozenset(groups), ses or gender or "")


def parse(record: Record) -> Parsed:
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
    info, more = _mapping(record, "answer_info"), _mapping(record, "additional_metadata")
    tags = [_tag(info.get(f"ans{i}")) for i in range(3)]
    unknown = [i for i, (_, tag) in enumerate(tags) if tag == UNKNOWN]
    if len(unknown) != 1:
        raise RecordRefused("not exactly one of its answers is tagged unknown", field="answer_info")
    right, ambiguous = record_fields.index(record, "label", 3), context == "ambig"
    if ambiguous != (right == unknown[0]):
        raise RecordRefused("its right answer does not go with its context", field="label")
    persons = [person(i, *tags[i], answers[i]) for i in range(3) if i != unknown[0]]
    place = record.get("target_loc", more.get("target_loc"))
    return Parsed(
        category=category,
        template=f"{category}/{index}",
        key=f"{category}/{record_fields.optional_text(record, 'example_id')}",
        negative=polarity == "neg",
        ambiguous=ambiguous,
        answers=(answers[0], answers[1], answers[2]),
        right=right,
        unknown=unknown[0],
        persons=(persons[0], persons[1]),
        groups=frozenset(map(_same, _names(more.get("stereotyped_groups")))),
        place=_place(place),
    )


def _mapping(record: Record, name: str) -> Mapping[str, Any]:
    """An object, also one written out."""
    found = record_fields.column(record, name)
    if isinstance(found, str):
        try:
            found = ast.literal_eval(found)
        except (ValueError, SyntaxError) as error:
            raise RecordRefused(f"{name} cannot be read", field=name) from error
    if not isinstance(found, Mapping):
        raise DataError(f"expected an object, found {type(found).__name__}", field=name)
    return found


def _tag(found: object) -> tuple[str, str]:
    if isinstance(found, Sequence) and not isinstance(found, str) and len(found) == 2:
        return str(found[0]), str(found[1]).strip()
    raise RecordRefused("an answer lacks its words and its tag", field="answer_info")


def _names(found: object) -> list[str]:
    """A list of names, also one written out."""
    if isinstance(found, str):
        return [own for own in re.split(r"[\[\]\",']+\s*", found) if own.strip()]
    return [str(own) for own in found] if isinstance(found, Iterable) else []


def _place(found: object) -> int | None:
    """A place from 0 to 2; None for what says that there is none (empty, NA, x)."""
    try:
        place = float(str(found))
    except ValueError:
        return None
    return int(place) if place in (0.0, 1.0, 2.0) else None


@dataclass(frozen=True)
class Targets:
    """What a whole data set says of where the stereotyped answers are."""

    places: Mapping[str, int] = field(default_factory=dict)
    """Item -> ``target_loc``, from ``additional_metadata.csv``."""
    second: Mapping[str, str] = field(default_factory=dict)
    """Template -> the second attribute of its stereotyped persons."""
    of_group: bool = False
    """Whether ``target_loc`` is the place of the group, not of the stereotyped answer."""

    def by_groups(self, own: Parsed) -> int | None:
        """The stereotyped answer by ``stereotyped_groups``; None where they fit neither person or both."""
        fits = [one for one in own.persons if one.groups & own.groups]
        if len(fits) == 2 and INTERSECTIONS in own.category and own.template in self.second:
            fits = [one for one in fits if one.second == self.second[own.template]]
        if len(fits) != 1:
            return None
        return fits[0].place if own.negative else self._other(own, fits[0].place)

    def by_place(self, own: Parsed) -> int | None:
        """The stereotyped answer by ``target_loc``."""
        place = own.place if own.place is not None else self.places.get(own.key)
        if place is None or place == own.unknown:
            return None
        return self._other(own, place) if self.of_group and not own.negative else place

    def of(self, own: Parsed) -> tuple[int, float]:
        """The stereotyped answer, and whether both conventions agree (nan where there is only one).

        Raises:
            RecordRefused: neither tells.
        """
        groups, place = self.by_groups(own), self.by_place(own)
        found = place if place is not None else groups
        if found is None:
            raise RecordRefused("its groups do not tell which answer agrees with the stereotype", field="target_loc")
        return found, float("nan") if groups is None or place is None else float(groups == place)

    @staticmethod
    def _other(own: Parsed, place: int) -> int:
        return 3 - own.unknown - place


def targets_of(records: Iterable[Record], metadata: Iterable[Record] = ()) -> Targets:
    """Look through a data set once: second attributes, and what ``target_loc`` means in it."""
    places = {
        f"{row.get('category')}/{row.get('example_id')}": place
        for row in metadata
        if (place := _place(row.get("target_loc"))) is not None
    }
    parsed, seen = list[Parsed](), dict[str, Counter[str]]()
    for record in records:
        try:
            own = parse(record)
        except (DataError, RecordRefused):
            continue  # told of when the items themselves are read
        parsed.append(own)
        fits = [one for one in own.persons if one.groups & own.groups]
        if len(fits) == 1 and INTERSECTIONS in own.category and fits[0].second:
            seen.setdefault(own.template, Counter())[fits[0].second] += 1
    second = {template: next(iter(found)) for template, found in seen.items() if len(found) == 1}
    plain = Targets(places, second)
    both = [
        (groups, place)
        for own in parsed
        if not own.negative
        and (groups := plain.by_groups(own)) is not None
        and (place := plain.by_place(own)) is not None
    ]
    same = sum(groups == place for groups, place in both)
    return Targets(places, second, of_group=2 * same < len(both))


def question_of(record: Record, own: Parsed, targets: Targets) -> Question:
    """A record, parsed, as the question that is asked.

    Raises:
        RecordRefused: which answer is the stereotyped one cannot be told, or a text is empty.
    """
    stereotyped, agree = targets.of(own)
    return Question(
        category=own.category,
        template=own.template,
        negative=own.negative,
        ambiguous=own.ambiguous,
        context=record_fields.first_text(record, "context"),
        question=record_fields.first_text(record, "question"),
        answers=own.answers,
        right=own.right,
        unknown=own.unknown,
        stereotyped=stereotyped,
        agree=agree,
    )
