"""Rewards learned from comparisons: labels, labellers, reward networks, ensembles."""
