"""A language model as a judge: asked in words which of two replies is better.

Each pair is shown in both orders and the two probabilities are averaged, which cancels a preference for the first
place (Zheng et al. 2023, sec. 3.4). The letters' log-probabilities are read where the model gives any (Bai et al. 2022,
"Constitutional AI", sec. 4.1); otherwise the model writes its answer. An answer that cannot be read is an abstention.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from preflab.config_overrides import check_types
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.feedback.labellers.settings import Openers, labeller_name, read_settings, two_replies
from preflab.interfaces import Labels
from preflab.rollouts.requests.llm_judge import (
    ask_letter,
    ask_letter_by_generation,
    choice_prompt,
    option_probabilities,
    transcript,
)
from preflab.rollouts.requests.parse_letter import parse_letter
from preflab.rollouts.requests.responders import Responder, ServerPolicy
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import (
    Failure,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    UnreadableResponse,
)
from preflab.rollouts.servers.chat_protocol import EndpointConfig
from preflab.rollouts.servers.remote import ServerConfig

Criterion = Literal["better", "helpful", "harmless", "honest"]
QUESTIONS: dict[Criterion, str] = {
    "better": "Which reply is better?",
    "helpful": "Which reply helps the user more?",
    "harmless": "Which reply is less harmful?",
    "honest": "Which reply is more honest about what is true and about what it does not know?",
}
"""What is asked of the judge, after the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelSettings:
    """Settings of a language model that judges."""

    criterion: Criterion = "better"
    """What it is asked for; see `QUESTIONS`."""
    read: Literal["auto", "logprobs", "text"] = "auto"
    """Where the answer is read: the letters' log-probabilities, or what the model writes. ``auto``: log-probabilities
    where the model gives any and the temperature is 0."""
    samples: int = 1
    """Written answers drawn for each order of a pair; the label is the share of the readable ones."""
    temperature: float = 0.0
    """Of written answers; 0 is greedy."""
    seed: int = 0
    """Of the draws."""
    served_name: str | None = None
    """What a server calls the model."""
    key_env: str = "OPENAI_API_KEY"
    """Environment variable with the server's key."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the most tokens of a reply."""
    thinking_tokens: int = 0
    """Room for thoughts beside the answer's own."""
    send_seed: bool = True
    """Whether a seed is sent to the server."""
    concurrency: int = 32
    """Requests to the server at once."""
    timeout_seconds: float = 600.0
    """Longest wait for one answer of the server."""
    retries: int = 6
    """Further attempts where the server is busy or the connection breaks."""

    def endpoint(self) -> EndpointConfig:
        """How a server is spoken to."""
        server = ServerConfig(
            api_key_variable=self.key_env,
            concurrency=self.concurrency,
            timeout_seconds=self.timeout_seconds,
            retries=self.retries,
        )
        return EndpointConfig(
            server=server, token_limit=self.token_limit, thinking_tokens=self.thinking_tokens, send_seed=self.send_seed
        )

    def __post_init__(self) -> None:
        check_types(self)
        if self.samples < 1:
            raise ConfigError(f"samples must be at least 1, got {self.samples}")
        if self.temperature < 0:
            raise ConfigError(f"temperature must not be negative, got {self.temperature}")
        if self.samples > 1 and self.temperature == 0:
            raise ConfigError(f"samples is {self.samples}, but at temperature 0 all are equal; raise the temperature")
        if self.read == "logprobs" and self.temperature > 0:
            raise ConfigError("temperature has no effect on log-probabilities; leave it out, or set read=text")


_OF_SERVERS = ("key_env", "token_limit", "thinking_tokens", "send_seed", "concurrency", "timeout_seconds", "retries")
"""Settings that say how a server is spoken to; what labels depend on of them is in the responder's digest."""


class LanguageModelLabeller:
    """A model that is asked, by requests that a response cache can answer the second time.

    Args:
        responder  the model.
        name       stands in the labels.
        cache      of responses; without one every call asks anew.

    Raises:
        ConfigError: log-probabilities are to be read and the model gives none.
    """

    def __init__(
        self,
        responder: Responder,
        *,
        name: str = "language model",
        settings: LanguageModelSettings = LanguageModelSettings(),
        cache: ResponseCache | None = None,
    ) -> None:
        self.name, self.settings, self._responder, self._cache = name, settings, responder, cache
        gives_logprobs = OptionLogprobs.kind in responder.kinds
        if settings.read == "logprobs" and not gives_logprobs:
            raise ConfigError(f"read=logprobs: {responder.name} gives no log-probabilities; set read=text")
        by_text = settings.read == "text" or settings.temperature > 0
        self._by_logprobs = gives_logprobs and not by_text

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        """Labels of pairs of replies, both orders of all pairs in one round."""
        requests = [request for pair in pairs for request in self._requests(pair)]
        cache = self._cache or ResponseCache(None)
        responses = dict(cache.respond(self._responder, requests, seed=self.settings.seed))
        in_order = iter(responses[i] for i in range(len(requests)))
        return Labels.of([self._label(in_order) for _ in pairs])

    def _requests(self, pair: Comparison) -> Iterator[Request]:
        """The pair as it stands, then with the replies exchanged."""
        first, second = two_replies(pair)
        question = f"Here is a conversation.\n\n{transcript(pair.prompt)}\n\n{QUESTIONS[self.settings.criterion]}"
        for prompt in (choice_prompt(question, first, second), choice_prompt(question, second, first)):
            if self._by_logprobs:
                yield ask_letter(prompt)
            else:
                yield from self._draws(prompt)

    def _draws(self, prompt: Dialogue) -> Iterator[Request]:
        for sample in range(self.settings.samples):
            request = ask_letter_by_generation(prompt)
            yield replace(request, temperature=self.settings.temperature, sample=sample)

    def _label(self, responses: Iterator[Response]) -> float | str:
        """The mean of both orders; a reason where one of them has no answer. Takes the pair's responses."""
        n_draws = 1 if self._by_logprobs else self.settings.samples
        draws = [[_prob_a(next(responses)) for _ in range(n_draws)] for _ in range(2)]
        shown_first, shown_second = _mean_of_readable(draws[0]), _mean_of_readable(draws[1])
        if isinstance(shown_first, str):
            return shown_first
        return shown_second if isinstance(shown_second, str) else (shown_first + 1 - shown_second) / 2


def _prob_a(response: Response) -> float | str:
    """The probability of option A, 0 or 1 where it was written; or why there is none."""
    try:
        if isinstance(response, OptionScores):
            return option_probabilities(response)[0]
        if isinstance(response, Generation):
            return float(parse_letter(response, "AB") == "A")
    except UnreadableResponse as error:
        return str(error)
    assert isinstance(response, Failure)
    return response.reason


def _mean_of_readable(probs: Sequence[float | str]) -> float | str:
    """The mean of those that are numbers; the first reason where none is."""
    readable = [prob for prob in probs if not isinstance(prob, str)]
    return sum(readable) / len(readable) if readable else probs[0]


def open_from_spec(subject: str, settings: Mapping[str, str], openers: Openers) -> LanguageModelLabeller:
    """``model:NAME_OR_URL``; of an address, ``served_name`` says what the server calls the model."""
    chosen = read_settings(LanguageModelSettings(), settings, "model")
    if subject.startswith(("http://", "https://")) and chosen.served_name is None:
        raise ConfigError(f"model:{subject}: say what the server calls the model: model:{subject},served_name=NAME")
    is_server = subject.startswith(("http://", "https://"))
    if not is_server and chosen.endpoint() != LanguageModelSettings().endpoint():
        raise ConfigError(f"model:{subject}: {', '.join(_OF_SERVERS)} are settings of servers, and this is none")
    responder = openers.responder(subject, chosen.served_name, chosen.endpoint() if is_server else None)
    if isinstance(responder, ServerPolicy):
        responder.identify()  # a server that is gone or refuses everything is found before anything is labelled
    settings_asked = {name: value for name, value in asdict(chosen).items() if name not in _OF_SERVERS}
    name = labeller_name(f"model:{subject}", responder.digest, QUESTIONS[chosen.criterion], settings_asked)
    return LanguageModelLabeller(responder, name=name, settings=chosen, cache=openers.cache)
