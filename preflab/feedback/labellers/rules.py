"""Written rules as a judge: the reply that breaks fewer of them, by weight, is the better one.

A rule checks itself (a pattern, a length, phrases; see `preflab.feedback.rules.Check`), or a Python function does. A
broken rule with a veto bars a reply whatever it keeps otherwise. Where both replies are barred both are bad, which says
nothing of either: the pair is not labelled (people are offered the same way out: Glaese et al. 2022, sec. 2.3).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from preflab.config_overrides import check_types
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.feedback.labellers.preference_model import prob_of_gap
from preflab.feedback.labellers.settings import Openers, labeller_name, read_settings, two_replies
from preflab.feedback.rules import SHIPPED_CHECKS, Rule, load_rules
from preflab.interfaces import Labels

BOTH_BAD = "both are bad"
RuleCheck = Callable[[Dialogue], float]
"""A finished dialogue -> probability in [0, 1] that its last reply breaks the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """Settings of rules that judge."""

    temperature: float = 0.0
    """0: the lower penalty wins for certain. Above it the label is the sigmoid of the difference over this."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.temperature < 0:
            raise ConfigError(f"temperature must not be negative, got {self.temperature}")


@dataclass(frozen=True, slots=True)
class RuleFindings:
    """What the rules say of one reply."""

    broken: Mapping[str, float]
    """Id of each rule -> probability that it is broken."""
    penalty: float
    """Sum of the weights of the rules, each times its probability."""
    vetoed: bool
    """Whether a rule with a veto is broken, at 1/2 or above."""


class RuleLabeller:
    """Rules as a `Labeller`: certain, and of no opinion where both replies break them alike (0.5).

    Args:
        rules   each with a check of its own, or one in ``checks``.
        checks  id of a rule -> function that checks it in place of its own.
        name    stands in the labels.

    Raises:
        ConfigError: a rule has no check, or a check has no rule.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        checks: Mapping[str, RuleCheck] | None = None,
        name: str = "rules",
        settings: RuleSettings = RuleSettings(),
    ) -> None:
        self.rules, self.name, self.settings, self._checks = tuple(rules), name, settings, dict(checks or {})
        unused = sorted(self._checks.keys() - {rule.id for rule in rules})
        if unused:
            raise ConfigError(f"a check of rule {unused[0]!r}, but there is no such rule")
        for rule in rules:
            if rule.check is None and rule.id not in self._checks:
                raise ConfigError(f"rule {rule.id!r} has no check; expected one, such as check: {{longer_than: 800}}")

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        """Labels of pairs of replies."""
        return Labels.of([self._label(pair) for pair in pairs])

    def findings(self, dialogue: Dialogue) -> RuleFindings:
        """What the rules say of the last reply of a finished dialogue.

        Raises:
            ConfigError: a function returns what is no probability.
        """
        broken = {rule.id: self._prob_broken(rule, dialogue) for rule in self.rules}
        penalty = sum(rule.weight * broken[rule.id] for rule in self.rules)
        return RuleFindings(broken, penalty, any(rule.veto and broken[rule.id] >= 0.5 for rule in self.rules))

    def _prob_broken(self, rule: Rule, dialogue: Dialogue) -> float:
        if rule.id not in self._checks:
            assert rule.check is not None
            return float(rule.check.finds(dialogue.reply))
        prob = float(self._checks[rule.id](dialogue))
        if not 0 <= prob <= 1:
            raise ConfigError(f"the check of rule {rule.id!r}: expected a probability in [0, 1], found {prob}")
        return prob

    def _label(self, pair: Comparison) -> float | str:
        first, second = (self.findings(pair.prompt.with_reply(reply)) for reply in two_replies(pair))
        if first.vetoed and second.vetoed:
            return BOTH_BAD
        if first.vetoed or second.vetoed:
            return float(second.vetoed)
        return prob_of_gap(second.penalty - first.penalty, self.settings.temperature)


def open_from_spec(subject: str, settings: Mapping[str, str], openers: Openers) -> RuleLabeller:
    """``rules:FILE``; ``rules:starter`` for those that come with the package."""
    del openers
    chosen = read_settings(RuleSettings(), settings, "rules")
    rules = list(load_rules(SHIPPED_CHECKS if subject == "starter" else Path(subject)).values())
    name = labeller_name(f"rules:{Path(subject).name}", [asdict(rule) for rule in rules], chosen.temperature)
    return RuleLabeller(rules, name=name, settings=chosen)
