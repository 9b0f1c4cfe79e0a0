"""Models by name: those that cannot be opened say why before anything is loaded."""

from pathlib import Path

import pytest

from preflab import distributed
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, ModelError, RunError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.models.save import save_preference_model
from preflab.recipes.common.open_models import (
    ModelLoading,
    has_preference_model,
    is_address,
    open_judge,
    open_policy,
    open_scorer,
    run_named,
)
from preflab.rollouts.requests.responders import LocalPolicy, ServerPolicy
from preflab.rollouts.servers.chat_backends import policy_folder
from preflab.run import Run

RULE = "- id: r\n  category: form\n  goal: helpful\n  text: Say something.\n  check: {shorter_than: 1}\n"


@pytest.fixture
def loading(tmp_path: Path) -> ModelLoading:
    """A folder of runs with one that exported nothing."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.json").write_text("{}")
    (tmp_path / "r" / "record.json").write_text("{}")
    return ModelLoading(runs=str(tmp_path), max_context_tokens=64)


def test_a_model_in_this_process(loading: ModelLoading) -> None:
    policy = open_policy("tiny", loading)
    assert isinstance(policy, LocalPolicy)
    assert (policy.name, policy.encoder.max_tokens) == ("tiny", 64)


def test_a_server_must_be_named_and_gives_no_best_of_n(loading: ModelLoading) -> None:
    assert isinstance(open_policy("http://host:80", loading, served_name="m"), ServerPolicy)
    with pytest.raises(ConfigError, match="what the server calls the model"):
        open_policy("http://host:80", loading)
    with pytest.raises(ConfigError, match="not a server"):
        open_policy("http://host:80", loading, served_name="m", best_of=2)
    assert not is_address("host:80")


def test_best_of_n_needs_a_preference_model(loading: ModelLoading) -> None:
    with pytest.raises(ConfigError, match="needs a preference model"):
        open_policy("tiny", loading, best_of=2)


def test_a_run_without_a_preference_model(loading: ModelLoading) -> None:
    assert run_named("r", loading.runs) is not None
    assert run_named("gone", loading.runs) is None
    assert not has_preference_model("r", loading.runs)
    with pytest.raises(ModelError, match="has exported no preference model"):
        open_scorer("r", loading)


def test_what_a_judge_answers_lies_in_the_run(tmp_path: Path) -> None:
    pair = Comparison(prompt=Dialogue.of("q"), replies=("a", "b"), ranks=(0, 0))
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        labels = open_judge("model:tiny", run, device="cpu")([pair])
        (answers,) = (run.folder / "answers").iterdir()
        lines = answers.read_text()
        assert len(lines.splitlines()) == 2  # both orders
        again = open_judge("model:tiny", run, device="cpu")([pair])
    assert again.prob_first.nan_to_num().tolist() == labels.prob_first.nan_to_num().tolist()
    assert again.abstained == labels.abstained and answers.read_text() == lines


@pytest.mark.parametrize(
    ("judge", "complaint"),
    [
        ("pm:r", "judge 'pm:r': .*this run has exported no preference model"),
        ("pm:nowhere", "judge 'pm:nowhere': nowhere: cannot be loaded as a preference model"),
        ("model:nowhere", "judge 'model:nowhere': .*nowhere"),
    ],
)
def test_a_judge_that_cannot_be_opened_is_named(
    judge: str, complaint: str, loading: ModelLoading, tmp_path: Path
) -> None:
    """The run with nothing in it lies beside the one that asks."""
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run, pytest.raises(ModelError, match=complaint):
        open_judge(judge, run, device="cpu")


@pytest.mark.parametrize("judge", ["human:s", "model:http://host:1,served_name=m"])
def test_people_and_servers_are_asked_by_one_process(
    judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        with pytest.raises(ConfigError, match="is asked by one process alone"):
            open_judge(judge, run, device="cpu")
        assert open_judge("oracle:brief", run, device="cpu").name == "oracle:brief"


def save_tiny(folder: Path) -> Path:
    """A causal language model as any other library would save it."""
    source = load_language_model("tiny")
    source.model.save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)
    return folder


def test_a_saved_model_is_opened_by_its_path_and_by_its_path_among_the_runs(tmp_path: Path) -> None:
    save_tiny(tmp_path / "r" / "policy")
    (tmp_path / "r" / "config.json").write_text('{"recipe": "align"}')
    (tmp_path / "r" / "record.json").write_text("{}")
    loading = ModelLoading(runs=str(tmp_path), max_context_tokens=64)
    names = ("r", "r/policy", str(tmp_path / "r"), str(tmp_path / "r" / "policy"))
    responders = [open_policy(name, loading) for name in names]
    assert [responder.name for responder in responders] == ["r", *names[1:2], "r", names[3]]
    assert len({responder.digest for responder in responders}) == 1
    assert policy_folder(names[3]) == tmp_path / "r" / "policy"  # a chat with it


def test_a_saved_classifier_is_opened_as_a_preference_model_by_its_path(tmp_path: Path) -> None:
    role = Trunk(load_language_model("tiny", precision="fp32"), None).add_role("pm", head=True)
    save_preference_model(role, tmp_path / "pm", pad_id=0)
    assert not has_preference_model(str(tmp_path / "pm"), "runs")  # it is one
    _, digest = open_scorer(str(tmp_path / "pm"), ModelLoading(max_context_tokens=64))
    assert len(digest) == 64


def test_rules_that_changed_under_a_run_are_refused(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULE)
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        open_judge(f"rules:{rules}", run, device="cpu")
        open_judge("oracle:brief", run, device="cpu")  # reads nothing
        assert list(run.recorded("inputs")) == ["judge"]
        rules.write_text(RULE.replace("1}", "2}"))
        with pytest.raises(RunError, match=r"its judge changed since it began: .*rules\.yaml was sha256"):
            open_judge(f"rules:{rules}", run, device="cpu")
