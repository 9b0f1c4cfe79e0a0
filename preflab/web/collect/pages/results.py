"""Tables and plots of what a study has gathered."""

from base64 import b64encode
from dataclasses import dataclass, field

from preflab.data.store import log
from preflab.data.store.judgements import Judgement, judgements_of
from preflab.data.store.open import Store
from preflab.feedback.labellers.human import comparisons_of
from preflab.feedback.policy_ratings import PolicyRatings, policy_ratings
from preflab.feedback.quality import Agreement, AnnotatorQuality, Bounds, StudyQuality, judged_of, quality_of
from preflab.feedback.study import StudyDefinition
from preflab.feedback.study_results import question_outcomes, rule_rates
from preflab.maths.statistics import Estimate
from preflab.reporting import study_plots


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, as an address that holds it."""

    source: str
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Results:
    """What the page of results shows."""

    tables: tuple[Table, ...] = field(default=())
    plots: tuple[Plot, ...] = field(default=())


_KEPT: dict[tuple[str, str], tuple[int, Results]] = {}
"""(store, study) -> what was worked out last, and up to which event."""


def latest_results(store: Store, study: str, definition: StudyDefinition) -> Results:
    """The results, worked out anew only when something has happened since."""
    place = (str(store.engine.url), study)
    with store.reading() as connection:
        now = log.head(connection)[0]
    kept = _KEPT.get(place)
    if kept is None or kept[0] != now:
        kept = _KEPT[place] = (now, results_of(store, study, definition))
    return kept[1]


def results_of(store: Store, study: str, definition: StudyDefinition) -> Results:
    """Work out everything anew from the judgements that count."""
    with store.reading() as connection:
        found = list(judgements_of(connection, study, statuses=("counted", "late")))
    own = [one for one in (judged_of(one, definition.protocol) for one in found) if one is not None]
    quality = quality_of(own, Bounds(fast_seconds=definition.fast_seconds))
    ranked = policy_ratings(comparisons_of(store, study).comparisons)
    tables = [_people(quality), _agreement(quality)]
    if ranked is not None:
        tables.append(_standings(ranked))
    counted = [one for one in found if one.status == "counted"]
    if definition.protocol.name in ("rule-probe", "rule-judge"):
        tables.append(_rules(counted))
    if definition.protocol.name == "questions":
        tables.append(_questions(counted))
    return Results(tuple(tables), tuple(_plots(quality, ranked)))


def _share(found: Estimate | None) -> str:
    """``69 % [65, 74] of 120``."""
    if found is None:
        return "-"
    low, high = (f"{100 * end:.0f}" for end in (found.low, found.high))
    return f"{100 * found.value:.0f} % [{low}, {high}] of {found.n}"


def _number(found: Estimate | None, places: int = 2) -> str:
    if found is None:
        return "-"
    return f"{found.value:.{places}f} [{found.low:.{places}f}, {found.high:.{places}f}]"


def _people(quality: StudyQuality) -> Table:
    columns = ("Annotator", "Counted", "Late", "Gold right", "Same again", "Agrees with others", "Seconds, median",
               "Picks the left", "Ties", "To look at")  # fmt: skip
    note = (
        "Nobody is left out by these numbers; that is yours to decide. Sides are shuffled, so half of the picks are "
        "expected on the left. In conversations there is no agreement to measure: everybody sees other replies."
    )
    return Table("Annotators", columns, tuple(_person(one) for one in quality.annotators), note)


def _person(one: AnnotatorQuality) -> tuple[str, ...]:
    seconds = "-" if one.median_seconds is None else f"{one.median_seconds:.1f}"
    flags = "; ".join([*(flag.reason for flag in one.flags), *one.unsaid]) or "nothing"
    shares = (_share(one.gold), _share(one.consistency), _share(one.agreement))
    return (one.annotator, str(one.n), str(one.late), *shares, seconds, _share(one.left), _share(one.ties), flags)


def _agreement(quality: StudyQuality) -> Table:
    rows = [
        (one.question, one.category or "all", one.scale, _number(one.alpha), _share(one.raw), one.why_not)
        for one in quality.agreement
    ]
    note = "Krippendorff's alpha: 1 is perfect, 0 is chance. Raw: share of pairs of answers that are equal."
    return Table("Agreement", ("Question", "Category", "Scale", "Alpha", "Raw", "Note"), tuple(rows), note)


def _standings(found: PolicyRatings) -> Table:
    rows = tuple((name, _number(elo, 0)) for name, elo in found.elo.items())
    note = f"Bradley-Terry on {found.votes} votes, around the mean of all; {found.note}."
    if found.same_policy:
        note += f" {found.same_policy} votes between two replies of one policy say nothing here."
    return Table("Policies", ("Policy", "Elo"), rows, note)


def _rules(counted: list[Judgement]) -> Table:
    rows = tuple((rate.rule, _share(rate.broken), str(rate.unsure)) for rate in rule_rates(counted))
    note = (
        "Judged probably or definitely broken, among those that say; dialogues that several people judged are "
        "resampled whole. Gold items and repetitions are left out. Under probing this is a rate under attack."
    )
    return Table("Rules", ("Rule", "Broken", "Cannot say"), rows, note)


def _questions(counted: list[Judgement]) -> Table:
    rows = []
    for one in question_outcomes(counted):
        sure = "-" if one.confidence is None else f"{one.confidence:.0f} %"
        error = "-" if one.calibration_error is None else f"{one.calibration_error:.1f} points"
        name = "with help" if one.assisted else "without help"
        rows.append((name, _share(one.accuracy), sure, error, _share(one.team), str(one.timed_out), f"{one.turns:.1f}"))
    columns = (
        "Condition",
        "Right",
        "Sure, mean",
        "Calibration error",
        "Weighted vote right",
        "Timed out",
        "Messages, mean",
    )
    return Table("Questions", columns, tuple(rows), "Unanswered questions count as wrong; repetitions are left out.")


def _plots(quality: StudyQuality, ranked: PolicyRatings | None) -> list[Plot]:
    found = [_plot(study_plots.progress_plot(quality.progress), "Judgements that count, gold and repeated ones too")]
    agreed = [(_label(one), one.raw, one.alpha) for one in quality.agreement if one.raw or one.alpha]
    people = [(one.annotator, _shares(one)) for one in quality.annotators]
    found += [_plot(study_plots.agreement_plot(agreed), "Agreement by question")] if agreed else []
    if any(share for _, shares in people for share in shares.values()):
        found.append(_plot(study_plots.annotators_plot(people), "Annotators"))
    if ranked is not None:
        found.append(_plot(study_plots.elo_plot(ranked.elo), "Elo of the policies, around their mean"))
    return [plot for plot in found if plot.source]


def _label(one: Agreement) -> str:
    return f"{one.question}, {one.category}" if one.category else one.question


def _shares(one: AnnotatorQuality) -> dict[str, Estimate | None]:
    return {name: getattr(one, name) for name in study_plots.SHARES}


def _plot(svg: str, caption: str) -> Plot:
    """An SVG as the address of a picture: a document of its own, which may hold no script and loads nothing."""
    source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}" if svg else ""
    return Plot(source, caption, caption)
