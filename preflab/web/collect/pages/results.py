"""Tables and plots of what a study has gathered."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from preflab.data.store import log
from preflab.data.store.judgements import Judgement, judgements_of
from preflab.data.store.open import Store
from preflab.feedback.judged_comparisons import comparisons_of
from preflab.feedback.policy_ratings import PolicyRatings, policy_ratings
from preflab.feedback.quality import Agreement, AnnotatorQuality, Bounds, StudyQuality, judged_of, quality_of
from preflab.feedback.study import StudyDefinition
from preflab.feedback.study_results import both_bad_rate, flag_rates, question_outcomes, rule_rates
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
    """Tables and plots of the page of results."""

    tables: tuple[Table, ...] = field(default=())
    plots: tuple[Plot, ...] = field(default=())


_CACHE: dict[tuple[str, str], tuple[int, Results]] = {}
"""(store, study) -> the event up to which results were computed last, and the results."""


def latest_results(store: Store, study: str, definition: StudyDefinition) -> Results:
    """The results, computed anew only when the log has grown since."""
    key = (str(store.engine.url), study)
    with store.reading() as connection:
        last_event = log.head(connection)[0]
    cached = _CACHE.get(key)
    if cached is None or cached[0] != last_event:
        cached = _CACHE[key] = (last_event, compute_results(store, study, definition))
    return cached[1]


def compute_results(store: Store, study: str, definition: StudyDefinition) -> Results:
    """Compute all tables and plots from the judgements that count or came late."""
    with store.reading() as connection:
        judgements = list(judgements_of(connection, study, statuses=("counted", "late")))
    judged = [answer for answer in (judged_of(judgement, definition.protocol) for judgement in judgements) if answer]
    quality = quality_of(judged, Bounds(fast_seconds=definition.fast_seconds))
    ratings = policy_ratings(comparisons_of(store, study).comparisons)
    tables = [_annotator_table(quality), _agreement_table(quality)]
    if ratings is not None:
        tables.append(_policy_table(ratings))
    counted = [judgement for judgement in judgements if judgement.status == "counted"]
    if definition.protocol.name in ("rule-probe", "rule-judge"):
        tables.append(_rule_table(counted))
    if definition.protocol.name == "questions":
        tables.append(_question_table(counted))
    if flags := getattr(definition.protocol, "shown_flags", {}):
        tables.append(_flag_table(counted, flags))
    if getattr(definition.protocol, "both_bad", False):
        tables.append(_both_bad_table(counted))
    return Results(tuple(tables), tuple(_plots(quality, ratings)))


def _percent(share: Estimate | None) -> str:
    """``69 % [65, 74] of 120``."""
    if share is None:
        return "-"
    low, high = (f"{100 * end:.0f}" for end in (share.low, share.high))
    return f"{100 * share.value:.0f} % [{low}, {high}] of {share.n}"


def _number(estimate: Estimate | None, decimals: int = 2) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:.{decimals}f} [{estimate.low:.{decimals}f}, {estimate.high:.{decimals}f}]"


def _annotator_table(quality: StudyQuality) -> Table:
    columns = ("Annotator", "Counted", "Late", "Gold right", "Same again", "Agrees with others", "Seconds, median",
               "Picks the left", "Ties", "To look at")  # fmt: skip
    note = (
        "Nobody is left out by these numbers; that is yours to decide. Sides are shuffled, so half of the picks are "
        "expected on the left. In conversations there is no agreement to measure: everybody sees other replies."
    )
    return Table("Annotators", columns, tuple(map(_annotator_row, quality.annotators)), note)


def _annotator_row(annotator: AnnotatorQuality) -> tuple[str, ...]:
    seconds = "-" if annotator.median_seconds is None else f"{annotator.median_seconds:.1f}"
    return (
        annotator.annotator,
        str(annotator.n),
        str(annotator.late),
        _percent(annotator.gold),
        _percent(annotator.consistency),
        _percent(annotator.agreement),
        seconds,
        _percent(annotator.left),
        _percent(annotator.ties),
        "; ".join([*(flag.reason for flag in annotator.flags), *annotator.unsaid]) or "nothing",
    )


def _agreement_table(quality: StudyQuality) -> Table:
    rows = [
        (row.question, row.category or "all", row.scale, _number(row.alpha), _percent(row.raw), row.why_not)
        for row in quality.agreement
    ]
    note = "Krippendorff's alpha: 1 is perfect, 0 is chance. Raw: share of pairs of answers that are equal."
    return Table("Agreement", ("Question", "Category", "Scale", "Alpha", "Raw", "Note"), tuple(rows), note)


def _policy_table(ratings: PolicyRatings) -> Table:
    rows = tuple((name, _number(elo, 0)) for name, elo in ratings.elo.items())
    note = f"Bradley-Terry on {ratings.votes} votes, around the mean of all; {ratings.note}."
    if ratings.same_policy:
        note += f" {ratings.same_policy} votes between two replies of one policy say nothing here."
    return Table("Policies", ("Policy", "Elo"), rows, note)


def _rule_table(counted: list[Judgement]) -> Table:
    rows = tuple((rate.rule, _percent(rate.broken), str(rate.unsure)) for rate in rule_rates(counted))
    note = (
        "Judged probably or definitely broken, among those that say; dialogues that several people judged are "
        "resampled whole. Gold items and repetitions are left out. Under probing this is a rate under attack."
    )
    return Table("Rules", ("Rule", "Broken", "Cannot say"), rows, note)


def _flag_table(counted: list[Judgement], flags: Mapping[str, str]) -> Table:
    rates = flag_rates(counted, flags)
    rows = tuple(
        (f"{rate.flag}: {flags[rate.flag]}", rate.policy or "unknown", _percent(rate.ticked)) for rate in rates
    )
    note = "Of the judged replies of each policy; items that several people judged are resampled whole."
    return Table("Flags", ("Flag", "Policy", "Ticked"), rows, note)


def _both_bad_table(counted: list[Judgement]) -> Table:
    note = "Of the votes of conversations; conversations are resampled whole."
    rate = both_bad_rate(counted)
    return Table("Both replies bad", ("Votes",), () if rate is None else ((_percent(rate),),), note)


def _question_table(counted: list[Judgement]) -> Table:
    rows = []
    for outcome in question_outcomes(counted):
        confidence = "-" if outcome.confidence is None else f"{outcome.confidence:.0f} %"
        error = "-" if outcome.calibration_error is None else f"{outcome.calibration_error:.1f} points"
        condition = "with help" if outcome.assisted else "without help"
        accuracy, team = _percent(outcome.accuracy), _percent(outcome.team)
        rows.append((condition, accuracy, confidence, error, team, str(outcome.timed_out), f"{outcome.turns:.1f}"))
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


def _plots(quality: StudyQuality, ratings: PolicyRatings | None) -> list[Plot]:
    plots = [_plot(study_plots.progress_plot(quality.progress), "Judgements that count, gold and repeated ones too")]
    agreement = [(_label(row), row.raw, row.alpha) for row in quality.agreement if row.raw or row.alpha]
    people = [(annotator.annotator, _shares(annotator)) for annotator in quality.annotators]
    if agreement:
        plots.append(_plot(study_plots.agreement_plot(agreement), "Agreement by question"))
    if any(share for _, shares in people for share in shares.values()):
        plots.append(_plot(study_plots.annotators_plot(people), "Annotators"))
    if ratings is not None:
        plots.append(_plot(study_plots.elo_plot(ratings.elo), "Elo of the policies, around their mean"))
    return [plot for plot in plots if plot.source]


def _label(agreement: Agreement) -> str:
    return f"{agreement.question}, {agreement.category}" if agreement.category else agreement.question


def _shares(annotator: AnnotatorQuality) -> dict[str, Estimate | None]:
    return {name: getattr(annotator, name) for name in study_plots.SHARES}


def _plot(svg: str, caption: str) -> Plot:
    """An SVG as the address of a picture: a document of its own, which may hold no script and loads nothing."""
    source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}" if svg else ""
    return Plot(source, caption, caption)
