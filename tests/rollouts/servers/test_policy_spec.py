"""Policies by description: what is accepted, and what is refused with the name of the field."""

import pytest

from preflab.errors import StudyError
from preflab.rollouts.servers.policy_spec import PolicySpec


def test_a_description_survives_the_way_through_json() -> None:
    spec = PolicySpec(name="ours", run="runs/align", temperature=0.7, best_of=16, scorer="runs/align")
    assert spec.to_json() == {
        "name": "ours",
        "run": "runs/align",
        "temperature": 0.7,
        "best_of": 16,
        "scorer": "runs/align",
    }
    assert PolicySpec.from_mapping(spec.to_json()) == spec


def test_a_whole_number_will_do_where_a_broken_one_is_meant() -> None:
    assert PolicySpec.from_mapping({"name": "a", "model": "tiny", "temperature": 0}).temperature == 0


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"model": "tiny"}, "one has no name"),
        ({"name": "", "model": "tiny"}, "name must have 1 to 120 printable characters"),
        ({"name": "a"}, "exactly one of model, run and url is needed, got none"),
        ({"name": "a", "model": "tiny", "run": "runs/x"}, "got model, run"),
        ({"name": "a", "url": "http://here:8000"}, "served_name: say what the server calls the model"),
        ({"name": "a", "url": "here:8000", "served_name": "m"}, "'here:8000' is no address of a server"),
        ({"name": "a", "url": "http://me:secret@here", "served_name": "m"}, "holds a name or a password"),
        ({"name": "a", "model": "tiny", "temprature": 1.0}, "unknown field 'temprature'.*temperature"),
        ({"name": "a", "model": "tiny", "temperature": "hot"}, "policy 'a': temperature must be a number, got 'hot'"),
        ({"name": "a", "model": "tiny", "best_of": True}, "best_of must be a whole number, got True"),
        ({"name": "a", "model": "tiny", "temperature": -1}, "out of range"),
        ({"name": "a", "model": "tiny", "best_of": 4}, "best_of above 1 needs a scorer"),
        ({"name": "a", "url": "http://here", "served_name": "m", "best_of": 4, "scorer": "r"}, "and a local model"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(StudyError, match=complaint) as found:
        PolicySpec.from_mapping(given)
    assert "secret" not in str(found.value)
