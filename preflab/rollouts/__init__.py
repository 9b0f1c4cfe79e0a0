"""Where text meets weights: dialogues to tokens, sampling, scoring.

encoder   text to tokens and back, by the chat template     encode    dialogues and comparisons as rows
generate  replies with their log-probabilities              template_probes  what a template does to replies
score     rows and dialogues through a role                 sampling  from logits to tokens: top-k, top-p, rules
engine    where a policy is sampled                         kv_cache  keys and values while sampling
requests  option log-probabilities, generations, scores     servers   vLLM and OpenAI-compatible endpoints
"""
