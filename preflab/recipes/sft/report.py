"""The outcome of a run of ``sft``: a few lines for the terminal, and ``report.html``."""

from collections.abc import Iterator
from pathlib import Path

from preflab.recipes.common.supervised import sft_section
from preflab.recipes.sft.config import SCALES, Config
from preflab.recipes.sft.results import DataResult, MeasureResult, SFTResult
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import nats, number, with_interval
from preflab.reporting.report import Facts, Report, Section, Table, data_section, example, read_facts, write_report_page
from preflab.reporting.run_files import read_results
from preflab.run import read_result

STAGES = {"data": "data", "sft": "SFT", "measure": "replies to look at", "export": "export"}
"""In the order in which they run, with what the report calls them."""
POLICY_NAMES = {"before": "before", "after": "after"}


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every file worth opening; stages not run have none."""
    sft = read_result(folder, "sft", SFTResult)
    lines = [] if sft is None else list(_loss_lines(sft))
    return lines + closing_lines(folder, read_results(folder))


def _loss_lines(sft: SFTResult) -> Iterator[Line]:
    unit = f"nats per token of held-out replies ({sft.before.n} tokens)"
    yield "loss before", with_interval(sft.before, ".2f"), unit
    yield "loss after", with_interval(sft.after, ".2f"), ""
    yield "gain", nats(sft.gain), "nats per token"
    yield "after each pass", ", ".join(f"{loss:.3f}" for loss in sft.epochs), ""


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    facts = read_facts(folder, "sft", STAGES)
    return write_report_page(facts, STAGES, _report(facts), SCALES)


def _report(facts: Facts) -> Report:
    sft, measure = facts.result("sft", SFTResult), facts.result("measure", MeasureResult)
    sections = [] if measure is None else [_replies(measure)]
    sections.append(data_section(facts, _data_columns(facts.result("data", DataResult))))
    summary = ["Fine-tuning has not finished yet, so there is nothing to tell."]
    if sft is not None:
        sections.append(sft_section(sft, facts.metrics.get("sft", [])))
        summary = [
            f"Held-out replies cost {number(sft.before.value, '.3f')} nats a token before and "
            f"{number(sft.after.value, '.3f')} after: a gain of {nats(sft.gain)} nats a token."
        ]
    model = facts.model_name or facts.settings(Config).model.policy
    return Report(title=f"Fine-tuning {model} on good replies", summary=summary, sections=sections)


def _data_columns(data: DataResult | None) -> dict[str, dict[str, int]] | None:
    if data is None:
        return None
    return {
        "Rows": data.rows,
        "Replies": data.replies,
        "Tokens learned": data.reply_tokens,
        "Tokens, prefix once": data.tokens,
        "Tokens, reply by reply": data.tokens_reply_by_reply,
        "Shortened": data.shortened,
    }


def _replies(measure: MeasureResult) -> Section:
    rows = [
        [policy, number(facts.n), number(facts.mean_words, ".1f"), number(facts.distinct_2, ".2f")]
        for policy, facts in measure.facts.items()
    ]
    return Section(
        anchor="replies",
        title="What the policy says now",
        text=["One reply before and one after to held-out prompts, in the order in which the prompts were drawn."],
        examples=[
            example(i, replies.prompt, replies.replies, POLICY_NAMES, category=replies.category, scores=replies.scores)
            for i, replies in enumerate(measure.examples, start=1)
        ],
        tables=[
            Table(caption="What the replies look like", heads=["", "Replies", "Mean words", "Distinct-2"], rows=rows)
        ],
    )
