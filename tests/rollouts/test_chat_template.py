"""Which chat template is used, the day that it tells, and what a saved one tells to others."""

from datetime import datetime

import pytest

from preflab.errors import DataError, ModelError
from preflab.models.tiny import CHAT_TEMPLATE, tiny_tokenizer
from preflab.rollouts.chat_template import PLAIN_TEMPLATE, ChatTemplate

DATED = "{% if strftime_now is defined %}<|system|>{{ strftime_now('%d %b %Y') }}<|end|>{% endif %}" + CHAT_TEMPLATE
HELLO = [{"role": "user", "content": "hello"}]
EXCHANGE = [*HELLO, {"role": "assistant", "content": "hi"}]


def template(source: object, moment: datetime | None = None) -> ChatTemplate:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = source
    return ChatTemplate(tokenizer, moment)


def test_a_date_is_that_of_the_moment_and_not_of_today() -> None:
    dated = template(DATED, datetime(2024, 2, 29))
    assert dated.render(HELLO, generation=True) == "<|system|>29 Feb 2024<|end|><|user|>hello<|end|><|assistant|>"
    assert dated.reads_clock
    assert not template(CHAT_TEMPLATE).reads_clock


def test_any_form_of_date_is_what_strftime_makes_of_it_and_a_first_line_break_stays() -> None:
    moment = datetime(2024, 2, 9, 17, 5, 3)
    form = "%A %a %B %b %-d %d/%m/%y %Y-%j %H:%M:%S %I%p %F %T"
    dated = template("\n{{ strftime_now('" + form + "') }}", moment)
    assert dated.render(HELLO, generation=True) == "\n" + moment.strftime(form)


def test_a_saved_template_tells_the_date_that_was_told() -> None:
    dated = template(DATED, datetime(2024, 2, 29))
    dated.render(HELLO, generation=True)
    saved = template(dated.ending_with("<|end|>", closes=True), datetime(2031, 1, 1))
    expected = "<|system|>29 Feb 2024<|end|><|user|>hello<|end|><|assistant|>hi<|end|>"
    assert saved.render(EXCHANGE, generation=False) == expected
    bare = saved.tokenizer.apply_chat_template(EXCHANGE, tokenize=False)  # as other libraries call it
    assert bare == expected


@pytest.mark.parametrize(
    ("source", "closes"),
    [
        ("{% for m in messages %}{{ m['content'] }}<|end|>\n{% endfor %}bye", True),
        ("{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}\n", True),
        ("{% for m in messages %}{{ m['content'] }}{% if not loop.last %}<|end|>{% endif %}{% endfor %} \n", False),
    ],
)
def test_a_saved_template_ends_where_a_score_is_read(source: str, closes: bool) -> None:
    saved = template(template(source).ending_with("<|end|>", closes=closes))
    assert saved.render(EXCHANGE, generation=False).replace("\n", "") == "hello<|end|>hi<|end|>"
    assert saved.render(EXCHANGE, generation=False).endswith("hi<|end|>")


def test_of_several_templates_the_default_is_used() -> None:
    assert template({"default": CHAT_TEMPLATE, "tool_use": "x"}).source == CHAT_TEMPLATE
    with pytest.raises(ModelError, match=r"several chat templates \(rag, tool_use\) and none named 'default'"):
        template({"tool_use": "x", "rag": "y"})


def test_a_tokenizer_without_one_gets_the_plain_one_which_leaves_blanks_before_a_reply_out() -> None:
    plain = template(None)
    assert (plain.source, plain.has_own) == (PLAIN_TEMPLATE, False)
    messages = [{"role": "user", "content": " a "}, {"role": "assistant", "content": " b "}]
    assert plain.render(messages, generation=False) == "\n\nHuman:  a \n\nAssistant: b <|end|>"


def test_a_refusal_is_told_in_the_words_of_the_template() -> None:
    with pytest.raises(DataError, match="refuses this dialogue: System role not supported"):
        template("{{ raise_exception('System role not supported') }}").render(HELLO, generation=True)
