"""Examples to begin a study from: one for each protocol, each a study that can be made."""

import pytest

from preflab.data.store.studies import find_study
from preflab.feedback.protocols import EXAMPLES, PROTOCOLS
from preflab.feedback.study import parse_study
from preflab.web.collect.render import TEMPLATES
from tests.web.collect.lab import Lab, owner


def test_every_protocol_has_an_example_and_a_template() -> None:
    assert {parse_study(text).definition.protocol.name for text in EXAMPLES.values()} == set(PROTOCOLS)
    assert all((TEMPLATES / protocol.template).is_file() for protocol in PROTOCOLS.values())


@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_an_example_is_shown_in_the_form_and_can_be_made_as_it_is(example: str, lab: Lab) -> None:
    file = parse_study(EXAMPLES[example])
    assert file.items and file.definition.instructions
    browser = owner(lab)
    assert f"name: {file.definition.name}" in browser.get(f"/new?example={example}").text
    answer = browser.post("/new", text=EXAMPLES[example])
    assert answer.headers["location"] == f"/s/{file.definition.name}/manage"
    assert find_study(lab.store, file.definition.name).definition == file.definition.to_json()
