"""People under pseudonyms, what they may do, and the tokens that let them in.

A judgement knows a pseudonym. A name and a password exist for owners; annotators need neither. Of a token only its
hash is kept. Network addresses are kept nowhere.
"""

from preflab.data.store.people.accounts import Person, check_person, find_person, new_person, set_password
from preflab.data.store.people.erasure import Erased, erase_person
from preflab.data.store.people.roles import (
    EVERY,
    RANK,
    Member,
    Role,
    consent,
    grant,
    members_of,
    memberships,
    opt_out,
    remove_member,
    role_in,
)
from preflab.data.store.people.tokens import (
    DAY_MS,
    Kind,
    Token,
    find_token,
    issue_token,
    revoke,
    tokens_of,
    use_invite,
)

__all__ = [
    "DAY_MS",
    "EVERY",
    "RANK",
    "Erased",
    "Kind",
    "Member",
    "Person",
    "Role",
    "Token",
    "check_person",
    "consent",
    "erase_person",
    "find_person",
    "find_token",
    "grant",
    "issue_token",
    "members_of",
    "memberships",
    "new_person",
    "opt_out",
    "remove_member",
    "revoke",
    "role_in",
    "set_password",
    "tokens_of",
    "use_invite",
]
