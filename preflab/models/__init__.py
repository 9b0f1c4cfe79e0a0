"""Weights: loading them, the roles one trunk plays, heads, saving what other libraries read.

load     a model by name            tiny     a random one for tests
smollm2  the embedded default       roles    one trunk, several adapters and heads
heads    scores, log-probabilities  save     for transformers, peft, vLLM

Causal language models only so far; encoder-decoders and encoders will be further trunks in ``roles``.
"""
