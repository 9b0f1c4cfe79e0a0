"""Pictures of bodies: where a shape must land in pixels, what follows the body, and what is refused."""

import numpy as np
import pytest

from preflab.control.environments.mujoco_tasks import TASKS, MujocoEnv
from preflab.control.rendering.mujoco import HEIGHT, VIEWS, WIDTH, BodyRenderer
from preflab.errors import ConfigError, DataError

pytest.importorskip("mujoco", reason="needs the extra 'control' (mujoco)")
pytest.importorskip("gymnasium", reason="needs the extra 'control' (gymnasium)")
pytest.importorskip("PIL", reason="needs the extra 'control' (pillow)")


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixels (row, column) of nearly that colour."""
    return np.argwhere(np.abs(picture.astype(int) - np.array(colour)).max(axis=-1) < 12)


def test_every_task_has_a_view() -> None:
    assert VIEWS.keys() == TASKS.keys()


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_body_is_seen_whole_and_moves(task: str) -> None:
    env, renderer = MujocoEnv(task, 1, seed=1), BodyRenderer(task)
    before = renderer(env.render_states()[0])
    assert before.shape == (HEIGHT, WIDTH, 3) and before.dtype == np.uint8
    assert np.array_equal(before, renderer(env.render_states()[0]))  # the same state, the same picture
    for _ in range(5):
        env.step(np.ones((1, env.spec.actions.size), np.float32))
    after = renderer(env.render_states()[0])
    assert (before != after).any(axis=-1).mean() > 0.005


def test_a_reachers_goal_is_where_it_should_be() -> None:
    # The picture is 0.64 m wide, 280 pixels: 437.5 pixels a metre, its middle at (140, 105).
    # A goal at (0.1, -0.15) lies 43.75 to the right of it and 65.6 below.
    picture = BodyRenderer("reacher")(np.array([0.0, 0.0, 0.1, -0.15]))
    row, column = near(picture, (229, 51, 51)).mean(axis=0)
    assert (row, column) == (pytest.approx(170.6, abs=1), pytest.approx(183.75, abs=1))


def test_a_poles_tip_is_where_it_should_be() -> None:
    # A pole 0.6 long that leans a quarter turn to the right lies along the rail: its middle is 0.3 right of the cart.
    # 280 pixels for 2.6 m: 107.7 a metre. The picture's middle is 0.15 above the rail: row 105 + 16.2.
    renderer = BodyRenderer("pendulum")
    up, right = renderer(np.array([0.0, 0.0])), renderer(np.array([0.0, np.pi / 2]))
    pole = (0, 178, 178)
    assert near(up, pole)[:, 1].mean() == pytest.approx(139.5, abs=1)
    assert near(right, pole)[:, 0].mean() == pytest.approx(121, abs=1)
    assert near(right, pole)[:, 1].max() == pytest.approx(140 + (0.6 + 0.045) * 107.7, abs=3)


def test_the_picture_follows_a_runner_and_the_ground_passes_by() -> None:
    env, renderer = MujocoEnv("hopper", 1), BodyRenderer("hopper")
    here = env.render_states()[0].astype(np.float64)
    on, far = here.copy(), here.copy()
    on[0] += 0.3
    far[0] += 1000.0  # whole tiles
    assert (renderer(here) != renderer(on)).any()
    assert np.array_equal(renderer(here)[60:180, 125:155], renderer(far)[60:180, 125:155])
    body = [near(renderer(state), (204, 153, 102))[:, 1].mean() for state in (here, on)]
    assert body[0] == pytest.approx(body[1], abs=0.5)


def test_a_hopper_that_jumps_is_higher_in_the_picture() -> None:
    env, renderer = MujocoEnv("hopper", 1), BodyRenderer("hopper")
    state = env.render_states()[0].astype(np.float64)
    low = near(renderer(state), (204, 153, 102))[:, 0].mean()
    state[1] += 0.5  # 280 / 3.8 = 73.7 pixels a metre
    assert low - near(renderer(state), (204, 153, 102))[:, 0].mean() == pytest.approx(36.8, abs=1)


def test_a_head_is_told_from_a_foot() -> None:
    env, renderer = MujocoEnv("hopper", 1), BodyRenderer("hopper")
    state = env.render_states()[0].astype(np.float64)
    eye, foot = near(renderer(state), (30, 30, 40))[:, 0].mean(), near(renderer(state), (204, 153, 102))[:, 0].max()
    assert eye < foot - 70
    state[1], state[2] = 1.4, np.pi  # on its head
    assert near(renderer(state), (30, 30, 40))[:, 0].mean() > near(renderer(state), (204, 153, 102))[:, 0].min() + 70


def test_an_ant_in_the_air_is_apart_from_its_shadow() -> None:
    env, renderer = MujocoEnv("ant", 1), BodyRenderer("ant")
    state = env.render_states()[0].astype(np.float64)
    shade = [near(renderer(state + np.eye(15)[2] * up), (150, 160, 146)).mean(axis=0) for up in (0.0, 1.0)]
    assert shade[1][0] - shade[0][0] > 20  # the picture follows the body, so that its shadow sinks


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="hopper"):
        BodyRenderer("hoper")
    with pytest.raises(DataError, match="expected 6 finite joint positions"):
        BodyRenderer("hopper")(np.zeros(5))
    with pytest.raises(DataError, match="finite"):
        BodyRenderer("hopper")(np.full(6, np.nan))
