"""The argument parser: complaints are errors with a suggestion, and nothing may be left over."""

import argparse
from typing import Any, NoReturn

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Complaints are ConfigErrors with a suggestion; options are written out."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Complain as all of preflab does, and point to the help."""
        raise ConfigError(f"{message}\n'{self.prog} --help' says what there is")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Nothing may be left over."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            option = str(left[0]).split("=")[0]
            what = "option" if option.startswith("-") else "argument"
            self.error(f"unknown {what} {option!r}{did_you_mean(option, list(self._option_string_actions))}")
        return found, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """A choice that does not exist, with what is near."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            what = action.metavar if isinstance(action.metavar, str) else "choice"
            near = did_you_mean(str(value), known) or f"; known are {', '.join(known)}"
            place = None if isinstance(action, argparse._SubParsersAction) else action
            raise argparse.ArgumentError(place, f"unknown {what.lower()} {value!r}{near}")
