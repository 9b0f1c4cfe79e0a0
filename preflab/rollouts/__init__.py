"""Where text meets weights: dialogues to tokens, sampling, scoring.

encode    dialogues and comparisons as tokens, and back     generate  replies with their log-probabilities
score     rows and dialogues through a role                 draw      from logits to tokens: top-k, top-p, rules
engine    where a policy is sampled                         cache     keys and values while sampling
vllm      a server that is handed the weights               remote    speaking to it
"""
