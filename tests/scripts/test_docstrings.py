"""Argument lists keep their columns on the site."""

import pytest

pytest.importorskip("griffe", reason="needs the extra 'docs'")

from scripts.docstrings import in_blocks

LOSS = """PPO's loss: ``max(a,  b)``.

At ``x = y`` the loss is ``-A``
and so on.

Args:
    logp  [*item]  nats.
    clip  scalar   in (0, 1).

Returns:
    loss  [*item]  lower is better.

Raises:
    ConfigError: ``clip`` is outside (0, 1)."""


def test_sections_become_blocks_and_prose_stays() -> None:
    assert in_blocks(LOSS) == (
        "PPO's loss: ``max(a,  b)``.\n\n"
        "At ``x = y`` the loss is ``-A``\nand so on.\n\n"
        "**Args:**\n\n```text\nlogp  [*item]  nats.\nclip  scalar   in (0, 1).\n```\n\n"
        "**Returns:**\n\n```text\nloss  [*item]  lower is better.\n```\n\n"
        "**Raises:**\n\n```text\nConfigError: ``clip`` is outside (0, 1).\n```"
    )


def test_an_aligned_paragraph_becomes_a_block_and_a_literal_one_stays() -> None:
    aligned = "Paper   Bai et al.\nClaims  It works.\n        And more."
    assert in_blocks(aligned) == f"```text\n{aligned}\n```"
    literal = "::\n\n    delta_t  = 1\n    gamma    = 2"
    assert in_blocks(literal) == literal
    assert in_blocks("One line.") == "One line."
