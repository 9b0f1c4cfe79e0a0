"""The seven Atari games of Christiano et al. 2017: what is blanked on their screens, and how screens are made small.

The paper blanks the score in all games, the number of enemy ships in BeamRider and the speedometer in Enduro
(appendix A.2), lest a predictor reads the reward off the screen. It lists no rectangles; these were read off frames.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from preflab.control.rendering.pillow import average_areas
from preflab.conversion import did_you_mean
from preflab.errors import ConfigError

HEIGHT, WIDTH, SIDE = 210, 160, 84
"""Pixels of a screen, and of the square that it is brought to."""


@dataclass(frozen=True)
class Game:
    """One game."""

    blanked: tuple[tuple[int, int, int, int], ...]
    """Rectangles in pixels of the whole screen: first row, row behind the last, first column, column behind the
    last."""
    end_penalty: bool = True
    """Whether the loss of a life or the end of a game costs reward: in all games but Pong (appendix A.2)."""
    loaded_anew: bool = False
    """Whether a game after a reset depends on the one before it, so that the cartridge is loaded again for each."""


GAMES: dict[str, Game] = {
    "beam_rider": Game(((0, 20, 0, WIDTH), (31, 41, 16, 40)), loaded_anew=True),
    "breakout": Game(((0, 17, 0, WIDTH),)),
    "enduro": Game(((160, 192, 0, WIDTH),)),
    "pong": Game(((0, 24, 0, WIDTH),), end_penalty=False),
    "qbert": Game(((5, 14, 32, 74),)),
    "seaquest": Game(((0, 20, 0, WIDTH),)),
    "space_invaders": Game(((0, 21, 0, WIDTH),)),
}
"""BeamRider: the score's line, and the ships left in the sector. Breakout: the line with the score, and the balls left
beside it. Enduro: the board with speedometer, day and cars to pass. Qbert: the digits alone, since enemies fall beside
them. Space Invaders: the line of the score is where the command ship flies later in a game: it is hidden too."""


def game_named(name: str) -> Game:
    """The game of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in GAMES:
        raise ConfigError(f"no game {name!r}{did_you_mean(name, list(GAMES)) or '; known are ' + ', '.join(GAMES)}")
    return GAMES[name]


def small_screen(game: Game, screen: UInt8[np.ndarray, "210 160"]) -> UInt8[np.ndarray, "84 84"]:
    """Blank what the game hides, in place, and average areas down to 84 x 84.

    Every pixel counts in one area: three rows and two in turn, two columns, one now and then.
    """
    for top, bottom, left, right in game.blanked:
        screen[top:bottom, left:right] = 0
    return average_areas(screen, SIDE)
