"""preflab: from a base language model to a helpful, honest and harmless assistant, and the evidence."""

__version__ = "0.1.0"
