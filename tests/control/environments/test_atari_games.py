"""Games by name, and what each hides of its screen; the emulator's own screens are in test_atari."""

import numpy as np
import pytest

from preflab.control.environments.atari_games import GAMES, HEIGHT, SIDE, WIDTH, game_named, small_screen
from preflab.errors import ConfigError


def test_games_are_found_by_name_and_near_misses_are_named() -> None:
    assert game_named("pong") is GAMES["pong"]
    with pytest.raises(ConfigError, match="no game 'pongg'; did you mean 'pong'"):
        game_named("pongg")
    with pytest.raises(ConfigError, match="known are beam_rider"):
        game_named("chess")


def test_only_pong_costs_nothing_at_an_end() -> None:
    assert [name for name, game in GAMES.items() if not game.end_penalty] == ["pong"]


@pytest.mark.parametrize("name", list(GAMES))
def test_what_is_blanked_is_black_and_the_rest_is_not(name: str) -> None:
    pytest.importorskip("PIL", reason="screens are made small by Pillow")
    white = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    small = small_screen(GAMES[name], white)
    assert small.shape == (SIDE, SIDE)
    hidden = sum((bottom - top) * (right - left) for top, bottom, left, right in GAMES[name].blanked)
    assert (white == 0).sum() == hidden > 0
    assert small.mean() == pytest.approx(255 * (1 - hidden / white.size), abs=1.0)
