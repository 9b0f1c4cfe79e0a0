"""Each table held against the log by itself. Changed bytes anywhere: test_log.py."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from preflab.data.store import Store, integrity, judgements, open_store, studies
from tests.data.store.made import crowd, judge_all, study_of


@pytest.fixture
def judged(tmp_path: Path, sqlite_template: Path) -> Store:
    """A store with one study, two items and two judgements each."""
    path = tmp_path / "store.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    store = open_store(path)
    judge_all(store, study_of(store, "x", "y", slots=2), crowd(store, 2))
    return store


def faults(store: Store) -> dict[str, list[str]]:
    with store.reading() as connection:
        return {
            "judgement": list(integrity.judgement_faults(connection, judgements.statuses_from_log(connection))),
            "slot": list(integrity.slot_faults(connection)),
            "item": list(integrity.item_faults(connection)),
            "study": list(integrity.study_faults(connection)),
        }


def test_a_sound_store_has_no_faults_after_all_that_may_happen_to_a_study(judged: Store) -> None:
    studies.revise_study(judged, "helpful", {"protocol": "pairs", "title": "new"})
    studies.set_state(judged, "helpful", "paused")
    with judged.reading() as connection:
        (first, *_) = judgements.judgements_of(connection, "helpful")
    judgements.discard(judged, seq=first.seq, actor="server", reason="a slip")
    assert faults(judged) == {"judgement": [], "slot": [], "item": [], "study": []}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("UPDATE judgement SET at = at + 1 WHERE seq = (SELECT min(seq) FROM judgement)", {"judgement"}),
        ("UPDATE judgement SET status = 'late'", {"judgement", "slot"}),
        ("UPDATE slot SET filled = NULL WHERE id = 1", {"slot"}),
        ("UPDATE item SET content = '{}' WHERE name = 'x'", {"item"}),
        ("UPDATE study SET state = 'closed'", {"study"}),
    ],
)
def test_a_change_is_found_in_the_tables_that_it_concerns(judged: Store, command: str, expected: set[str]) -> None:
    with judged.writing() as connection:
        connection.execute(sa.text(command))
    assert {table for table, problems in faults(judged).items() if problems} == expected
