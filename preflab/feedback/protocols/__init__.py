"""Protocols of judging, one file each: settings, checks, page, examples.

A new one is a new file of this folder with a ``PROTOCOL``; it is discovered.
"""

import pkgutil
from importlib import import_module

from preflab.conversion import did_you_mean
from preflab.errors import StudyError
from preflab.feedback.protocols.protocol import JudgementProtocol


def discover_protocols() -> dict[str, JudgementProtocol]:
    """The ``PROTOCOL`` of every module of this folder by name, in order of the modules.

    Raises:
        StudyError: two modules have a protocol of one name.
    """
    protocols: dict[str, JudgementProtocol] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__, f"{__name__}.")):
        protocol = getattr(import_module(module), "PROTOCOL", None)
        if isinstance(protocol, JudgementProtocol) and protocols.setdefault(protocol.name, protocol) is not protocol:
            raise StudyError(f"{module}: another protocol is called {protocol.name!r}; names of protocols must differ")
    return protocols


PROTOCOLS = discover_protocols()
"""Name -> the protocol at its defaults."""
EXAMPLES = {name: text for protocol in PROTOCOLS.values() for name, text in protocol.examples.items()}
"""Name -> a study in YAML to begin from."""


def protocol_named(name: str) -> JudgementProtocol:
    """A protocol at its defaults.

    Raises:
        StudyError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise StudyError(
            f"unknown protocol {name!r}{did_you_mean(name, list(PROTOCOLS))}; known: {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[name]


__all__ = ["EXAMPLES", "PROTOCOLS", "JudgementProtocol", "discover_protocols", "protocol_named"]
