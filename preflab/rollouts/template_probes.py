"""What a chat template does to replies, found out on a few dialogues when a model is loaded."""

from preflab.data.dialogue import Dialogue, Message
from preflab.errors import DataError
from preflab.rollouts.encoder import Encoder

_QUESTION = Dialogue.of("Name a fruit.")
_PROBES = {
    "single turn": (_QUESTION, "An apple."),
    "several turns": (Dialogue.of("Hello.", "Hi.", "Name a fruit."), "An apple."),
    "system message": (Dialogue.of("Name a fruit.", system="Be brief."), "An apple."),
    "reply between blanks": (_QUESTION, "\n An apple. \n"),
    "reply with a thought": (_QUESTION, "<think>\nRed?\n</think>\n\nAn apple."),
}


def template_differences(encoder: Encoder) -> dict[str, str]:
    """Where the template tells a reply otherwise than as its text behind the prompt: it adds or drops a thought, say.

    Rows hold what the template tells (`Encoder.turn`), so this is for the record, and for the eyes of people.

    Returns:
        kind of dialogue -> what is told in place of the reply, or why it is refused; empty for a plain template.
    """
    differences = {}
    for kind, (prompt, reply) in _PROBES.items():
        try:
            prefix, (tokens,) = encoder.turn(prompt, [Message("assistant", reply)])
            prompt_ids = encoder.prompt(prompt)
        except DataError as error:
            differences[kind] = str(error)
            continue
        if (*prefix, *tokens) != (*prompt_ids, *encoder.reply(reply)):
            told_text, dropped = _decoded(encoder, tokens), _decoded(encoder, prompt_ids[len(prefix) :])
            behind = f", in place of {dropped!r} with which a prompt ends" if dropped else ""
            differences[kind] = f"{reply!r} is told as {told_text!r}{behind}"
    return differences


def _decoded(encoder: Encoder, tokens: tuple[int, ...]) -> str:
    """Tokens as text, control tokens too."""
    return str(encoder.tokenizer.decode(list(tokens), skip_special_tokens=False))
