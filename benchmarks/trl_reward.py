"""TRL's RewardTrainer as a contestant: the same weights, ids and order, and a record of what it processed."""

import argparse
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from benchmarks.workload import Item, word_tokenizer


def scorer_like(model: PreTrainedModel, head: Tensor) -> PreTrainedModel:
    """A sequence classifier with one output: the body of a language model, and a given score head."""
    config = type(model.config)(**{**model.config.to_dict(), "num_labels": 1})
    own = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")
    own.base_model.load_state_dict(model.base_model.state_dict())
    with torch.no_grad():
        own.score.weight.copy_(head)
    return own.to(torch.float32).to(model.device)


def dataset(items: Sequence[Item]) -> Any:
    """Every pair of every comparison, in order, as tokens."""
    from datasets import Dataset

    pairs = [pair for item in items for pair in item.pairs()]
    return Dataset.from_dict({"chosen_ids": [c for c, _ in pairs], "rejected_ids": [r for _, r in pairs]})


def trl_reward(
    model: PreTrainedModel,
    head: Tensor,
    items: Sequence[Item],
    options: argparse.Namespace,
    *,
    pairs_per_step: int,
    pairs_at_once: int,
    as_shipped: bool = False,
) -> Callable[[], Callable[[], Mapping[str, Any]]]:
    """A contestant. ``as_shipped`` leaves precision, checkpointing and the length limit at TRL's defaults."""
    from trl import RewardConfig, RewardTrainer

    logging.getLogger("trl").setLevel(logging.ERROR)
    own_settings: dict[str, Any] = (
        {}
        if as_shipped
        else {"bf16": options.dtype == "bf16", "gradient_checkpointing": False, "max_length": None, "tf32": None}
    )

    class Noting(RewardTrainer):
        """Remembers losses and counts tokens; nothing else differs."""

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            """TRL's own, noted."""
            self.noted_tokens += inputs["input_ids"].numel()
            found = super().compute_loss(model, inputs, *args, **kwargs)
            self.noted_losses.append((found[0] if isinstance(found, tuple) else found).detach())
            return found

    def set_up() -> Callable[[], Mapping[str, Any]]:
        folder = tempfile.mkdtemp()
        settings = RewardConfig(
            output_dir=folder,
            per_device_train_batch_size=pairs_at_once,
            gradient_accumulation_steps=pairs_per_step // pairs_at_once,
            num_train_epochs=1,
            learning_rate=options.learning_rate,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            train_sampling_strategy="sequential",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            use_cpu=options.device == "cpu",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=options.seed,
            **own_settings,
        )
        trainer = Noting(
            model=scorer_like(model, head),
            args=settings,
            train_dataset=dataset(items),
            processing_class=word_tokenizer(model.config.vocab_size),
        )
        trainer.noted_tokens, trainer.noted_losses = 0, []

        def run() -> Mapping[str, Any]:
            trainer.train()
            each = torch.stack(trainer.noted_losses).float().cpu()
            losses = each.view(-1, pairs_per_step // pairs_at_once).mean(1).tolist()
            return {"tokens": trainer.noted_tokens, "losses": losses}

        return run

    return set_up
