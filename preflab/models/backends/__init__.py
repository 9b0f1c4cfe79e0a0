"""Kinds of networks that roles can live on; causal language models so far."""
