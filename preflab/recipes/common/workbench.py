"""What a recipe on a language model and comparisons stands on: its run, models, data, and evaluation.

A recipe puts these parts together in its ``Stages`` and inherits nothing. Nothing is loaded before it is asked for.
"""

from dataclasses import dataclass

from preflab.recipes.common.comparison_parts import ComparisonParts
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.run import Run


@dataclass(frozen=True)
class Workbench:
    """The parts of a recipe."""

    run: Run
    models: ModelRoles
    """The trunk and the roles it plays."""
    comparisons: ComparisonParts
    """In parts that share no prompt."""
    evaluation: ReplyEvaluation
    """Held-out prompts, and what policies reply to them."""
