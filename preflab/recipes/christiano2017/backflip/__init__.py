"""A hopper learns a backflip, for which no reward exists, from comparisons of short clips.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.2
Claim     A simulated hopper learns a sequence of backflips from about 900 queries in less than an hour of feedback.
Measures  turns backwards in an episode (forwards negative), mean over episodes with a 95 % interval, before and after.
Needs     The extra `control`; for people the extra `web` and a site beside it (docs/control-backflip.md).
Differs   PPO in place of TRPO, with an entropy bonus of 0.001, not 0.01; episodes of 2 s below `paper`; the pitch is
          seen within half a turn; labels come from a synthetic labeller of the clip's states unless people are asked;
          below `paper` they come half as often after a tenth of the steps, not 2 million. Reward networks as in
          christiano2017_mujoco, without L2 on returns. The hopper task's own reward is not used at all.
Result    docs/control-backflip.md
"""

import torch

from preflab.control.agents.ppo import PPO
from preflab.control.preference_loop import PreferenceLoop
from preflab.control.reward_learner import RewardLearner
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.reward_networks import MLP
from preflab.recipes.christiano2017.backflip.config import RESUME_MAY_CHANGE, SCALES, Config, paper, small, smoke
from preflab.recipes.christiano2017.backflip.hopper import turning_hopper
from preflab.recipes.christiano2017.backflip.report import summarise, write_report
from preflab.recipes.christiano2017.backflip.results import LearningResult, TurnResult
from preflab.recipes.christiano2017.backflip.stages import learn, mean_height, measure, open_labels
from preflab.run import Run

__all__ = ["RESUME_MAY_CHANGE", "SCALES", "Config", "main", "paper", "small", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Measure the untrained policy, learn, measure again, render both."""
    torch.set_num_threads(1)  # networks this small are slower on more
    with open_labels(config, run.folder) as labels:
        env = turning_hopper(config.copies, seed=config.seed, horizon=config.horizon)
        agent = PPO(env.spec, config.agent, seed=config.seed)
        size = env.spec.obs_shape[0], int(env.model.nu)
        ensemble = RewardEnsemble(lambda: MLP(*size), config.ensemble, seed=config.seed)
        learner = RewardLearner(config.loop, env, ensemble, labels, seed=config.seed)
        loop = PreferenceLoop(env, agent, learner, facts=mean_height)
        run.stage("before", lambda: measure(agent, config, run.folder / "before.gif"), TurnResult)
        run.stage("learn", lambda: learn(loop, run), LearningResult)
        agent.load_state(run.load_weights("agent"))
        run.stage("after", lambda: measure(agent, config, run.folder / "after.gif"), TurnResult)
    write_report(run.folder)
