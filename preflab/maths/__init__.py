"""Mathematics on its own: pure functions of arrays; no models, tokenizers, files or loggers.

preference       scores into choices: pairwise, K-wise and Plackett-Luce losses
dpo              DPO and IPO losses
policy           PPO losses, KL estimators, entropy, masked mean and whitening, the adaptive KL coefficient
returns          rewards per token, advantages and returns
best_of_n        unbiased best-of-n scores and the KL that best-of-n spends
query_selection  which pairs to ask about, and how many labels are due when
statistics       estimates with intervals, calibration, straight lines
bootstrap        the bootstrap of whole clusters: of items, of sums, of several columns
agreement        Krippendorff's alpha, the share of equal answers
pairwise_votes   who beat whom: votes, and whether they fix ratings at all
ratings          Bradley-Terry with ties, by maximum likelihood or with a ridge, in nats or Elo

The first four are torch, for what training differentiates; the others are numpy, and import no torch.

Axis words, the same in every signature:

pair     comparisons of two replies                 item    anything counted one by one, of any shape as ``*item``
option   replies to one prompt, or outcomes         vocab   entries of a vocabulary
prompt   prompts                                    token   reply tokens, in order
sample   replies drawn from a policy

Masks are boolean and ``True`` means "counts". Scores, losses, log-probabilities and KL are in nats. A loss
returns one value per item and the caller averages; only functions that take a mask, or one prompt whole, reduce.
Index 0 is the first reply and is called "a". Settings out of range raise ``ConfigError``; impossible data raise
``DataError``. Shapes are checked when the tests run and cost nothing otherwise.
"""
