"""Passwords as they are kept."""

import subprocess
import sys

import pytest

from preflab.errors import DataError
from preflab.web.collect.passwords import hash_password, verify_password


def test_in_earnest_it_is_argon2id_of_64_mib_in_three_passes_for_nobody_too() -> None:
    program = "from preflab.web.collect import passwords as p; print(p.hash_password('x' * 12)); print(p._NOBODY)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for line in shown.splitlines():
        assert line.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert len(shown.splitlines()) == 2


def test_the_same_password_is_kept_otherwise_each_time_and_matches_both() -> None:
    one, two = hash_password("twelve chars"), hash_password("twelve chars")
    assert one != two
    assert verify_password("twelve chars", one) and verify_password("twelve chars", two)
    assert not verify_password("Twelve chars", one)


@pytest.mark.parametrize("bad", ["", "eleven char", "x" * 201])
def test_a_password_that_is_too_short_or_too_long_is_refused_with_the_range(bad: str) -> None:
    with pytest.raises(DataError, match="12 to 200"):
        hash_password(bad)


@pytest.mark.parametrize("kept", [None, "", "no hash at all", "$argon2id$broken"])
def test_nothing_matches_where_there_is_no_password(kept: str | None) -> None:
    assert not verify_password("nobody has this password", kept)


def test_what_is_longer_than_any_password_does_not_match_by_its_beginning() -> None:
    kept = hash_password("x" * 200)
    assert verify_password("x" * 200, kept)
    assert not verify_password("x" * 201, kept)
