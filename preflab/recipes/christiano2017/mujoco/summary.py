"""The outcome of a run of ``christiano2017_mujoco`` in a few lines, from the results it left behind."""

from preflab.recipes.christiano2017.summary import summarise

__all__ = ["summarise"]
