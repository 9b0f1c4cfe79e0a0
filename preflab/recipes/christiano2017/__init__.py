"""Christiano et al. 2017, deep reinforcement learning from human preferences: robots, games, a backflip, horizons."""
