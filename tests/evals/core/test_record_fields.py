"""What a record of an evaluation set is called by."""

from preflab.evals.core.record_fields import identity


def test_a_record_keeps_its_own_id_and_without_one_has_a_name_by_its_words() -> None:
    assert identity({"id": "q-7"}, "a", "b") == "q-7"
    assert identity({"id": 7}, "a") == "7"
    named = identity({}, "a", "b")
    assert named == identity({"id": None}, "a", "b")
    assert len({named, identity({}, "ab"), identity({}, "b", "a")}) == 3
