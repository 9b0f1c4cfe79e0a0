"""The eight tasks against MuJoCo itself, stepped one copy at a time."""

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco", reason="the extra 'control' is not installed")
pytest.importorskip("gymnasium", reason="the extra 'control' is not installed")

from preflab.control.environments.mujoco_tasks import TASKS, MujocoEnv, load_body, task_named  # noqa: E402
from preflab.errors import ConfigError  # noqa: E402


def drawn(env: MujocoEnv, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(env.n, env.model.nu))


@pytest.mark.parametrize("task", TASKS)
def test_a_step_is_that_of_the_simulator_started_cold(task: str) -> None:
    env = MujocoEnv(task, 2)
    for number in range(3):
        before, actions = env.state()["full"].numpy(), drawn(env, number, 2.0)
        env.step(actions)
        for i in range(env.n):
            data = mujoco.MjData(env.model)
            mujoco.mj_setState(env.model, data, before[i], mujoco.mjtState.mjSTATE_FULLPHYSICS)
            data.ctrl[:] = actions[i]  # beyond the range; the simulator clips
            for _ in range(TASKS[task].skip):
                mujoco.mj_step(env.model, data)
            now = env.state()["full"].numpy()[i]
            assert now[1 : 1 + env.model.nq] == pytest.approx(data.qpos, abs=1e-9)
            assert now[1 + env.model.nq : 1 + env.model.nq + env.model.nv] == pytest.approx(data.qvel, abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_no_episode_ends_before_its_horizon_and_all_do_then(task: str) -> None:
    env = MujocoEnv(task, 2, horizon=20)
    ends = [env.step(drawn(env, t, 5.0)).dones.tolist() for t in range(40)]
    assert [t for t, ended in enumerate(ends, start=1) if ended == [True, True]] == [20, 40]
    assert sum(map(any, ends)) == 2


@pytest.mark.parametrize("task", TASKS)
def test_an_environment_given_anothers_state_goes_on_as_it_over_an_end(task: str) -> None:
    env, other = MujocoEnv(task, 3, seed=5, horizon=15), MujocoEnv(task, 3, seed=5, horizon=15)
    for t in range(7):
        env.step(drawn(env, t))
    other.load_state({name: value.clone() for name, value in env.state().items()})
    for t in range(20):
        one, two = env.step(drawn(env, t)), other.step(drawn(env, t))
        assert np.array_equal(one.observations, two.observations)
        assert np.array_equal(one.true_reward, two.true_reward)


def test_copies_differ_seeds_differ_and_a_copy_does_not_depend_on_how_many_there_are() -> None:
    two, four, other = MujocoEnv("hopper", 2), MujocoEnv("hopper", 4), MujocoEnv("hopper", 2, seed=1)
    assert np.array_equal(two.observations, four.observations[:2])
    assert not np.array_equal(two.observations[0], two.observations[1])
    assert not np.array_equal(two.observations, other.observations)


def test_reacher_is_paid_the_distance_from_fingertip_to_goal() -> None:
    env = MujocoEnv("reacher", 4)
    found = env.step(drawn(env)).true_reward
    for i, qpos in enumerate(env.render_states().astype(float)):
        data = mujoco.MjData(env.model)
        data.qpos[:] = qpos
        mujoco.mj_kinematics(env.model, data)
        gap = data.body("fingertip").xpos - data.body("target").xpos
        assert found[i] == pytest.approx(-np.linalg.norm(gap[:2]), abs=1e-6)


def test_the_double_pendulum_is_paid_for_the_height_of_its_tip() -> None:
    env = MujocoEnv("double_pendulum", 4)
    found = env.step(drawn(env)).true_reward
    full = env.state()["full"].numpy()
    for i, qpos in enumerate(full[:, 1:4]):
        data = mujoco.MjData(env.model)
        data.qpos[:] = qpos
        mujoco.mj_kinematics(env.model, data)
        x, _, height = data.site("tip").xpos
        speed = full[i, 4:7]
        lost = 0.01 * x**2 + (height - 2) ** 2 + 1e-3 * speed[1] ** 2 + 5e-3 * speed[2] ** 2
        assert found[i] == pytest.approx(10 - lost + 10 * (height - 1), abs=1e-6)


def test_runners_are_paid_for_speed_and_not_for_torque() -> None:
    env = MujocoEnv("half_cheetah", 2)
    before = env.render_states()[:, 0]
    found = env.step(drawn(env, scale=10.0)).true_reward
    assert found == pytest.approx((env.render_states()[:, 0] - before) / 0.05, abs=1e-4)  # 5 steps of 10 ms
    assert float(load_body("half_cheetah.xml").body_mass.sum()) == pytest.approx(14.0)  # as its file asks


@pytest.mark.parametrize("task", ["hopper", "walker"])
def test_hopper_and_walker_are_paid_for_height_too(task: str) -> None:
    env = MujocoEnv(task, 2)
    before = env.state()["full"].numpy()
    found = env.step(drawn(env)).true_reward
    now = env.state()["full"].numpy()
    speed, height = (now[:, 1] - before[:, 1]) / 0.008, now[:, 2]  # 4 steps of 2 ms
    assert found == pytest.approx(speed + height - (1 if task == "walker" else 0))  # 1 + h - 2 and 1 + h - 1


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="half_cheetah"):
        task_named("half_cheeta")


def test_a_state_of_another_body_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        MujocoEnv("hopper", 2).load_state(MujocoEnv("walker", 2).state())


def test_no_copies_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        MujocoEnv("hopper", 0)
