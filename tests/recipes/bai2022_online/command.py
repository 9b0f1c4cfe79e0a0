"""The recipe by its command, small."""

FEW = ["data.max_comparisons=30", "evaluation_prompts=3", "judgements=6", "final_judgements=4", "online_copies=2"]
SMALL = ["run", "online", "--scale", "smoke", "--quiet", "--name", "r", *(w for s in FEW for w in ("--set", s))]
