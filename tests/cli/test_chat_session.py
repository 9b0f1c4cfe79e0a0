"""A chat shows both models, goes on with the aligned reply, and ends when asked."""

from collections.abc import Iterator, Sequence
from io import StringIO

import pytest
import torch
from rich.console import Console
from torch import Tensor

from preflab.cli.chat_session import chat, reply_to, typed_lines
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError


class Model:
    """Answers with its name and the number of messages it saw; remembers the dialogues."""

    def __init__(self, name: str) -> None:
        self.name, self.seen = name, list[Dialogue]()

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        self.seen += dialogues
        return [d.with_reply(f"{self.name} after {len(d.messages)}") for d in dialogues]


def lengths(dialogues: Sequence[Dialogue]) -> Tensor:
    return torch.tensor([float(len(d.reply)) for d in dialogues])


def talk(*lines: str, before: Model | None = None, after: Model | None = None, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width)
    chat(before or Model("old"), after or Model("new"), scorer=lengths, lines=lines, console=console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_both_models_answer_in_labelled_panels_with_scores() -> None:
    shown = talk("hello")
    assert "old after 1" in shown and "new after 1" in shown
    assert shown.index("before") < shown.index("after ──")  # the panels' titles, left and right
    assert "score +11.00 nats" in shown  # "old after 1" has 11 characters


def test_the_dialogue_goes_on_with_the_aligned_reply_for_both() -> None:
    old, new = Model("old"), Model("new")
    talk("one", "two", before=old, after=new)
    assert old.seen == new.seen
    assert old.seen[1] == Dialogue.of("one", "new after 1", "two")


def test_new_begins_a_new_dialogue() -> None:
    new = Model("new")
    talk("one", "/new", "two", after=new)
    assert new.seen[1] == Dialogue.of("two")


def test_quit_ends_and_empty_lines_and_unknown_commands_ask_nothing() -> None:
    new = Model("new")
    shown = talk("", "  ", "/what", "/quit", "never", after=new)
    assert new.seen == []
    assert "unknown command /what" in shown


@pytest.mark.parametrize("stop", [KeyboardInterrupt, EOFError])
def test_interruption_ends_cleanly(stop: type[BaseException]) -> None:
    def lines() -> Iterator[str]:
        yield "one"
        raise stop

    console = Console(file=StringIO())
    chat(Model("old"), Model("new"), lines=lines(), console=console)


def test_model_output_and_input_cannot_steer_the_terminal() -> None:
    class Nasty(Model):
        def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
            return [d.with_reply("\x1b[2J [red]no[/red] \x07") for d in dialogues]

    shown = talk("hi", "/\x1b[2J", after=Nasty("new"))
    assert "\x1b" not in shown and "\x07" not in shown
    assert "\\x1b[2J [red]no[/red] \\x07" in shown
    assert "unknown command /\\x1b[2J" in shown


def test_a_message_that_does_not_fit_is_told_and_the_dialogue_stays() -> None:
    class Small(Model):
        def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
            if "long" in dialogues[0].messages[-1].text:
                raise DataError("dialogue 0: its last turn alone outgrows 8 tokens")
            return super().__call__(dialogues)

    small = Small("new")
    shown = talk("one", "too long", "two", after=small)
    assert "outgrows 8 tokens; /new begins a new dialogue" in shown
    assert small.seen[-1] == Dialogue.of("one", "new after 1", "two")


def test_an_exchange_has_no_scores_without_a_scorer() -> None:
    found = reply_to(Dialogue.of("a"), Model("old"), Model("new"))
    assert (found.before.reply, found.after.reply, found.scores) == ("old after 1", "new after 1", None)


def test_lines_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("one\ntwo\n"))
    assert list(typed_lines()) == ["one", "two"]
