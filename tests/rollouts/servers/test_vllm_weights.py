"""How weights reach a vLLM server: adapters by folder, whole models by reload, and what a server may get wrong."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import SamplerError
from preflab.models.roles import Role
from preflab.rollouts.servers.vllm import VLLMEngine
from tests.fake_vllm import FakeVLLM, refusal
from tests.rollouts.servers.vllm_parts import EIGHT, QUICK, encoder, gap, prompts, stir, trunk


def test_a_push_renews_the_weights_and_clears_away_the_old_ones(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM, tmp_path: Path
) -> None:
    engine.push(policy, 0)
    old = engine.generate(prompts(), EIGHT, n=2, seed=5)
    others = tmp_path / "somebody-elses"
    shutil.copytree(next((tmp_path / "weights").iterdir()), others)
    fake.load({"lora_name": "somebody-elses", "lora_path": str(others)})
    (tmp_path / "weights" / "notes").mkdir()
    stir(policy, seed=2)
    assert gap(policy, old) > 0.1
    engine.push(policy, 1)
    new = engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert gap(policy, new) < 1e-4 and {r.version for rs in new for r in rs} == {1}
    name = engine.pushed.name if engine.pushed else ""
    assert re.fullmatch(r"policy-v000001-[0-9a-f]{8}", name)
    assert set(fake.adapters) == {name, "somebody-elses"}
    assert {p.name for p in (tmp_path / "weights").iterdir()} == {name, "notes"}


def test_the_same_weights_pushed_again_after_a_kill_keep_their_name(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 4)
    (name,) = fake.adapters
    again = VLLMEngine(fake.url, encoder(), engine.weights.folder, QUICK)
    again.push(policy, 4)
    assert list(fake.adapters) == [name]
    stir(policy, seed=9)  # the same version with other weights: a run that was taken up and went another way
    again.push(policy, 4)
    assert list(fake.adapters) != [name]
    assert gap(policy, again.generate(prompts(), EIGHT, n=1, seed=0)) < 1e-4
    again.close()


def test_a_server_that_cannot_load_adapters_is_told_apart(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    fake.runtime_lora = False
    with pytest.raises(SamplerError, match=r"cannot load adapters while it runs.*VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        engine.push(policy, 0)


def test_one_with_too_little_rank(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    fake.max_rank = 2
    with pytest.raises(SamplerError, match=r"--max-lora-rank\); found 500 LoRA rank 4 is greater than max_lora_rank 2"):
        engine.push(policy, 0)
    assert len(fake.paths("/v1/load_lora_adapter")) == 1  # asking again would change nothing


def test_one_that_does_not_see_the_folder(fake: FakeVLLM, policy: Role, tmp_path: Path) -> None:
    engine = VLLMEngine(fake.url, encoder(), tmp_path, replace(QUICK, folder_on_server="/elsewhere/"))
    with pytest.raises(SamplerError, match=r"does not see the folder of adapters; expected /elsewhere/policy-v000000-"):
        engine.push(policy, 0)
    engine.close()
    there = tmp_path / "there"
    there.symlink_to(tmp_path / "here")
    seen = VLLMEngine(fake.url, encoder(), tmp_path / "here", replace(QUICK, folder_on_server=str(there)))
    seen.push(policy, 0)
    seen.push(stir(policy, 2), 1)
    assert [path for path, _ in fake.adapters.values()] == [f"{there}/{seen.pushed.name}"]  # type: ignore[union-attr]
    seen.close()


def test_one_with_too_little_context(policy: Role, tmp_path: Path) -> None:
    fake = FakeVLLM(max_len=64)
    engine = VLLMEngine(fake.url, encoder(), tmp_path, QUICK)
    with pytest.raises(SamplerError, match=r"too little room; expected 120 tokens.*--max-model-len there\); found 64"):
        engine.push(policy, 0)
    engine.close()
    fake.stop()


def test_one_that_serves_another_model_or_several(fake: FakeVLLM, policy: Role, tmp_path: Path) -> None:
    engine = VLLMEngine(fake.url, encoder(), tmp_path, replace(QUICK, model="llama"))
    with pytest.raises(SamplerError, match=r"wrong model; expected it to serve 'llama'; found \['tiny'\]"):
        engine.push(policy, 0)
    engine.close()
    engine = VLLMEngine(fake.url, encoder(), tmp_path, QUICK)
    cards = [{"id": name, "parent": None} for name in ("tiny", "large")]
    fake.before = lambda path, body: (200, {"data": cards}) if path == "/v1/models" else None
    with pytest.raises(SamplerError, match=r"not clear which model.*found \['tiny', 'large'\]"):
        engine.push(policy, 0)
    engine.close()


@pytest.mark.parametrize("said", [(200, "<html>"), (401, {"error": "Unauthorized"}), (200, {"data": [{}]})])
def test_what_is_no_vllm_server_at_all(said: tuple[int, Any], engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    fake.before = lambda path, body: said
    with pytest.raises(SamplerError, match=r"no vLLM server, or it wants a key; expected a list at /v1/models"):
        engine.push(policy, 0)


def test_an_adapter_that_is_loaded_but_not_listed_at_its_folder(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    fake.before = lambda path, body: refusal(400, "has already been loaded") if "load_lora" in path else None
    with pytest.raises(SamplerError, match=r"not what the server lists; expected it at .*found None"):
        engine.push(policy, 0)


def test_a_whole_model_is_reloaded_from_its_folder_while_nothing_samples(engine: VLLMEngine, fake: FakeVLLM) -> None:
    role = stir(trunk(None).add_role("policy"), seed=1, size=0.05)
    engine.push(role, 5)
    found = engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert gap(role, found) < 1e-4 and gap(role.trunk.reference(), found) > 0.1
    assert {r.version for rs in found for r in rs} == {5}
    posts = [path for method, path, _, _ in fake.asked if method == "POST" and "completions" not in path]
    expected = ["/pause?mode=wait", "/collective_rpc", "/reset_prefix_cache", "/update_weight_version", "/resume"]
    assert posts == expected
    fake.stop()
    fake.start()  # with its old weights
    assert engine.generate(prompts(), EIGHT, n=2, seed=5) == found
    assert fake.version == engine.pushed.name  # type: ignore[union-attr]


def test_weights_changed_by_somebody_else_meanwhile_are_noticed(engine: VLLMEngine, fake: FakeVLLM) -> None:
    engine.push(trunk(None).add_role("policy"), 0)

    def meddle(path: str, body: Any) -> None:
        if path == "/v1/completions":
            fake.version = "mine"

    fake.before = meddle
    with pytest.raises(
        SamplerError, match=r"changed weights while it sampled; expected 'policy-v000000-.*found 'mine'"
    ):
        engine.generate(prompts(), EIGHT, n=1, seed=5)


def test_a_reload_that_leaves_the_output_layer_behind_is_caught(engine: VLLMEngine, fake: FakeVLLM) -> None:
    fake.tied_head_stays = True
    with pytest.raises(SamplerError, match="not all of what was pushed"):
        engine.push(stir(trunk(None).add_role("policy"), seed=1, size=0.01), 0)


def test_whole_models_need_the_developers_endpoints(engine: VLLMEngine, fake: FakeVLLM) -> None:
    fake.dev = False
    expected = r"cannot renew whole models; .*VLLM_SERVER_DEV_MODE=1.*Adapters need neither"
    with pytest.raises(SamplerError, match=expected):
        engine.push(trunk(None).add_role("policy"), 0)
    fake.dev = True
    fake.before = lambda path, body: refusal(500, "no such folder") if path == "/collective_rpc" else None
    with pytest.raises(SamplerError, match=r"/collective_rpc failed; .*no such folder"):
        engine.push(trunk(None).add_role("policy"), 0)
    assert not fake.paused
