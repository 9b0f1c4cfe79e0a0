"""Policies behind an address: OpenAI-compatible endpoints, vLLM, chat backends."""
