"""Models by name: a run, a model or a server; a run's preference model; a judge of comparisons."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from preflab import distributed
from preflab.data.comparison import Comparison
from preflab.data.sources.files import digest_of
from preflab.errors import ConfigError, ModelError, RunError
from preflab.feedback.labellers.settings import Openers
from preflab.feedback.labellers.specs import LabellerSpec, open_labeller, parse_spec
from preflab.feedback.recorded_labels import OnProgress
from preflab.interfaces import Labeller
from preflab.models.load import LanguageModel, Precision, load_language_model
from preflab.models.preference_model import load_preference_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.requests.responders import BestOfN, LocalPolicy, Responder, ScorerResponder, ServerPolicy
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.score import PreferenceScorer
from preflab.rollouts.servers.chat_backends import policy_folder
from preflab.rollouts.servers.chat_protocol import EndpointConfig
from preflab.run import Run
from preflab.runner.inputs import BUILT_IN, guard_input, model_files
from preflab.runner.launch import find_run

PREFERENCE_MODEL = "preference_model"
"""Folder of a run in which its preference model was exported."""
_MODEL_MARKS = ("config.json", "adapter_config.json")
"""Files by which the folder of a saved model is known."""
JUDGE_RESPONSES = "answers"
"""Folder of a run in which a judge's responses are kept as they come."""


@dataclass(frozen=True, kw_only=True)
class ModelLoading:
    """Where models are looked for, and how they are loaded."""

    runs: str = "runs"
    """The folder in which named runs lie."""
    precision: Precision = "auto"
    device: str = "auto"
    max_context_tokens: int = 4096
    """Longest prompt and reply together; the model's own limit if that is shorter."""
    moment: datetime | None = None
    """The date that chat templates are told: that on which a run began; None: today's."""


DEFAULT_LOADING = ModelLoading()


def _encoder_of(source: LanguageModel, loading: ModelLoading) -> Encoder:
    """Tokens for a model that was loaded so."""
    return Encoder(
        source.tokenizer,
        max_tokens=min(source.context_tokens, loading.max_context_tokens),
        embedding_rows=source.embedding_rows,
        moment=loading.moment,
    )


def run_named(name: str, runs: str) -> Path | None:
    """The run of that name or path; None if there is none."""
    try:
        return find_run(name, runs)
    except RunError:
        return None


def model_path(name: str, runs: str) -> str:
    """What a model is loaded by: the exported policy of a run, a saved model's folder, or the name as it is.

    A folder is looked for as a path and in ``runs``: ``RUN/policy`` is the policy of that run.

    Raises:
        ModelError: the run has exported no policy.
    """
    run = run_named(name, runs)
    return _saved_model(name, runs) if run is None else str(policy_folder(str(run)))


def _saved_model(name: str, runs: str) -> str:
    """The folder of a saved model by its path, or by its path in ``runs``; the name as it is where there is none."""
    if name in BUILT_IN:
        return name
    folders = (Path(name).expanduser(), Path(runs).expanduser() / name)
    return next((str(folder) for folder in folders if any((folder / file).is_file() for file in _MODEL_MARKS)), name)


def is_address(name: str) -> bool:
    """Whether the name is that of a server."""
    return name.startswith(("http://", "https://"))


def open_policy(
    name: str,
    loading: ModelLoading = DEFAULT_LOADING,
    *,
    served_name: str | None = None,
    endpoint: EndpointConfig | None = None,
    best_of: int = 1,
    pm: str | None = None,
) -> Responder:
    """The policy of that name.

    Args:
        name         a run (its exported policy), ``smollm2``, ``tiny``, the folder of a saved model (``RUN/policy``,
                     what another trainer wrote), a .gguf file, a hub id, or the address of a server that speaks
                     OpenAI's chat protocol.
        served_name  what a server calls the model.
        endpoint     how a server is spoken to.
        best_of      replies drawn of which the preference model ``pm`` chooses the best.
        pm           as for `open_scorer`.

    Raises:
        ConfigError: a server without ``served_name``, or ``best_of`` above 1 with a server or without ``pm``.
        ModelError: there is no such model, or the run has exported none.
    """
    if is_address(name):
        if served_name is None:
            raise ConfigError(f"{name}: say what the server calls the model (--served-name)")
        if best_of > 1:
            raise ConfigError("best_of above 1 needs a policy in this process, not a server")
        return ServerPolicy(name, served_name, config=endpoint)
    run = run_named(name, loading.runs)
    source = load_language_model(model_path(name, loading.runs), precision=loading.precision, device=loading.device)
    encoder = _encoder_of(source, loading)
    label = name if run is None else run.name
    policy = LocalPolicy(Trunk(source, None).reference(), encoder, name=label, weights=source.sha256)
    if best_of == 1:
        return policy
    if pm is None:
        raise ConfigError("best_of above 1 needs a preference model that chooses (--pm)")
    scorer, digest = open_scorer(pm, loading)
    return BestOfN(policy, scorer, best_of, scorer_digest=digest)


def open_scorer(name: str, loading: ModelLoading = DEFAULT_LOADING) -> tuple[PreferenceScorer, str]:
    """The preference model of a run, or one in a folder or on the hub; and the digest of its weights.

    It is loaded in fp32, whatever ``loading`` says.

    Raises:
        ModelError: there is none.
    """
    run = run_named(name, loading.runs)
    if run is not None and not (run / PREFERENCE_MODEL).is_dir():
        raise ModelError(f"{run}: this run has exported no preference model")
    folder = _saved_model(name, loading.runs) if run is None else str(run / PREFERENCE_MODEL)
    role = load_preference_model(folder, device=loading.device)
    source = role.trunk.source
    encoder = _encoder_of(source, loading)
    return PreferenceScorer(role, encoder), source.sha256


def open_rater(name: str, loading: ModelLoading = DEFAULT_LOADING) -> ScorerResponder:
    """A preference model as one that rates replies; ``name`` as for `open_scorer`."""
    scorer, digest = open_scorer(name, loading)
    return ScorerResponder(scorer, name=name, digest=digest)


def has_preference_model(name: str, runs: str) -> bool:
    """Whether the name is that of a run that has exported a preference model."""
    run = run_named(name, runs)
    return run is not None and (run / PREFERENCE_MODEL).is_dir()


def open_judge(spec: str, run: Run, *, device: str, on_progress: OnProgress | None = None) -> Labeller[Comparison]:
    """The judge of a specification, as ``--judge`` takes it; runs are looked for beside this one.

    Args:
        run          keeps what models answer, so that a kill costs no answer twice.
        device       of its models.
        on_progress  hears of pairs that are judged, and of pairs that were asked, where people are waited for.

    Raises:
        ConfigError: a setting is wrong, or people or a server are to judge for several processes.
        ModelError, StoreError: a model or a store cannot be opened.
    """
    parsed, is_shared = parse_spec(spec), distributed.world_size() > 1
    if is_shared and (parsed.kind == "human" or is_address(parsed.subject)):
        raise ConfigError(
            f"judge {spec!r} is asked by one process alone: start the run without torchrun until its labels are there, "
            "then go on with several"
        )
    loading = ModelLoading(runs=str(run.folder.parent), device=device, moment=run.started)
    _guard_judge(run, parsed, loading.runs)
    openers = Openers(
        scorer=lambda name: open_scorer(name, loading),
        responder=lambda name, served_name, endpoint: open_policy(
            name, loading, served_name=served_name, endpoint=endpoint
        ),
        # several processes ask in step: a file that one of them reads a moment later than another would part them
        cache=ResponseCache(None if is_shared else run.folder / JUDGE_RESPONSES),
        on_progress=on_progress,
    )
    try:
        return open_labeller(spec, openers)
    except ModelError as error:
        raise ModelError(f"judge {spec!r}: {error}") from error


def _guard_judge(run: Run, parsed: LabellerSpec, runs: str) -> None:
    """Refuse to go on with another file of rules, or other weights, than a judge of this run had.

    Raises:
        RunError: one of its files changed.
    """
    name = parsed.subject
    if parsed.kind not in ("pm", "model", "rules") or is_address(name):
        return  # people's answers are a log of their own, and an oracle reads nothing
    judging_run = None if parsed.kind == "rules" else run_named(name, runs)
    if judging_run is None:
        files = model_files(_saved_model(name, runs))
    else:
        files = model_files(str(judging_run / (PREFERENCE_MODEL if parsed.kind == "pm" else "policy")))
    if files:
        guard_input(run, "judge", source=name, digest=digest_of(files), files=files)
