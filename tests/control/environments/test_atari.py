"""Atari on the real emulator: what is hidden, what is kept, and that a copy goes on as the one whose state it has."""

import numpy as np
import pytest

from preflab.control.clips import ClipStore, EpisodeSegment
from preflab.control.environments.env import Discrete
from preflab.errors import ConfigError

pytest.importorskip("ale_py", reason="Atari games need ale-py")
pytest.importorskip("PIL", reason="screens are made small by Pillow")

from preflab.control.environments.atari import AtariEnv
from preflab.control.environments.atari_games import GAMES, Game, small_screen


def play(env: AtariEnv, steps: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random actions: newest screens [time env 84 84] and true rewards [time env]."""
    rng, screens, rewards = np.random.default_rng(seed), [], []
    assert isinstance(env.spec.actions, Discrete)
    for _ in range(steps):
        told = env.step(rng.integers(env.spec.actions.n, size=env.n))
        assert not told.dones.any(), "nothing may tell the agent of an end"
        assert told.final_observations is told.observations
        screens.append(told.observations[:, -1])
        rewards.append(told.true_reward)
    return np.stack(screens), np.stack(rewards)


@pytest.mark.parametrize("name", list(GAMES))
def test_scores_are_black_and_the_game_is_not(name: str) -> None:
    """Each rectangle is black in every screen; without blanking something is to be seen in it."""
    env = AtariEnv(name, 1)
    screens, _ = play(env, 60)
    for top, bottom, left, right in GAMES[name].blanked:
        own = screens[:, 0, int(np.ceil(top / 2.5)) : int(bottom / 2.5), :]
        own = own[:, :, int(np.ceil(left * 84 / 160)) : int(right * 84 / 160)]
        assert own.size
        assert not own.any()
        raw = env._emulators[0].getScreenGrayscale()[top:bottom, left:right]
        assert raw.std() > 0, "digits stand here"
    hidden = np.zeros((210, 160), dtype=bool)
    for top, bottom, left, right in GAMES[name].blanked:
        hidden[top:bottom, left:right] = True
    assert hidden.mean() < 0.16, "most of the screen is the game's"
    seen = np.ptp(screens[:, 0].astype(int), axis=0) > 0
    assert seen.any(), "something moves in what is left"


def test_areas_are_averaged() -> None:
    """210 rows become 84, three and two in turn: row 2 is a third of the first area, row 3 half of the second."""
    screen = np.zeros((210, 160), dtype=np.uint8)
    screen[2], screen[3] = 30, 60
    small = small_screen(Game(((0, 210, 0, 4),)), screen)
    assert small[:3, 2:].tolist() == [[10] * 82, [30] * 82, [0] * 82]
    assert not small[:, :2].any(), "4 columns of 160 are 2 of 84"


@pytest.mark.parametrize("name", ["breakout", "qbert", "beam_rider"])
def test_a_copy_goes_on_exactly_as_the_one_whose_state_it_has(name: str) -> None:
    """Emulators' own snapshots drift in Qbert; games begin differently after a reset in BeamRider."""
    first, second = AtariEnv(name, 2), AtariEnv(name, 2)
    play(first, 150, seed=1)
    second.load_state(first.state())
    assert np.array_equal(first.observations, second.observations)
    one, other = play(first, 250, seed=2), play(second, 250, seed=2)
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    assert first.finished_scores() == second.finished_scores()
    for key, value in first.state().items():
        assert np.array_equal(value.numpy(), second.state()[key].numpy()), key


def test_stacks_go_on_over_the_end_of_a_game() -> None:
    """Clips across it can be cut: each stack holds the last one's screens but the oldest."""
    env, seen, rewards = AtariEnv("breakout", 1), [], []
    rng = np.random.default_rng(0)
    for _ in range(300):
        seen.append(env.observations[0])
        rewards.append(env.step(rng.integers(4, size=1)).true_reward[0])
    assert len(env.finished_scores()) >= 1
    assert env.finished_scores() == [], "each is told once"
    store = ClipStore(25, 100, stack=4)
    cut = store.cut(EpisodeSegment(np.stack(seen), np.zeros(300), np.array(rewards)), rng=rng, n=12)
    assert cut == 12


def test_lives_cost_but_not_in_pong() -> None:
    """Breakout has five lives: -1 each, or once a game; a brick of the lowest rows is worth 1 point."""
    by_life, by_game = AtariEnv("breakout", 1), AtariEnv("breakout", 1, penalise="game")
    _, lives = play(by_life, 300, seed=3)
    _, games = play(by_game, 300, seed=3)
    scores, total = by_life.finished_scores(), by_life._scores[0]
    assert len(scores) >= 1
    assert (lives - games).min() == -1
    lost = 5 * len(scores) + 5 - by_life._lives[0]
    assert lives.sum() == pytest.approx(sum(scores) + total - lost)
    assert games.sum() == pytest.approx(sum(scores) + total - len(scores))
    pong = AtariEnv("pong", 1)
    assert pong.penalty == 0
    _, rewards = play(pong, 1000)
    assert set(rewards.ravel().tolist()) <= {-1.0, 0.0, 1.0}
    assert all(-21 <= score <= 21 for score in pong.finished_scores())


def test_games_begin_differently_and_by_seed() -> None:
    one, same, other = (AtariEnv("space_invaders", 3, seed=s) for s in (0, 0, 1))
    assert np.array_equal(one.observations, same.observations)
    play(one, 20), play(same, 20), play(other, 20)
    assert np.array_equal(one.observations, same.observations)
    assert not np.array_equal(one.observations, other.observations)
    assert one.spec.obs_shape == one.observations.shape[1:] == (4, 84, 84)
    assert (one.spec.clip_steps, one.spec.fps, one.spec.frames_per_step) == (25, 15.0, 4)
    assert one.render_states() is None  # type: ignore[func-returns-value]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'breakout'"):
        AtariEnv("brekout", 1)
    with pytest.raises(ConfigError, match="expected copies"):
        AtariEnv("pong", 0)
    env = AtariEnv("pong", 2)
    with pytest.raises(ConfigError, match="2 actions from 0 to 5"):
        env.step(np.array([0, 6]))
    with pytest.raises(ConfigError, match="a state of 1 copies does not fit 2 of pong"):
        env.load_state(AtariEnv("pong", 1).state())
