"""TRL's trainers of pairs as contestants: the same weights, ids and order, and a record of what they processed."""

import argparse
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from benchmarks.workload import Item, word_tokenizer

Contestant = Callable[[], Callable[[], Mapping[str, Any]]]


def scorer_like(model: PreTrainedModel, head: Tensor) -> PreTrainedModel:
    """A sequence classifier with one output: the body of a language model, and a given score head."""
    config = type(model.config)(**{**model.config.to_dict(), "num_labels": 1})
    own = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")
    own.base_model.load_state_dict(model.base_model.state_dict())
    with torch.no_grad():
        own.score.weight.copy_(head)
    return own.to(torch.float32).to(model.device)


def language_model_like(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with ordinary SDPA attention."""
    own = type(model)._from_config(model.config, attn_implementation="sdpa")
    own.load_state_dict(model.state_dict())
    return own.to(torch.float32).to(model.device).requires_grad_(True)


def settings_of(options: argparse.Namespace, *, per_step: int, at_once: int, as_shipped: bool) -> dict[str, Any]:
    """What TRL is told. ``as_shipped`` leaves precision, checkpointing and the length limit at its defaults."""
    own: dict[str, Any] = {"bf16": options.dtype == "bf16", "gradient_checkpointing": False, "max_length": None}
    return {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": per_step // at_once,
        "num_train_epochs": 1,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "sequential",
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "use_cpu": options.device == "cpu",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": options.seed,
        **({} if as_shipped else own),
    }


def noting(trainer: type) -> type:
    """The trainer, with its losses noted and its tokens counted; nothing else differs."""

    class Noting(trainer):  # type: ignore[misc]
        """Remembers what passes by."""

        noted_tokens = 0

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            """TRL's own, noted."""
            self.noted_tokens += inputs["input_ids"].numel()
            found = super().compute_loss(model, inputs, *args, **kwargs)
            self.noted_losses = getattr(self, "noted_losses", [])
            self.noted_losses.append((found[0] if isinstance(found, tuple) else found).detach())
            return found

        def outcome(self, per_step: int) -> Mapping[str, Any]:
            """Tokens run through the trained model, and the loss of each optimiser step."""
            each = torch.stack(self.noted_losses).float().cpu()
            return {"tokens": self.noted_tokens, "losses": each.view(-1, per_step).mean(1).tolist()}

    return Noting


def run_of(trainer: Any, per_step: int) -> Callable[[], Mapping[str, Any]]:
    """Train, and tell."""

    def run() -> Mapping[str, Any]:
        trainer.train()
        told: Mapping[str, Any] = trainer.outcome(per_step)
        return told

    return run


def trl_reward(
    model: PreTrainedModel,
    head: Tensor,
    items: Sequence[Item],
    options: argparse.Namespace,
    *,
    per_step: int,
    at_once: int,
    as_shipped: bool = False,
) -> Contestant:
    """RewardTrainer over every pair of every comparison, in order; sizes count pairs."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import RewardConfig, RewardTrainer

    logging.getLogger("trl").setLevel(logging.ERROR)
    pairs = [pair for item in items for pair in item.pairs()]

    def set_up() -> Callable[[], Mapping[str, Any]]:
        trainer = noting(RewardTrainer)(
            model=scorer_like(model, head),
            args=RewardConfig(**settings_of(options, per_step=per_step, at_once=at_once, as_shipped=as_shipped)),
            train_dataset=Dataset.from_dict(
                {"chosen_ids": [c for c, _ in pairs], "rejected_ids": [r for _, r in pairs]}
            ),
            processing_class=word_tokenizer(model.config.vocab_size),
        )
        trainer.remove_callback(PrinterCallback)
        return run_of(trainer, per_step // at_once)

    return set_up


def trl_dpo(
    model: PreTrainedModel,
    items: Sequence[Item],
    options: argparse.Namespace,
    *,
    per_step: int,
    at_once: int,
    as_shipped: bool = False,
) -> Contestant:
    """DPOTrainer over the same pairs; its reference runs beside the policy, as many passes as before one epoch."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import DPOConfig, DPOTrainer

    logging.getLogger("trl").setLevel(logging.ERROR)

    def words(ids: Sequence[int]) -> str:
        end = model.config.vocab_size - 1
        return " ".join("<end>" if i == end else f"w{i}" for i in ids)

    records = [
        {"prompt": words(item.prefix), "chosen": " " + words(item.replies[0]), "rejected": " " + words(item.replies[1])}
        for item in items
    ]

    def set_up() -> Callable[[], Mapping[str, Any]]:
        settings = settings_of(options, per_step=per_step, at_once=at_once, as_shipped=as_shipped)
        trainer = noting(DPOTrainer)(
            model=language_model_like(model),
            ref_model=language_model_like(model).requires_grad_(False),
            args=DPOConfig(**settings, beta=options.beta),
            train_dataset=Dataset.from_list(records),
            processing_class=word_tokenizer(model.config.vocab_size),
        )
        trainer.remove_callback(PrinterCallback)
        return run_of(trainer, per_step // at_once)

    return set_up
