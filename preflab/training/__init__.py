"""Methods that change weights: preference models and PPO, as generators of steps."""
