"""The other end of ``benchmarks.control``: run by a python that has `imitation`, it learns once a line.

Each line is JSON and asks for one run; the answer is one JSON line. Whatever the libraries print goes to stderr.
Settings that the line does not name are those of the library's own tutorial on preference comparisons.
"""

import json
import os
import sys
import time
from typing import Any

ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def answer(**fields: Any) -> None:
    """One line back."""
    print(json.dumps(fields), file=ANSWERS, flush=True)


def evaluate(agent: Any, make: Any, seeds: list[int], *, mean: bool) -> list[float]:
    """True return of one episode from each seed; all episodes side by side."""
    import numpy as np

    envs = [make() for _ in seeds]
    observations = np.stack([env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)])
    returns, over = np.zeros(len(seeds)), False
    while not over:
        actions, _ = agent.predict(observations, deterministic=mean)
        steps = [env.step(action) for env, action in zip(envs, actions, strict=True)]
        observations = np.stack([step[0] for step in steps])
        returns += [float(step[1]) for step in steps]
        over = steps[0][3]
    return returns.tolist()


def one_run(order: dict[str, Any]) -> dict[str, Any]:
    """Learn from comparisons; time, what was used, true returns of the finished agent."""
    import gymnasium
    import numpy as np
    from imitation.algorithms import preference_comparisons as pc
    from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor
    from imitation.rewards.reward_nets import BasicRewardNet
    from imitation.util import logger
    from imitation.util.networks import RunningNorm
    from imitation.util.util import make_vec_env
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecEnvWrapper

    class Counted(VecEnvWrapper):
        """Counts environment steps, whoever takes them."""

        steps = 0

        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            self.steps += self.num_envs
            return self.venv.step_wait()

    rng = np.random.default_rng(order["seed"])
    venv = Counted(make_vec_env(order["task"], rng=rng, n_envs=order["envs"]))
    quiet = logger.configure(format_strs=[])
    net = BasicRewardNet(venv.observation_space, venv.action_space, normalize_input_layer=RunningNorm)
    model = pc.PreferenceModel(net)
    trainer = pc.BasicRewardTrainer(
        model,
        loss=pc.CrossEntropyRewardLoss(),
        epochs=order["reward_epochs"],
        lr=order["reward_learning_rate"],
        rng=rng,
    )
    agent = PPO(
        policy=FeedForward32Policy,
        policy_kwargs={
            "features_extractor_class": NormalizeFeaturesExtractor,
            "features_extractor_kwargs": {"normalize_class": RunningNorm},
        },
        env=venv,
        seed=order["seed"],
        n_steps=order["steps_per_env"],
        batch_size=order["minibatch_steps"],
        n_epochs=order["policy_epochs"],
        learning_rate=order["policy_learning_rate"],
        clip_range=order["clip"],
        gamma=order["discount"],
        gae_lambda=order["gae_lambda"],
        ent_coef=order["entropy_bonus"],
        device="cpu",
    )
    generator = pc.AgentTrainer(
        algorithm=agent, reward_fn=net, venv=venv, exploration_frac=order["exploration"], rng=rng, custom_logger=quiet
    )
    algorithm = pc.PreferenceComparisons(
        generator,
        net,
        num_iterations=order["iterations"],
        fragmenter=pc.RandomFragmenter(warning_threshold=0, rng=rng),
        preference_gatherer=pc.SyntheticGatherer(rng=rng),
        reward_trainer=trainer,
        fragment_length=order["clip_steps"],
        transition_oversampling=1,
        initial_comparison_frac=order["initial_share"],
        initial_epoch_multiplier=order["initial_epochs"],
        query_schedule="hyperbolic",
        custom_logger=quiet,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    algorithm.train(total_timesteps=order["steps"], total_comparisons=order["labels"])
    taken = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    labels = len(algorithm.dataset)
    sizes = {
        "policy": [list(p.shape) for p in agent.policy.mlp_extractor.policy_net.parameters()],
        "reward": [list(p.shape) for p in net.mlp.parameters() if p.ndim == 2],
    }

    def make() -> Any:
        return gymnasium.make(order["task"])

    returns = {name: evaluate(agent, make, order["evaluate"], mean=name == "mean") for name in ("drawn", "mean")}
    return {**taken, "env_steps": venv.steps, "labels": labels, "returns": returns, "sizes": sizes}


def main() -> None:
    """As many runs as there are lines."""
    import warnings

    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    from importlib.metadata import version

    answer(ready={name: version(name) for name in ("imitation", "stable-baselines3", "gymnasium", "torch", "numpy")})
    for line in sys.stdin:
        answer(**one_run(json.loads(line)))


if __name__ == "__main__":
    main()
