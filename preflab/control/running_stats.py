"""Running mean and variance, of single numbers and of whole observations (Chan et al. 1983)."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor


class RunningMeanStd:
    """Mean and population variance of a stream of vectors; ``width`` 1 for numbers."""

    def __init__(self, width: int) -> None:
        self.count = 0.0
        self.mean: Float64[np.ndarray, " width"] = np.zeros(width)
        self.spread: Float64[np.ndarray, " width"] = np.zeros(width)
        """Sums of squared deviations from the mean."""

    def add(self, values: Float[np.ndarray, "item width"]) -> None:
        """Take note of more values."""
        n = len(values)
        if not n:
            return
        values = values.astype(np.float64)
        batch_mean = values.mean(axis=0)
        gap, total = batch_mean - self.mean, self.count + n
        self.spread = self.spread + ((values - batch_mean) ** 2).sum(axis=0) + gap**2 * self.count * n / total
        self.mean = self.mean + gap * n / total
        self.count = total

    @property
    def std(self) -> Float64[np.ndarray, " width"]:
        """Population standard deviation; 1 before two values were seen."""
        return np.sqrt(self.spread / self.count) if self.count > 1 else np.ones_like(self.mean)

    def state(self) -> Tensor:
        """[3 width]: count, mean, spread."""
        return torch.from_numpy(np.stack([np.full_like(self.mean, self.count), self.mean, self.spread]))

    def load_state(self, state: Tensor) -> None:
        """Put back what `state` gave."""
        counts, self.mean, self.spread = state.numpy().astype(np.float64)
        self.count = float(counts[0])
