"""Every scale of every recipe is a config that its own checks accept, and that changes nothing which is dead."""

import pytest

from preflab.errors import ConfigError
from preflab.runner.catalogue import recipe_named, recipes
from preflab.runner.launch import resolve

SCALES = [(recipe.name, scale) for recipe in recipes().values() for scale in recipe.scales]


@pytest.mark.parametrize(("recipe", "scale"), SCALES)
def test_every_scale_can_be_constructed(recipe: str, scale: str) -> None:
    config = resolve(recipe_named(recipe), scale=scale)
    assert config == recipe_named(recipe).load().SCALES[scale]()


@pytest.mark.parametrize(
    ("recipe", "scale", "assignments", "dead"),
    [
        ("align", "smoke", ["algorithm=rloo", "ppo.steps=5"], "ppo.steps=5 would change nothing with algorithm=rloo"),
        (
            "align",
            "smoke",
            ["model.full_finetune=true", "model.adapters.rank=8"],
            "model.adapters.rank=8 .* model.full_finetune=true; leave it at 4",
        ),
        ("align", "smoke", ["vllm.probe_limit=1"], "vllm.probe_limit=1.0 .* sampler=in-process"),
        ("align", "smoke", ["ppo.max_staleness=1"], "ppo.max_staleness=1 .* sampler=in-process"),
        ("align", "smoke", ["algorithm=rloo", "value_model=model"], "value_model=model .* algorithm=rloo"),
        (
            "align",
            "smoke",
            ["algorithm=reinforce", "reinforce.value_head_updates=4"],
            "value_head_updates=4 .*reinforce.baseline=mean",
        ),
        (
            "align",
            "smoke",
            ["value_model=model", "ppo.value_head_updates=4"],
            "ppo.value_head_updates=4 .* value_model=model",
        ),
        ("online", "smoke", ["algorithm=rloo", "ppo.steps=5"], "ppo.steps=5 .* algorithm=rloo"),
        ("online", "smoke", ["poll_seconds=1"], "poll_seconds=1.0 .* annotators=scripted"),
        ("online", "default", ["wait=stop", "poll_seconds=1"], "poll_seconds=1.0 .* wait=stop"),
        ("dpo", "smoke", ["held_out_pm_share=0", "preference.epochs=3"], "preference.epochs=3 .* held_out_pm_share=0"),
        ("dpo", "smoke", ["sft.epochs=3"], "sft.epochs=3 .* sft_first=false"),
        (
            "sft",
            "smoke",
            ["dialogues=a.jsonl", "data.comparisons=b.jsonl"],
            "data.comparisons=b.jsonl .* dialogues=a.jsonl",
        ),
        ("sft", "smoke", ["last_turn_only=true"], "last_turn_only=True .* dialogues=null"),
        ("evaluate", "smoke", ["served_name=x"], "served_name=x .* policy=tiny, which is no server"),
        ("evaluate", "smoke", ["judge=tiny", "judge_served_name=x"], "judge_served_name=x .* judge=tiny"),
        ("christiano2017_mujoco", "smoke", ["loop.queries=99"], "loop.queries=99 .* queries of their own"),
        ("christiano2017_backflip", "smoke", ["study=mine"], "study=mine .* labeller=synthetic"),
        (
            "ganguli2023_self_correction",
            "smoke",
            ["benchmarks=[bbq]", "students=4"],
            "students=4 .* without admissions",
        ),
        ("ganguli2023_self_correction", "smoke", ["conditions=[q, if]", "cot_items=5"], "cot_items=5 .* without cot"),
    ],
)
def test_an_assignment_that_nothing_reads_is_refused(
    recipe: str, scale: str, assignments: list[str], dead: str
) -> None:
    with pytest.raises(ConfigError, match=dead):
        resolve(recipe_named(recipe), scale=scale, assignments=assignments)


def test_what_a_scale_says_of_a_part_that_is_not_used_is_no_mistake() -> None:
    config = resolve(recipe_named("align"), scale="smoke", assignments=["algorithm=rloo", "model.full_finetune=true"])
    assert (config.ppo.steps, config.model.adapters.rank) == (3, 4)
