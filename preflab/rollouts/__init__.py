"""Where text meets weights: dialogues to tokens, sampling, scoring.

encode    dialogues and comparisons as tokens, and back     generate  replies with their log-probabilities
score     rows and dialogues through a role                 sampling  from logits to tokens: top-k, top-p, rules
engine    where a policy is sampled                         kv_cache  keys and values while sampling
requests  option log-probabilities, generations, scores     servers   vLLM and OpenAI-compatible endpoints
"""
