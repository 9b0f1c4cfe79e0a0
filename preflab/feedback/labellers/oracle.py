"""A judge whose criterion is known: a rule rates each reply, and errors come at a set rate.

It takes people's place where a method is to be proved: what it prefers can be computed for every text.
"""

from collections.abc import Mapping, Sequence

from preflab.data.comparison import Comparison
from preflab.errors import ConfigError
from preflab.feedback.labellers.settings import Openers, read_settings, two_replies
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.interfaces import Labels


class OracleLabeller:
    """A synthetic annotator as a `Labeller`: 1, 0, or 0.5 for a tie.

    An error is drawn from the two texts: the same pair always gets the same answer, whichever stands first.

    Args:
        preference  what is preferred, and how often the answer is turned round.
        name        stands in the labels, and is part of what errors are drawn from.
    """

    def __init__(self, preference: SyntheticPreference, *, name: str = "oracle") -> None:
        self.preference, self.name = preference, name

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        """Labels of pairs of replies."""
        answers = [self.preference.judge(*two_replies(pair), annotator=self.name) for pair in pairs]
        return Labels.of([(1 + answer) / 2 for answer in answers])


def open_from_spec(subject: str, settings: Mapping[str, str], openers: Openers) -> OracleLabeller:
    """``oracle:CRITERION``; without errors unless ``noise`` says otherwise."""
    del openers
    if "criterion" in settings:
        raise ConfigError("oracle: the criterion stands behind the colon, as in oracle:brief,noise=0.1")
    preference = read_settings(SyntheticPreference(noise=0.0), {"criterion": subject, **settings}, "oracle")
    changed = "".join(f",{name}={settings[name]}" for name in sorted(settings))
    return OracleLabeller(preference, name=f"oracle:{subject}{changed}")
