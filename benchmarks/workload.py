"""What is raced on: model shapes with random weights, and comparisons as token ids.

Weights and ids are functions of a seed. Text is folded into the vocabulary of the shape (only lengths matter to a
random model); two ids are kept out of it, so that padding and the end of a reply are tokens of their own.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.data.load import load_comparisons
from preflab.data.rows import Row
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.smollm2 import smollm2_folder
from preflab.rollouts.encoder import Encoder

LLAMA: dict[str, dict[str, int]] = {
    "tiny": {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
    "9m": {"vocab_size": 16_384, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6},
}
QWEN_SHARED = {
    "vocab_size": 151_936,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_hidden_layers": 28,
}
QWEN: dict[str, dict[str, int]] = {
    "tiny-qwen": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 512},
    "0.6b": {"hidden_size": 1024, "intermediate_size": 3072},
    "1.7b": {"hidden_size": 2048, "intermediate_size": 6144},
}


def random_model(shape: str, *, seed: int) -> PreTrainedModel:
    """A causal language model in fp32 with random weights: the same for the same seed."""
    shared = {"tie_word_embeddings": True, "bos_token_id": None, "max_position_embeddings": 4096}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if shape in LLAMA:
            llama = LlamaConfig(num_attention_heads=4, num_key_value_heads=4, **LLAMA[shape], **shared)
            return with_ends(LlamaForCausalLM(llama))
        if shape in QWEN:
            qwen = Qwen3Config(**QWEN_SHARED | QWEN[shape], **shared)
            return with_ends(Qwen3ForCausalLM(qwen))
    raise SystemExit(f"no shape {shape!r}: expected smollm2 or one of {', '.join([*LLAMA, *QWEN])}")


def with_ends(model: PreTrainedModel) -> PreTrainedModel:
    """Padding and end of sequence as the last two ids, different from one another."""
    vocab = model.config.vocab_size
    model.config.pad_token_id, model.config.eos_token_id = vocab - 2, vocab - 1
    if model.generation_config is not None:
        model.generation_config.pad_token_id, model.generation_config.eos_token_id = vocab - 2, vocab - 1
    return model.eval()


def load_model(shape: str, *, seed: int, device: str = "cpu") -> PreTrainedModel:
    """A shape with random weights, or ``smollm2`` with its own, in fp32."""
    if shape != "smollm2":
        return random_model(shape, seed=seed).to(device)
    return with_ends(load_language_model("smollm2", precision="fp32").model).to(device)


def source_of(model: PreTrainedModel, shape: str) -> LanguageModel:
    """A model in memory as ``models.roles.Trunk`` takes it."""
    return LanguageModel(model, word_tokenizer(model.config.vocab_size), shape, "made in memory", "")


def body_parameters(model: PreTrainedModel) -> int:
    """Weights that multiply every token: all but the embeddings."""
    return sum(p.numel() for p in model.parameters()) - model.get_input_embeddings().weight.numel()


def word_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Token i is the word ``w<i>``: text and ids say the same, so that no side gains or loses tokens."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    words = {f"w{i}": i for i in range(vocab_size - 2)} | {"<pad>": vocab_size - 2, "<end>": vocab_size - 1}
    raw = Tokenizer(models.WordLevel(words, unk_token="w0"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<pad>", "<end>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    return tokenizer


@dataclass(frozen=True)
class Item:
    """One comparison as tokens: a prefix and its replies, the best first, each closed by the end token."""

    prefix: tuple[int, ...]
    replies: tuple[tuple[int, ...], ...]

    @property
    def row(self) -> Row:
        """Prefix once, a branch for each reply."""
        return Row.of(self.prefix, *self.replies)

    @property
    def comparison(self) -> Comparison:
        """The judgement: replies in order of rank."""
        k = len(self.replies)
        prompt = Dialogue((Message("user", "w0"),))
        return Comparison(prompt=prompt, replies=tuple(f"w{i}" for i in range(k)), ranks=tuple(range(k)))

    def pairs(self) -> list[tuple[list[int], list[int]]]:
        """What a trainer of pairs gets: chosen and rejected as whole sequences, every pair of the ranking."""
        whole = [[*self.prefix, *reply] for reply in self.replies]
        return [(whole[i], whole[j]) for i in range(len(whole)) for j in range(i + 1, len(whole))]


def load_items(name: str | None, *, n: int, vocab: int, seed: int, k: int = 2) -> list[Item]:
    """``n`` comparisons of ``k`` replies: read by preflab, else of random ids with lengths like HH's.

    For more than two replies the further ones are drawn from other comparisons of the set, so that lengths stay
    HH's.
    """
    pool = hh_items(name, vocab=vocab) if name else synthetic_items(max(n, 64), vocab=vocab, seed=seed)
    rng = random.Random(seed)
    rng.shuffle(pool)
    pool = (pool * (n // len(pool) + 1)) if len(pool) < n else pool
    others = [reply for item in pool for reply in item.replies]
    return [replace(item, replies=(*item.replies, *rng.sample(others, k - 2))) for item in pool[:n]]


def hh_items(name: str, *, vocab: int) -> list[Item]:
    """Every comparison behind a name that preflab loads, in SmolLM2's tokens, folded into the vocabulary."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder())
    tokenizer.chat_template = None  # the dialogue format of Askell et al. 2021, as HH has it
    encoder = Encoder(tokenizer, max_tokens=8192)
    found = []
    for comparison in load_comparisons(name).comparisons:
        best_first = sorted(zip(comparison.ranks, comparison.replies, strict=True), key=lambda ranked: ranked[0])
        replies = [encoder.reply(reply)[:-1] for _, reply in best_first[:2]]
        found.append(folded(encoder.prompt(comparison.prompt), replies, vocab))
    return found


def folded(prefix: Sequence[int], replies: Sequence[Sequence[int]], vocab: int) -> Item:
    """Ids brought below the two kept ones, replies closed by the end token."""
    inside = vocab - 2
    own = tuple((*(t % inside for t in reply), vocab - 1) for reply in replies)
    return Item(tuple(t % inside for t in prefix), own)


def synthetic_items(n: int, *, vocab: int, seed: int) -> list[Item]:
    """Random ids. Lengths are log-normal, fitted to 1,690 comparisons of HH harmless-base in SmolLM2 tokens.

    prefix  mean of logarithms 4.38, deviation 0.98: about 125 tokens in the mean
    reply   mean of logarithms 3.42, deviation 0.88: about 45
    """
    rng = random.Random(seed)

    def ids(mu: float, sigma: float) -> list[int]:
        return [rng.randrange(vocab - 2) for _ in range(min(1000, max(2, round(rng.lognormvariate(mu, sigma)))))]

    return [folded(ids(4.38, 0.98), [ids(3.42, 0.88), ids(3.42, 0.88)], vocab) for _ in range(n)]
