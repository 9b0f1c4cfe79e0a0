"""What labellers share: names by content, settings from text."""

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError
from preflab.feedback.labellers.preference_model import PreferenceModelSettings
from preflab.feedback.labellers.settings import labeller_name, read_settings, two_replies


def test_a_name_holds_a_digest_of_what_labels_depend_on() -> None:
    name = labeller_name("pm:a", "weights", 1.0)
    assert name == labeller_name("pm:a", "weights", 1.0)
    assert name.startswith("pm:a@") and len(name) == len("pm:a@") + 12
    assert len({name, labeller_name("pm:a", "weights", 2.0), labeller_name("pm:a", "others", 1.0)}) == 3


def test_settings_are_read_from_text_and_named_by_their_labeller() -> None:
    assert read_settings(PreferenceModelSettings(), {"temperature": "0.5"}, "pm").temperature == 0.5
    with pytest.raises(ConfigError, match="pm: unknown setting 'temprature'; did you mean 'temperature'"):
        read_settings(PreferenceModelSettings(), {"temprature": "1"}, "pm")


def test_a_labeller_is_given_pairs() -> None:
    prompt = Dialogue.of("q")
    assert two_replies(Comparison.chosen_rejected(prompt, "a", "b")) == ("a", "b")
    with pytest.raises(DataError, match="got 3 replies"):
        two_replies(Comparison(prompt=prompt, replies=("a", "b", "c"), ranks=(0, 0, 0)))
