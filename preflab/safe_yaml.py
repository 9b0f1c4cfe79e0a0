"""YAML that a person hands in: plain values, no key twice, no aliases, and bounds on what a few bytes may ask for.

An alias may stand for a list of aliases, so that 300 bytes take all memory there is; brackets nested by the thousand
and integers of thousands of digits end in errors of the interpreter. None of them has a use in settings.
"""

from functools import cache
from pathlib import Path
from typing import Any

from preflab.errors import ConfigError

MOST_DEPTH = 40
"""Lists and mappings within one another."""
MOST_CHARACTERS = 20_000_000
MOST_DIGITS = 400
"""Of one integer: more than a float can hold."""


def parse_yaml_value(text: str, where: str) -> Any:
    """Whatever the YAML text holds; None where it holds nothing.

    Args:
        where  named in complaints.

    Raises:
        ConfigError: it is no YAML, has a key twice or an alias, or goes beyond the bounds. Says the line.
    """
    import yaml

    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{where}: {len(text):,} characters; a file of settings has {MOST_CHARACTERS:,} at most")
    try:
        return yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{where}{line}: {error.problem or error.context or 'not YAML'}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML ({error})") from error
    except (ValueError, OverflowError, RecursionError) as error:  # a date such as 2020-13-45, say
        raise ConfigError(f"{where}: not YAML that can be read ({error})") from error


def read_yaml_value(path: Path, expected: str) -> Any:
    """What a YAML file holds.

    Args:
        expected  what the file should be, in words, for the complaint where it is missing.

    Raises:
        ConfigError: as `parse_yaml_value`; or the file is missing, or is no text in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; expected {expected}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read ({error}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return parse_yaml_value(text, str(path))


@cache
def _loader() -> Any:
    """The loader's class; yaml is imported when it is first needed."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain values only, no key twice, no alias, nothing nested too deep."""

        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            """The next value, unless it is an alias or too deep."""
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent):
                raise _problem(f"*{event.anchor} is an alias, which is not allowed: write the value out", event)
            if self.depth >= MOST_DEPTH:
                raise _problem(f"nested more than {MOST_DEPTH} deep", event)
            self.depth += 1
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    def _problem(text: str, at: Any) -> yaml.MarkedYAMLError:
        """An error with its place."""
        return yaml.constructor.ConstructorError(None, None, text, at.start_mark)

    def mapping(loader: Any, node: Any) -> dict[str, object]:
        """A mapping with its keys checked."""
        settings: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            problem = "is no name of a setting" if not isinstance(key, str) else "stands here a second time"
            if not isinstance(key, str) or key in settings:
                raise _problem(f"{key!r} {problem}", key_node)
            settings[key] = loader.construct_object(value_node, deep=True)
        return settings

    def integer(loader: Any, node: Any) -> int:
        """A whole number of a length that can be reckoned with."""
        if len(node.value) > MOST_DIGITS:
            raise _problem(f"a number of {len(node.value):,} digits; {MOST_DIGITS} at most", node)
        return int(loader.construct_yaml_int(node))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    Loader.add_constructor("tag:yaml.org,2002:int", integer)
    return Loader
