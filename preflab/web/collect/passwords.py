"""Passwords, hashed with argon2id at the library's defaults (64 MiB, 3 passes)."""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from preflab.errors import DataError

_HASHER = PasswordHasher()
_AT_ONCE = threading.Semaphore(2)  # each takes 64 MiB and a processor: a flood of logins must not take them all
_NOBODY = _HASHER.hash("nobody has this password")
SHORTEST = 12


def hash_password(password: str) -> str:
    """The argon2id hash under which a password is stored.

    Raises:
        DataError: it is too short, or longer than 200 characters.
    """
    if not SHORTEST <= len(password) <= 200:
        raise DataError(f"a password has {SHORTEST} to 200 characters, got {len(password)}", field="password")
    with _AT_ONCE:
        return _HASHER.hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether a password has this hash. For nobody (None) it takes as long as for somebody."""
    try:
        with _AT_ONCE:
            equal = _HASHER.verify(password_hash or _NOBODY, password[:200])
    except (VerificationError, InvalidHashError):
        return False
    return equal and bool(password_hash) and len(password) <= 200
