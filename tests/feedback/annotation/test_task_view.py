"""What a page may ask of a turn and of a task."""

from preflab.feedback.annotation.task_view import ReplyView, TaskView, TurnView


def turn(*states: str, outcome: str | None = None) -> TurnView:
    return TurnView(0, "hello", False, tuple(ReplyView(k, "", state) for k, state in enumerate(states)), outcome)


def test_a_turn_is_ready_when_all_replies_are_there_and_failed_when_one_is_not_coming() -> None:
    assert turn("done", "done").ready and not turn("done", "writing").ready
    assert turn("done", "failed").failed and not turn("waiting", "writing").failed


def test_it_is_the_annotators_turn_at_the_beginning_and_after_each_choice() -> None:
    def task(*turns: TurnView) -> TaskView:
        return TaskView("s", 1, "lease", 1, {}, turns, 0, "terms")

    assert task().waits_for_message
    assert task(turn("done", "done", outcome="hi")).waits_for_message
    assert not task(turn("done", "done", outcome="hi"), turn("done", "done")).waits_for_message
