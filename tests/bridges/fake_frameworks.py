"""The parts of Inspect and of lm-evaluation-harness that our model classes stand on, for where neither is installed.

Names, arguments and the windows of long texts are those of inspect-ai 0.3 and lm-eval 0.4. Against the real ones the
classes are held by the programs beside this file.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any


class Attributes:
    """Anything with the attributes it is made with."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class ModelAPI:
    """What Inspect's own does with its arguments: keep them."""

    def __init__(
        self, model_name: str, base_url: Any, api_key: Any, api_key_vars: list[str], config: Any = None
    ) -> None:
        self.model_name, self.base_url, self.api_key, self.config = model_name, base_url, api_key, config


class GenerateConfig:
    """Settings of one call; None where the caller says nothing."""

    def __init__(self, **settings: Any) -> None:
        self.temperature = self.max_tokens = self.stop_seqs = self.seed = None
        vars(self).update(settings)


class ModelOutput:
    """A completion and why it ended."""

    def __init__(self, model: str, completion: str, stop_reason: str) -> None:
        self.model, self.completion, self.stop_reason, self.usage = model, completion, stop_reason, None

    @classmethod
    def from_content(cls, model: str, content: str, stop_reason: str) -> "ModelOutput":
        return cls(model, content, stop_reason)


def modelapi(name: str) -> Callable[[Any], Any]:
    """Registers nothing; the name is kept on the function."""

    def decorate(function: Any) -> Any:
        function.registered_as = name
        return function

    return decorate


def inspect_modules() -> dict[str, ModuleType]:
    """``inspect_ai`` and ``inspect_ai.model``."""
    model = ModuleType("inspect_ai.model")
    for part in (ModelAPI, GenerateConfig, ModelOutput, modelapi):
        setattr(model, part.__name__, part)
    model.ModelUsage = Attributes  # type: ignore[attr-defined]
    return {"inspect_ai": ModuleType("inspect_ai"), "inspect_ai.model": model}


# lm-evaluation-harness -------------------------------------------------------------------------------------


class Cache:
    """Keeps what the model class hands to the harness's cache."""

    def __init__(self) -> None:
        self.partials: list[tuple[str, Any, Any]] = []

    def add_partial(self, attribute: str, request: Any, result: Any) -> None:
        self.partials.append((attribute, request, result))


class TemplateLM:
    """The harness's base class: texts become tokens here, a blank at a context's end goes to the continuation."""

    def __init__(self) -> None:
        self.cache_hook = Cache()

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        encoded = []
        for context, continuation in (request.args for request in requests):
            if not context:
                tokens = self.tok_encode(continuation)  # type: ignore[attr-defined]
                encoded.append(((context, continuation), [self.prefix_token_id], tokens))  # type: ignore[attr-defined]
                continue
            blanks = len(context) - len(context.rstrip())
            text, end = (context[:-blanks], context[-blanks:] + continuation) if blanks else (context, continuation)
            both, alone = self.tok_encode(text + end), self.tok_encode(text)  # type: ignore[attr-defined]
            encoded.append(((context, continuation), alone, both[len(alone) :]))
        scores: list[tuple[float, bool]] = self._loglikelihood_tokens(encoded)  # type: ignore[attr-defined]
        return scores


def get_rolling_token_windows(
    token_list: list[int], prefix_token: int, max_seq_len: int, context_len: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Windows in which every token is predicted once."""
    if not token_list:
        return
    n_predicted_at_once = max_seq_len - context_len + 1
    first = min(max_seq_len, len(token_list))
    yield [prefix_token, *token_list[: first - 1]], token_list[:first]
    predicted = first
    while predicted < len(token_list):
        n = min(len(token_list) - predicted, n_predicted_at_once)
        end = predicted + n
        yield token_list[end - max_seq_len - 1 : end - 1], token_list[end - n : end]
        predicted += n


def make_disjoint_window(pair: tuple[list[int], list[int]]) -> tuple[list[int], list[int]]:
    """Take from the context what the continuation holds too."""
    context, continuation = pair
    return context[: len(context) - (len(continuation) - 1)], continuation


def lm_eval_modules() -> dict[str, ModuleType]:
    """``lm_eval`` with ``api.model`` and ``utils``."""
    model, utils = ModuleType("lm_eval.api.model"), ModuleType("lm_eval.utils")
    model.TemplateLM = TemplateLM  # type: ignore[attr-defined]
    for function in (get_rolling_token_windows, make_disjoint_window):
        setattr(utils, function.__name__, function)
    packages = {name: ModuleType(name) for name in ("lm_eval", "lm_eval.api")}
    return packages | {"lm_eval.api.model": model, "lm_eval.utils": utils}
