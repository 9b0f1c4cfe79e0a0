"""Protocols of judging, one small file each."""

from preflab.conversion import did_you_mean
from preflab.errors import StudyError
from preflab.feedback.protocols.chat import Chat
from preflab.feedback.protocols.clips import Clips
from preflab.feedback.protocols.protocol import JudgementProtocol
from preflab.feedback.protocols.questions import Questions
from preflab.feedback.protocols.rank import Rank
from preflab.feedback.protocols.rules import RuleJudge, RuleProbe

AnyProtocol = Chat | Rank | RuleProbe | RuleJudge | Questions | Clips

PROTOCOLS: dict[str, AnyProtocol] = {
    found.name: found for found in (Chat(), Rank(), RuleProbe(), RuleJudge(), Questions(), Clips())
}
"""Name -> the protocol at its defaults."""


def protocol_named(name: str) -> AnyProtocol:
    """A protocol at its defaults.

    Raises:
        StudyError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise StudyError(
            f"unknown protocol {name!r}{did_you_mean(name, list(PROTOCOLS))}; known: {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[name]


__all__ = ["PROTOCOLS", "AnyProtocol", "JudgementProtocol", "protocol_named"]
