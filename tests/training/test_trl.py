"""Against TRL 1.16's own DPOTrainer: the same weights and pairs give the same losses, rewards and gradients.

Needs a python that imports trl, named by PREFLAB_TRL_PYTHON; skipped without.
"""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.models.save import save_policy
from preflab.rollouts.encode import encode_comparisons
from tests.training.oracle import close
from tests.training.test_dpo import CONFIG, first_step, make

PYTHON = os.environ.get("PREFLAB_TRL_PYTHON")
PROGRAM = Path(__file__).with_name("trl_program.py")
BETA = 0.3
PAIRS = [
    Comparison(prompt=Dialogue.of("hi"), replies=("hello there", "go away"), ranks=(0, 1)),
    Comparison(prompt=Dialogue.of("name a colour of the sky"), replies=("red", "blue, I think"), ranks=(0, 1)),
    Comparison(prompt=Dialogue.of("why", "because", "why again"), replies=("so", "no"), ranks=(0, 1)),
]


@pytest.mark.skipif(PYTHON is None, reason="PREFLAB_TRL_PYTHON does not name a python that imports trl")
def test_losses_rewards_and_gradients_are_those_of_trl(tmp_path: Path) -> None:
    assert PYTHON is not None
    role, _, encoder = make()
    rows = encode_comparisons(encoder, PAIRS).rows
    save_policy(role, tmp_path / "policy")
    save_policy(Trunk(load_language_model("tiny", precision="fp32"), None).add_role("same"), tmp_path / "reference")
    pairs = [dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), map(list, r.segments), strict=True)) for r in rows]
    (tmp_path / "pairs.json").write_text(json.dumps({"beta": BETA, "pairs": pairs}))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([PYTHON, str(PROGRAM), str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    for ours, theirs in (("dpo", "sigmoid"), ("ipo", "ipo")):
        config = replace(CONFIG, loss=ours, beta=BETA)  # type: ignore[arg-type]
        step, found = first_step(config, rows, [(c,) for c in PAIRS])
        said = json.loads((tmp_path / f"{theirs}.json").read_text())
        assert step.loss == pytest.approx(said["loss"], rel=1e-5)
        assert step.chosen_logp == pytest.approx(said["logps/chosen"], rel=1e-5)
        assert step.rejected_logp == pytest.approx(said["logps/rejected"], rel=1e-5)
        if ours == "dpo":  # for IPO TRL reports sums though its loss compares means; ours reports what is compared
            assert step.chosen_reward == pytest.approx(said["rewards/chosen"], abs=1e-4)
            assert step.margin == pytest.approx(said["rewards/margins"], abs=1e-4)
            assert step.accuracy == pytest.approx(said["rewards/accuracies"])
        close(found, load_file(tmp_path / f"{theirs}.safetensors"))
