"""Where text meets weights: dialogues to tokens, sampling, scoring.

encode    dialogues and comparisons as tokens, and back     generate  replies with their log-probabilities
score     rows and dialogues through a role                 cache     keys and values while sampling
"""
