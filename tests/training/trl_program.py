"""Run by a python that has TRL: the DPO losses, rewards and gradients of TRL's own trainer on given token ids.

    python trl_program.py <folder>

The folder holds ``policy`` and ``reference`` in transformers' format and ``pairs.json``; ``<loss>.safetensors`` and
``<loss>.json`` are written beside them.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

folder = Path(sys.argv[1])
asked = json.loads((folder / "pairs.json").read_text())
for loss in ("sigmoid", "ipo"):
    policy, reference = (AutoModelForCausalLM.from_pretrained(folder / name) for name in ("policy", "reference"))
    config = DPOConfig(
        output_dir=str(folder / "out"),
        loss_type=[loss],
        beta=asked["beta"],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        max_length=None,
    )
    words = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])  # not used: ids are given below
    trainer = DPOTrainer(
        model=policy,
        ref_model=reference,
        args=config,
        train_dataset=words,
        processing_class=AutoTokenizer.from_pretrained(folder / "policy"),
    )
    policy.eval()
    batch = trainer.data_collator(asked["pairs"])
    value = trainer.compute_loss(policy, batch)
    value.backward()
    measured = {key: own[-1] for key, own in trainer._metrics["eval"].items()}
    (folder / f"{loss}.json").write_text(json.dumps({"loss": value.item()} | measured))
    save_file({k: p.grad for k, p in policy.named_parameters() if p.grad is not None}, folder / f"{loss}.safetensors")
torch.manual_seed(0)
