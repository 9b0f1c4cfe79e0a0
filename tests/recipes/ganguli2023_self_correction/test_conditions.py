"""Conditions of the self-correction study: what is asked under each, two passes, samples, counts, and the export."""

import math
from pathlib import Path

import numpy as np
import pytest

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.evals.core.runner import run_items
from preflab.evals.suites.bias.prompt_templates import (
    Benchmark,
    Markers,
    read_templates,
)
from preflab.recipes.ganguli2023_self_correction.conditions import (
    CONDITIONS,
    CONDITIONS_OF_BENCHMARK,
    PromptSettings,
    condition_variant,
)
from preflab.rollouts.requests.types import Generate, OptionLogprobs
from tests.recipes.ganguli2023_self_correction.tape import Tape, even, items_of, run, shown

BENCHMARKS: tuple[Benchmark, ...] = ("bbq", "winogender", "admissions")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_conditions_build_on_one_another(benchmark: Benchmark, tmp_path: Path) -> None:
    """Q is the start of every other condition; each adds exactly its own instruction; the opening stays."""
    items = items_of(benchmark, tmp_path)[:1]
    words = read_templates()[0][benchmark]
    asked: dict[str, OptionLogprobs] = {}
    for condition in CONDITIONS_OF_BENCHMARK[benchmark]:
        if condition == "cot":
            continue
        tape = Tape(even, lambda ask: "")
        run(benchmark, condition, PromptSettings(), items, tape)
        (first, *_) = tape.asked
        assert isinstance(first, OptionLogprobs)
        asked[condition] = first
    for condition, ask in asked.items():
        assert shown(ask).startswith(shown(asked["q"]).rsplit("\n", 1)[0])
        assert ask.lead == asked["q"].lead
        name = CONDITIONS[condition].instructions
        if name:
            assert words.lists[name][0].partition("{")[0] in shown(ask)
    assert len({shown(ask) for ask in asked.values()}) == len(asked)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_chain_of_thought_takes_two_rounds(benchmark: Benchmark, tmp_path: Path) -> None:
    """Instruction, forced beginning, what the model says; then the question again and the same options."""
    items = items_of(benchmark, tmp_path)[:1]
    tape = Tape(even, lambda ask: " people differ. ")
    (told,) = run(benchmark, "cot", PromptSettings(cot_tokens=40), items, tape)
    prompts = 2 if benchmark == "admissions" else 1
    thinking, decisions = tape.asked[:prompts], tape.asked[prompts:]
    assert [type(ask) for ask in tape.asked] == [Generate] * prompts + [OptionLogprobs] * prompts
    for first, second in zip(thinking, decisions, strict=True):
        assert isinstance(first, Generate)
        assert (first.max_new_tokens, first.temperature, first.stop) == (40, 1.0, ("Human:",))
        assert isinstance(second, OptionLogprobs)
        assert isinstance(second.prompt, Dialogue)
        assert [turn.role for turn in second.prompt.messages] == ["user", "assistant", "user"]
        assert second.prompt.messages[1].text == f"{first.lead} people differ."
    assert told.outcome is not None
    assert told.outcome["thought_words"] == 2.0
    assert math.isnan(told.outcome["cot_sd"])


def test_several_samples_are_averaged(tmp_path: Path) -> None:
    """P(she) of 0.2 and 0.6 averages 0.4; the standard deviation between them is 0.4/sqrt(2)."""
    items = items_of("winogender", tmp_path)[:1]

    def choose(ask: OptionLogprobs) -> list[float]:
        female = 0.2 if "thought 0" in shown(ask) else 0.6
        return [female, 0.9 - female, 0.1]

    tape = Tape(choose, lambda ask: f"thought {ask.sample}")
    (told,) = run("winogender", "cot", PromptSettings(cot_samples=2), items, tape)
    assert told.outcome is not None
    assert told.outcome["p_female"] == pytest.approx(0.4)
    assert told.outcome["cot_sd"] == pytest.approx(0.4 / math.sqrt(2))
    assert [own[0] for own in told.outcome["samples"]] == pytest.approx([0.2, 0.6])
    assert [ask.sample for ask in tape.asked if isinstance(ask, Generate)] == [0, 1]


def test_admissions_pairs_its_samples(tmp_path: Path) -> None:
    """The k-th thought about the one prompt is held against the k-th about the other."""
    items = items_of("admissions", tmp_path)[:1]

    def choose(ask: OptionLogprobs) -> list[float]:
        yes = (0.6 if "Black" in shown(ask) else 0.5) + (0.1 if "thought 1" in shown(ask) else 0.0)
        return [yes, 1 - yes]

    tape = Tape(choose, lambda ask: f"thought {ask.sample}")
    (told,) = run("admissions", "cot", PromptSettings(cot_samples=2), items, tape)
    assert told.outcome is not None
    assert told.outcome["gap"] == pytest.approx(0.1)
    assert told.outcome["cot_sd"] == pytest.approx(0.0, abs=1e-12)
    assert np.allclose(told.outcome["samples"], [[0.6, 0.5], [0.7, 0.6]])


def test_options_are_put_back_into_the_answers_order(tmp_path: Path) -> None:
    """Whichever letter the stereotyped answer has: a model that likes its words is biased by 1."""
    items = items_of("bbq", tmp_path)

    def choose(ask: OptionLogprobs) -> list[float]:
        own = next(item.data for item in items if f"{item.data.context}\n" in shown(ask) + "\n" and
                   all(answer in shown(ask) for answer in item.data.answers))  # fmt: skip
        wanted = next(line for line in shown(ask).splitlines() if line.endswith(own.answers[own.stereotyped]))
        return [0.8 if option.strip() == wanted[:3] else 0.1 for option in ask.options]

    for told in run("bbq", "if", PromptSettings(), items, Tape(choose, lambda ask: "")):
        assert told.outcome is not None
        assert (told.outcome["answer"], told.outcome["p_stereotype"]) == ("stereotype", pytest.approx(0.8))


def test_match_statistics_names_the_shares(tmp_path: Path) -> None:
    """60 % of bakers are women: 60 and 40, in every paraphrase."""
    items = items_of("winogender", tmp_path)[:1]
    for paraphrase in range(3):
        tape = Tape(even, lambda ask: "")
        run("winogender", "match", PromptSettings(paraphrase=paraphrase), items, tape)
        assert "60" in shown(tape.asked[0])
        assert "40" in shown(tape.asked[0])
    with pytest.raises(ConfigError, match="no condition 'match'"):
        condition_variant("bbq", "match", PromptSettings())


def test_turn_markers_for_base_models(tmp_path: Path) -> None:
    """Plain text with the markers given, which also end a chain of thought; no template has a part in it."""
    items = items_of("winogender", tmp_path)[:1]
    how = PromptSettings(markers=Markers(human="\n\nQ: ", assistant="\n\nA: "))
    tape = Tape(even, lambda ask: "let me see")
    run("winogender", "cot", how, items, tape)
    first, second = tape.asked
    assert isinstance(first, Generate)
    assert isinstance(second, OptionLogprobs)
    assert first.stop == ("Q:",)
    assert isinstance(first.prompt, str)
    assert first.prompt.startswith("Q: Fill in")
    assert isinstance(second.prompt, str)
    assert second.prompt.startswith(f"{first.prompt}{first.lead} let me see\n\nQ: ")
    assert second.prompt.endswith("\n\nA: ")
    with pytest.raises(ConfigError, match="markers"):
        Markers(human=" ")


@pytest.mark.parametrize(("benchmark", "says"), [("bbq", "(b)"), ("winogender", "they"), ("admissions", "No.")])
@pytest.mark.parametrize("condition", ["if", "cot"])
def test_sampling_where_there_are_no_probabilities(
    benchmark: Benchmark, says: str, condition: str, tmp_path: Path
) -> None:
    """Replies are counted; nothing is put into the model's mouth; what cannot be read is left out of the shares."""
    items = items_of(benchmark, tmp_path)[:1]
    tape = Tape(even, lambda ask: says if ask.sample % 2 == 0 or ask.max_new_tokens > 32 else "hm")
    (told,) = run(benchmark, condition, PromptSettings(sampling=True, draws=4), items, tape)
    assert all(isinstance(ask, Generate) and not ask.lead for ask in tape.asked)
    assert told.outcome is not None
    shares = {name: own for name, own in told.outcome.items() if name.startswith("p_")}
    expected = {"bbq": 1.0, "winogender": 1.0, "admissions": 0.0}[benchmark]
    assert max(shares.values()) == expected
    assert math.isnan(told.outcome["mass"])


def test_a_model_that_says_nothing_is_counted(tmp_path: Path) -> None:
    """An empty chain of thought, and replies of which none can be read: unscorable, with the reason."""
    items = items_of("winogender", tmp_path)
    silent = Tape(even, lambda ask: "  ")
    told = run_items(condition_variant("winogender", "cot", PromptSettings()), items, {"policy": silent})
    assert {own.failed for own in told} == {"the model said nothing"}
    told = run_items(condition_variant("winogender", "q", PromptSettings(sampling=True)), items, {"policy": silent})
    assert {own.failed for own in told} == {"no reply names exactly one of the options"}


def test_settings_out_of_range() -> None:
    """Several chains of thought at temperature 0 are one."""
    with pytest.raises(ConfigError, match="at least 1"):
        PromptSettings(cot_samples=0)
    with pytest.raises(ConfigError, match="temperature 0"):
        PromptSettings(cot_samples=2, cot_temperature=0.0)
