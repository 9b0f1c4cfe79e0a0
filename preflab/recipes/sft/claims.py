"""What a fine-tuning says of the claims of the recipe ``sft``.

1. Replies that were not trained on become more probable. It has a verdict.
2. With more passes the loss on unseen replies is least near the first (Ouyang et al. 2022, app. C.1). It has none:
   a run holds one loss a pass, without an interval of their difference. They stand in ``epochs`` of the result.
"""

from preflab.maths.statistics import Estimate
from preflab.reporting.verdicts import Verdict, claim_above

STIENNON = "Stiennon et al. 2020"
"""Sec. 3.4: the supervised baseline that all other policies start from."""
MORE_PROBABLE = "unseen replies become more probable"
"""The loss on replies that were not trained on falls."""


def verdicts(gain: Estimate) -> list[Verdict]:
    """Whether replies that were not trained on become more probable.

    Args:
        gain  nats per reply token that held-out replies became cheaper by, with an interval over prompts.

    Returns:
        One verdict; it holds where the whole interval lies above 0.
    """
    return [claim_above(MORE_PROBABLE, gain, 0.0, unit="nats", source=STIENNON)]
