"""Learning from comparisons in control against `imitation`'s preference comparisons, on Pendulum-v1.

Equal on both sides: the task, 8 copies, 200 labels of clips of 100 steps from an oracle that answers with
``sigmoid(gap of true returns)``, a tenth of them from the untrained policy, environment steps, networks of two layers
of 32 units for policy, value and reward, learning rate and discount of PPO, one thread, and the 20 starts from which
the finished agent is measured. Environment steps are counted where they are taken: `imitation` takes 88,128 for
"60,000" (an iteration more than asked for, whole roll-outs, and samples for its clips beside those it trains on), and
ours stop before that many.

Different, because the methods are: ours has three reward networks on bootstraps, picks pairs they disagree on, assumes
a tenth of the answers to be random, holds returns small (`EnsembleConfig.return_l2`), fits three passes every 3,200
steps, normalises rewards, and writes every clip that is compared and every answer to the disk, so that a kill loses
none (`control.preference_loop`, the library's own); `imitation` has one network, takes pairs at random, fits three
passes in each of six rounds. PPO: ours learns from 800 steps at a time in 10 passes of minibatches of 400 with clip
0.2, theirs from 2,048 in 10 passes of minibatches of 64 with clip 0.1 (its tutorial's settings, as are all that the
command line does not name). ``--initial-epochs 200`` gives its network the longer first fit of its defaults.

    PREFLAB_IMITATION_PYTHON=path/to/its/python python -m benchmarks.control --seeds 12

Its environment: ``pip install torch==2.13.0``, then ``pip install imitation==1.0.1 stable-baselines3~=2.2.1
gymnasium~=0.29``. Contestants take turns seed by seed, in an order that turns round.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.common import arguments, prepare, say
from preflab.control.agents.ppo import PPO, PPOConfig
from preflab.control.archive import ClipArchive
from preflab.control.environments.classic_tasks import ClassicEnv
from preflab.control.environments.gym_env import EpisodeConfig, episode_seed
from preflab.control.loop_config import LoopConfig
from preflab.control.preference_loop import PreferenceLoop
from preflab.control.reward_learner import RewardLearner
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.label_log import LabelLog
from preflab.control.rewards.labellers import LabelSource, SynchronousLabeller
from preflab.control.rewards.oracle import Oracle, OracleConfig
from preflab.control.rewards.reward_networks import MLP
from preflab.conversion import to_json
from preflab.errors import ConfigError
from preflab.maths.statistics import mean_with_interval

SHARED: dict[str, Any] = {
    "task": "Pendulum-v1",
    "envs": 8,
    "labels": 200,
    "clip_steps": 100,
    "initial_share": 0.1,
    "policy_learning_rate": 2e-3,
    "discount": 0.97,
    "gae_lambda": 0.95,
    "entropy_bonus": 0.01,
}
THEIRS: dict[str, Any] = {
    "steps": 60_000,
    "iterations": 5,
    "policy_epochs": 10,
    "steps_per_env": 256,
    "minibatch_steps": 64,
    "clip": 0.1,
    "exploration": 0.05,
    "reward_epochs": 3,
    "reward_learning_rate": 1e-3,
}
OURS: dict[str, Any] = {
    "steps": 87_200,
    "pretrain_steps": 2400,
    "policy_epochs": 10,
    "steps_per_env": 100,
    "minibatch_steps": 400,
    "clip": 0.2,
    "reward_learning_rate": 3e-3,
    "batch_labels": 32,
    "return_l2": 1e-3,
    "initial_epochs": 100,
    "fit_every": 4,
    "fit_epochs": 3,
    "members": 3,
    "query_until": 0.5,
    "oversampling": 10,
}
"""``fit_every`` counts rounds; all labels are asked for in the first ``query_until`` of the steps."""


def _loop(seed: int, folder: Path) -> PreferenceLoop:
    """The library's own loop under these settings; clips and answers are kept in a folder, as in any run."""
    o = SHARED | OURS
    env = ClassicEnv(o["task"], o["envs"], seed=seed, episodes=EpisodeConfig(clip_steps=o["clip_steps"]))
    agent = PPOConfig(
        hidden=(32, 32),
        learning_rate=o["policy_learning_rate"],
        epochs=o["policy_epochs"],
        minibatch_steps=o["minibatch_steps"],
        clip=o["clip"],
        discount=o["discount"],
        gae_lambda=o["gae_lambda"],
        entropy_bonus=o["entropy_bonus"],
    )
    reward = EnsembleConfig(
        members=o["members"],
        learning_rate=o["reward_learning_rate"],
        batch_labels=o["batch_labels"],
        return_l2=o["return_l2"],
    )
    loop = LoopConfig(
        steps=o["steps"],
        pretrain_steps=o["pretrain_steps"],
        queries=o["labels"],
        pretrain_label_share=o["initial_share"],
        rollout_steps=o["steps_per_env"],
        candidates=400,
        oversample=o["oversampling"],
        half_life=float(o["steps"]),
        query_until=o["query_until"],
        pretrain_epochs=o["initial_epochs"],
        epochs=o["fit_epochs"],
        fit_every=o["fit_every"],
    )
    source = LabelSource(
        SynchronousLabeller(Oracle(OracleConfig(temperature=1.0), seed=seed)),
        ClipArchive(folder / "clips"),
        LabelLog(folder / "answers.jsonl"),
    )
    ensemble = RewardEnsemble(lambda: MLP(3, 1, hidden=(32, 32)), reward, seed=seed)
    learner = RewardLearner(loop, env, ensemble, source, seed=seed)
    return PreferenceLoop(env, PPO(env.spec, agent, seed=seed), learner)


def ours(seed: int, evaluate: list[int]) -> dict[str, Any]:
    """One run; set-up and evaluation are not timed."""
    with TemporaryDirectory() as folder:
        loop = _loop(seed, Path(folder))
        wall, cpu = time.perf_counter(), time.process_time()
        loop.run(lambda **_: None, lambda: None)
        taken = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    agent = loop.agent
    assert isinstance(agent, PPO)
    returns = {name: _returns(agent, evaluate, mean=name == "mean") for name in ("drawn", "mean")}
    return {**taken, "env_steps": loop.step, "labels": len(loop.learner.labels.all), "returns": returns}


def _returns(agent: PPO, seeds: list[int], *, mean: bool) -> list[float]:
    """True return of one episode from each seed, from the very states that Gymnasium starts in."""
    env = ClassicEnv(SHARED["task"], len(seeds))
    state, high = env.state(), np.array([np.pi, 1.0])
    state["state"] = torch.from_numpy(np.stack([np.random.default_rng(seed).uniform(-high, high) for seed in seeds]))
    env.load_state(state)
    total = np.zeros(len(seeds))
    for _ in range(env.spec.horizon):
        if mean:
            with torch.no_grad():
                actions = agent.body(agent.normalise(env.observations)).numpy()
        else:
            actions = agent.act(env.observations)
        total += env.step(actions).true_reward
    return [float(x) for x in total]


class Peer:
    """`imitation` in a process of its own, which waits for its turn."""

    def __init__(self, python: str, initial_epochs: float) -> None:
        self.settings = {**SHARED, **THEIRS, "initial_epochs": initial_epochs}
        worker = Path(__file__).with_name("imitation_worker.py")
        self.process = subprocess.Popen(
            [python, str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        say(peer=self._answer()["ready"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ConfigError("the peer's process ended; run benchmarks/imitation_worker.py by hand to see why")
        return dict(json.loads(line))

    def __call__(self, seed: int, evaluate: list[int]) -> dict[str, Any]:
        """One run."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({**self.settings, "seed": seed, "evaluate": evaluate}) + "\n")
        self.process.stdin.flush()
        return self._answer()


def main() -> None:
    """Race seed by seed, then say what the seeds say together."""
    parser = arguments(__doc__.splitlines()[0], threads=1)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--initial-epochs", type=float, default=4.0, help="the peer's first fit, times its 3 passes")
    options = parser.parse_args()
    python = os.environ.get("PREFLAB_IMITATION_PYTHON", "")
    if not python:
        raise ConfigError("set PREFLAB_IMITATION_PYTHON to a python that has imitation 1.0.1")
    prepare(options)
    peer = Peer(python, options.initial_epochs)
    say(shared=SHARED, ours=OURS, imitation=peer.settings)
    contestants = {"preflab": ours, "imitation": peer}
    evaluate = [episode_seed(0, i, 0) for i in range(20)]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for seed in range(options.seeds):
        for name in list(contestants)[:: 1 if seed % 2 == 0 else -1]:
            run = contestants[name](seed, evaluate)
            run["returns"] = {policy: round(float(np.mean(each)), 1) for policy, each in run["returns"].items()}
            runs[name].append(run)
            rate = {f"steps_per_{k}_second": round(run["env_steps"] / run[f"{k}_seconds"]) for k in ("cpu", "wall")}
            say(contestant=name, seed=seed, **rate, **{k: v for k, v in run.items() if k != "sizes"})
    say(**compare(runs))


def compare(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Mean true returns, the difference paired by seed, and how many times faster we are."""
    first, second = runs["preflab"], runs["imitation"]
    record: dict[str, Any] = {}
    for policy in ("drawn", "mean"):
        a, b = (np.array([run["returns"][policy] for run in side]) for side in (first, second))
        sides = {"preflab": a, "imitation": b, "difference": a - b}
        record[f"return_{policy}"] = {name: to_json(mean_with_interval(side)) for name, side in sides.items()}
    for clock in ("cpu", "wall"):
        pairs = [
            (x["env_steps"] / x[f"{clock}_seconds"], y["env_steps"] / y[f"{clock}_seconds"])
            for x, y in zip(first, second, strict=True)
        ]
        ratios = sorted(x / y for x, y in pairs)
        record[f"times_as_fast_{clock}"] = {
            "median": round(float(np.median(ratios)), 2),
            "lowest": round(ratios[0], 2),
            "highest": round(ratios[-1], 2),
        }
    return record


if __name__ == "__main__":
    main()
