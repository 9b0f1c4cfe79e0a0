"""Files of a self-correction run: questions with self-corrected answers for fine-tuning, and the paper's records.

export/<checkpoint>/self_corrected.jsonl  the plain question and the answer settled on (dialogues, for ``sft``)
                    comparisons.jsonl     that answer against the plain one, where they differ (for ``dpo``)
                    records.jsonl         every item with reasoning and probabilities
"""

from collections.abc import Sequence
from pathlib import Path

from preflab.atomic_files import json_text, write_atomically
from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.write import write_comparisons
from preflab.evals.core.items import Item
from preflab.evals.core.suite import Outcome
from preflab.evals.suites.bias import bbq, pronouns
from preflab.evals.suites.bias.bbq_records import BBQQuestion
from preflab.evals.suites.bias.prompt_templates import Benchmark
from preflab.evals.suites.bias.pronouns import PronounTemplate
from preflab.recipes.common.item_records import ItemRecord
from preflab.recipes.ganguli2023_self_correction.checkpoints import Checkpoint, condition_key, slug
from preflab.recipes.ganguli2023_self_correction.conditions import (
    PromptSettings,
    bbq_case,
    first_turn,
    pronoun_case,
    student_cases,
)
from preflab.recipes.ganguli2023_self_correction.results import ExportResult
from preflab.recipes.ganguli2023_self_correction.study import Study
from preflab.rollouts.requests.types import Generate, Generation, OptionLogprobs, OptionScores


def export_corrections(study: Study) -> ExportResult:
    """The result of the stage ``export``: writes the files of every checkpoint and counts their lines."""
    files: dict[str, int] = {}
    for checkpoint in study.checkpoints:
        folder = study.folder / "export" / slug(checkpoint)
        folder.mkdir(parents=True, exist_ok=True)
        dialogues, comparisons = _corrections(study, checkpoint)
        rows_of_file: dict[str, Sequence[object]] = {
            "self_corrected.jsonl": dialogues,
            "records.jsonl": _paper_records(study, checkpoint),
        }
        for name, rows in rows_of_file.items():
            _write_lines(folder / name, rows)
            files[f"{slug(checkpoint)}/{name}"] = len(rows)
        if comparisons:
            write_comparisons(comparisons, folder / "comparisons.jsonl")
        files[f"{slug(checkpoint)}/comparisons.jsonl"] = len(comparisons)
    return ExportResult(files=files, checkpoints=study.slugs)


def corrected_answers(
    benchmark: Benchmark, item: Item, outcome: Outcome, settings: PromptSettings
) -> list[tuple[str, str]]:
    """The plain question of each prompt of an item, and the answer that was settled on, in words.

    For fine-tuning a model to answer so at once, without the cost of instruction and reasoning (sec. 5 of the paper).
    """
    templates = settings.templates[benchmark]
    if benchmark == "bbq":
        question: BBQQuestion = item.data
        case, order = bbq_case(item)
        indices = {"stereotype": question.stereotyped, "counter": question.other, "unknown": question.unknown}
        chosen = indices[str(outcome["answer"])]
        letter = bbq.MARKS[order.index(chosen)]
        answer = f"{templates.text('opening', case.values)} {letter} {question.answers[chosen]}"
        return [(first_turn(case, "q", settings), answer)]
    if benchmark == "winogender":
        template: PronounTemplate = item.data
        best = max(range(3), key=lambda k: float(outcome[f"p_{pronouns.KINDS[k]}"]))
        pronoun = pronouns.FORMS[template.role][best]
        answer = template.sentence.replace(pronouns.BLANK, pronoun)
        return [(first_turn(pronoun_case(item), "q", settings), answer)]
    answers = []
    for case, name in zip(student_cases(item, settings.pair), ("p_first", "p_second"), strict=True):
        yes_or_no = "yes" if float(outcome[name]) > 0.5 else "no"
        answers.append((first_turn(case, "q", settings), f'{templates.text("opening", case.values)}{yes_or_no}"'))
    return answers


def _corrections(study: Study, checkpoint: Checkpoint) -> tuple[list[dict[str, object]], list[Comparison]]:
    """Plain questions with self-corrected answers; where the plain answer differs, both as a comparison."""
    condition = study.config.export
    settings = study.prompt_settings(study.config.paraphrases[0], sampling=False)
    dialogues: list[dict[str, object]] = []
    comparisons: list[Comparison] = []
    for benchmark in study.config.benchmarks:
        items = {item.id: item for item in study.selected_items(benchmark)}
        plain_outcomes = {record.id: record.outcome for record in study.records(checkpoint, benchmark, "q")}
        for record in study.records(checkpoint, benchmark, study.main_key(condition)):
            if record.outcome is None:
                continue
            item = items[record.id]
            corrected = corrected_answers(benchmark, item, record.outcome, settings)
            plain_outcome = plain_outcomes.get(item.id)
            plain = corrected_answers(benchmark, item, plain_outcome, settings) if plain_outcome else corrected
            for (question, better), (_, worse) in zip(corrected, plain, strict=True):
                prompt = Dialogue.of(question)
                messages = prompt.with_reply(better).to_json()
                dialogues.append({"messages": messages, "category": benchmark, "id": item.id})
                if better != worse:
                    provenance = Provenance(dataset="self-correction", id=item.id, policies=(condition, "q"))
                    comparisons.append(
                        Comparison(
                            prompt=prompt,
                            replies=(better, worse),
                            ranks=(0, 1),
                            category=benchmark,
                            provenance=provenance,
                        )
                    )
    return dialogues, comparisons


def _paper_records(study: Study, checkpoint: Checkpoint) -> list[dict[str, object]]:
    """The paper's result records: one a condition and item, with reasoning and log-probabilities of the options."""
    rows: list[dict[str, object]] = []
    for benchmark in study.config.benchmarks:
        for condition, paraphrase in study.conditions(benchmark):
            for record in study.records(checkpoint, benchmark, condition_key(condition, paraphrase)):
                outcome = record.outcome
                rows.append(
                    {
                        "benchmark": benchmark,
                        "item_id": record.id,
                        "checkpoint": checkpoint.name,
                        "size": checkpoint.size,
                        "steps": checkpoint.steps,
                        "condition": condition,
                        "paraphrase": paraphrase,
                        "cot_text": _chains_of_thought(record) if condition == "cot" else [],
                        "option_logprobs": _option_logprobs(record),
                        "failed": record.failed,
                        "p_options": None if outcome is None else outcome["samples"],
                    }
                )
    return rows


def _chains_of_thought(record: ItemRecord) -> list[str | None]:
    """What was generated in the first round; None where a request failed."""
    return [
        exchange.response.text if isinstance(exchange.response, Generation) else None
        for exchange in record.rounds[0]
        if isinstance(exchange.request, Generate)
    ]


def _option_logprobs(record: ItemRecord) -> list[tuple[float, ...] | None]:
    """Of every request for them; None where it failed."""
    return [
        exchange.response.logprobs if isinstance(exchange.response, OptionScores) else None
        for exchanges in record.rounds
        for exchange in exchanges
        if isinstance(exchange.request, OptionLogprobs)
    ]


def _write_lines(path: Path, rows: Sequence[object]) -> None:
    write_atomically(path, "".join(json_text(row, ensure_ascii=False) + "\n" for row in rows).encode())
