"""Both agents stand on the protocol that the loops ask for."""

import pytest

from preflab.control.agents.a2c import A2C
from preflab.control.agents.agent import Agent
from preflab.control.agents.ppo import PPO
from tests.control.walk import Walk


@pytest.mark.parametrize("make", [PPO, A2C])
def test_an_agent_acts_and_is_stopped_and_taken_up(make: type[PPO] | type[A2C]) -> None:
    env = Walk(3)
    one, other = make(env.spec, seed=1), make(env.spec, seed=2)
    assert isinstance(one, Agent)
    assert one.act(env.observations).shape == (3, 1)
    other.load_state(one.state())
    assert all((value == other.state()[name]).all() for name, value in one.state().items())


def test_what_only_acts_is_no_agent() -> None:
    class Actor:
        def act(self, observations: object) -> None: ...

    assert not isinstance(Actor(), Agent)
