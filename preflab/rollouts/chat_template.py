"""The chat template of a tokenizer: which one it is, what it renders, what day it tells, how it closes a reply."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from preflab.errors import DataError, ModelError

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ '\\n\\n' + {'user': 'Human', 'assistant': 'Assistant', 'system': 'System'}[m['role']]"
    " + ': ' }}{% if m['role'] == 'assistant' %}{{ m['content'].lstrip() + eos_token }}"
    "{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\nAssistant:' }}{% endif %}"
)
"""For base models without a template of their own: the dialogue format of Askell et al. 2021."""

_CLOCK = "strftime_now"
"""What templates call to tell the date (Llama 3, Granite)."""
_DIRECTIVES = [*(f"%{c}" for c in "aAbBcdDeFfGhHIjmMpRSTuUVwWxXyY"), *(f"%-{c}" for c in "dHIjmMS")]
"""What a date's form is made of; see ``strftime``."""


class ChatTemplate:
    """What renders dialogues as text; it tells one moment for as long as it lives.

    Args:
        moment  the date and time that the template is told; None: now.

    Raises:
        ModelError: the tokenizer has several templates, and none is the default.
    """

    def __init__(self, tokenizer: Any, moment: datetime | None = None) -> None:
        template = getattr(tokenizer, "chat_template", None)
        if isinstance(template, Mapping):
            if "default" not in template:
                names = ", ".join(sorted(template))
                raise ModelError(
                    f"the tokenizer has several chat templates ({names}) and none named 'default'; "
                    "set tokenizer.chat_template to the one for dialogues and save it again"
                )
            template = template["default"]
        self.tokenizer = tokenizer
        self.has_own = bool(template)
        self.source: str = template or PLAIN_TEMPLATE
        self.moment = moment or datetime.now()
        self._rendered_source = self._clock() + self.source

    @property
    def reads_clock(self) -> bool:
        """Whether what is rendered depends on the day."""
        return _CLOCK in self.source

    def render(self, messages: Sequence[Mapping[str, Any]], *, generation: bool) -> str:
        """A dialogue as text.

        Args:
            generation  whether the assistant is to speak next.

        Raises:
            DataError: the template refuses the dialogue, in its own words.
        """
        try:
            rendered = self.tokenizer.apply_chat_template(
                messages, chat_template=self._rendered_source, tokenize=False, add_generation_prompt=generation
            )
        except Exception as error:  # jinja templates raise what they like ("system role not supported")
            raise DataError(f"the chat template refuses this dialogue: {error}") from error
        return str(rendered)

    def ending_with(self, end: str, *, closes: bool) -> str:
        """This template, with its text cut behind the last ``end``: where other libraries then read a score.

        Many templates put a line break behind the end of a turn. A date that is told here is told by the result too.

        Args:
            closes  whether this template itself puts ``end`` behind a reply; otherwise it is added.
        """
        word = json.dumps(end)
        last = f"rendered.rpartition({word})[0] + {word}" if closes else f"rendered.rstrip() + {word}"
        return (
            f"{{% set rendered %}}{self._rendered_source}{{% endset %}}"
            f"{{{{ rendered if add_generation_prompt else {last} }}}}"
        )

    def _clock(self) -> str:
        """Template text that puts the moment in place of the clock; empty where the template does not read it."""
        if not self.reads_clock:
            return ""
        values = json.dumps({directive: self.moment.strftime(directive) for directive in _DIRECTIVES})
        return (
            f"{{% macro {_CLOCK}(format) %}}{{% set ns = namespace(text=format) %}}"
            f"{{% for directive, value in {values}.items() %}}"
            "{% set ns.text = ns.text.replace(directive, value) %}{% endfor %}{{ ns.text }}{% endmacro %}"
            "{{ '' }}"  # the engine takes a line break behind a block away, and one behind this it leaves
        )
