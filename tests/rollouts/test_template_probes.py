"""What is told of a template when its model is loaded."""

from preflab.models.tiny import CHAT_TEMPLATE, tiny_tokenizer
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.template_probes import template_differences


def differences(template: str) -> dict[str, str]:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return template_differences(Encoder(tokenizer, max_tokens=256))


def test_a_plain_template_has_none() -> None:
    assert differences(CHAT_TEMPLATE) == {}


def test_trimming_shows_where_there_are_blanks() -> None:
    trims = CHAT_TEMPLATE.replace("m['content']", "m['content'] | trim")
    expected = "'\\n An apple. \\n' is told as 'An apple.<|end|>'"
    assert differences(trims) == {"reply between blanks": expected}


def test_a_thought_that_a_prompt_opens_and_a_finished_reply_has_not_shows_in_every_dialogue() -> None:
    opens = CHAT_TEMPLATE.replace("<|assistant|>{% endif %}", "<|assistant|><think>{% endif %}")
    reported = differences(opens)
    assert len(reported) == 5
    assert (
        reported["single turn"]
        == "'An apple.' is told as 'An apple.<|end|>', in place of '<think>' with which a prompt ends"
    )
    assert "in place of" not in reported["reply with a thought"]  # its own goes on as the prompt does


def test_a_refusal_is_told_in_the_words_of_the_template() -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('No system!') }}{% endif %}" + CHAT_TEMPLATE
    assert differences(refuses) == {"system message": "the chat template refuses this dialogue: No system!"}
