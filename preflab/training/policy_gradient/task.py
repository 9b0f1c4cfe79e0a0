"""What a policy is trained for: the models, the reward and the prompts, whichever the method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import DataError
from preflab.interfaces import Scorer
from preflab.models.roles import Role
from preflab.rollouts.encode import fit_prompts
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.engine import Engine


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyTask:
    """Everything of a run that is neither the method nor its settings.

    Another reward is another ``scorer``; another attacker or user is another ``prompts`` or ``engine``.
    """

    policy: Role
    reference: Role | None
    """What KL is measured from; None only where it is not measured (``measure_kl=false``)."""
    scorer: Scorer
    """The reward of a finished dialogue, in nats; higher is better."""
    prompts: Sequence[Dialogue]
    """Dialogues that await a reply."""
    encoder: Encoder
    seed: int
    score_offset: float = 0.0
    """Taken from every score, so that a value model need not learn it: scores of preference models have no zero of
    their own (Stiennon et al. 2020 put it at the reference summaries)."""
    engine: Engine | None = None
    """Where the policy is sampled; None: in this process."""
    pretraining: Sequence[Row] = ()
    """Rows whose language-model gradient is mixed in; see ``ptx.rows_of_text``."""
    sources: Mapping[Dialogue, str] = field(default_factory=dict)
    """A prompt's source, for scores logged by source."""

    def fitted_prompts(self, max_new_tokens: int) -> list[tuple[Dialogue, tuple[int, ...]]]:
        """The prompts that leave room for a reply and that the chat template takes, with their tokens.

        Raises:
            DataError: none does.
        """
        room = self.encoder.max_tokens - max_new_tokens
        fitting, refused = fit_prompts(self.encoder, self.prompts, room=room)
        if not fitting:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in refused.items())
            raise DataError(f"no prompt fits in {room} tokens: {reasons or 'there are none'}")
        return [(self.prompts[i], tokens) for i, tokens in fitting.items()]
