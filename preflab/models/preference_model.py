"""Load a saved preference model: what ``save_preference_model`` wrote, or any one-label sequence classifier."""

from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from preflab.errors import ModelError
from preflab.models.heads import ScalarHead
from preflab.models.load import (
    LanguageModel,
    Precision,
    check_finite,
    quiet_loading,
    torch_device,
    torch_dtype,
    weights_sha256,
)
from preflab.models.parallel import copy_buffers
from preflab.models.roles import Role, Trunk


def load_preference_model(name: str, *, precision: Precision = "fp32", device: str = "auto") -> Role:
    """A role with a scalar head on a trunk of its own, for scoring.

    The score is read at the token that closes a reply, as `preflab.rollouts.score.PreferenceScorer` lays dialogues
    out. Models of other makers that read it elsewhere are not the same model then.

    Args:
        name       a folder or hub id that ``AutoModelForSequenceClassification`` reads.
        precision  of the weights.

    Raises:
        ModelError: there is no such model, weights of it are missing, or it gives more than one number.
    """
    target_device = torch_device(device)
    try:
        with quiet_loading():
            classifier, report = AutoModelForSequenceClassification.from_pretrained(
                name, dtype=torch_dtype(precision, target_device), output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{name}: cannot be loaded as a preference model: {str(error).splitlines()[0]:.300}"
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{name}: weights are missing and would be random: {', '.join(missing[:4])}")
    check_finite(classifier, name)
    weight = getattr(getattr(classifier, "score", None), "weight", None)
    if weight is None or weight.shape[0] != 1:
        raise ModelError(f"{name}: expected a linear head 'score' that gives one number")
    digest = weights_sha256(classifier)
    model = _language_model_around(classifier).eval().to(target_device)
    trunk = Trunk(LanguageModel(model, tokenizer, name, name, digest), None)
    head = ScalarHead(trunk.hidden_size)
    with torch.no_grad():
        head.weight.copy_(weight.float())
    return trunk.reference(head.requires_grad_(False))


def _language_model_around(classifier: Any) -> Any:
    """A causal language model with the classifier's body; its output layer is never used."""
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(classifier.config)
    model = model.to_empty(device="cpu").to(next(classifier.parameters()).dtype)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    missing, unexpected = model.base_model.load_state_dict(classifier.base_model.state_dict(), strict=False)
    if missing or unexpected:
        raise ModelError(f"the classifier's body differs: missing {missing[:3]}, unexpected {unexpected[:3]}")
    copy_buffers(classifier.base_model, model.base_model)
    return model
