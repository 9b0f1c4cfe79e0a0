"""``report.html`` of the recipe ``sft``."""

from pathlib import Path

from preflab.recipes.rafailov2023_dpo.report import WHO, sft_section
from preflab.reporting.format import nats, number
from preflab.reporting.report import Facts, Report, Section, Table, data_section, example, read_facts, write_report_page

STAGES = {"data": "data", "sft": "SFT", "measure": "replies to look at", "export": "export"}
HEADS = {
    "rows": "Rows",
    "replies": "Replies",
    "reply_tokens": "Tokens learned",
    "tokens": "Tokens, prefix once",
    "tokens_reply_by_reply": "Tokens, reply by reply",
    "shortened": "Shortened",
}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.sft.config import SCALES  # here, because sft imports this module

    facts = read_facts(folder, "sft", STAGES)
    return write_report_page(facts, STAGES, _story(facts), SCALES)


def _story(facts: Facts) -> Report:
    r = facts.results
    sections = [_replies(r)] if "measure" in r else []
    sections.append(data_section(facts, HEADS))
    lead = ["Fine-tuning has not finished yet, so there is nothing to tell."]
    if "sft" in r:
        sections.append(sft_section(r["sft"], facts.metrics.get("sft", [])))
        own = r["sft"]
        lead = [
            f"Held-out replies cost {number(own['before'].value, '.3f')} nats a token before and "
            f"{number(own['after'].value, '.3f')} after: a gain of {nats(own['gain'])} nats a token."
        ]
    model = facts.record["model"].get("name") or facts.config["model"]["policy"]
    return Report(title=f"Fine-tuning {model} on good replies", summary=lead, sections=sections)


def _replies(r: dict[str, object]) -> Section:
    measure: dict = r["measure"]  # type: ignore[assignment, type-arg]
    looks = [
        [who, number(f["n"]), number(f["mean_words"], ".1f"), number(f["distinct_2"], ".2f")]
        for who, f in measure["facts"].items()
    ]
    return Section(
        anchor="replies",
        title="What the policy says now",
        text=["One reply before and one after to held-out prompts, in the order in which the prompts were drawn."],
        examples=[example(i, one, WHO) for i, one in enumerate(measure["examples"], start=1)],
        tables=[
            Table(caption="What the replies look like", heads=["", "Replies", "Mean words", "Distinct-2"], rows=looks)
        ],
    )
