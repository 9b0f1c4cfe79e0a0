"""The recipe by its command, small."""

FEW = ["--set", "data.max_comparisons=24", "--set", "evaluation_prompts=3"]
SMALL = ["run", "dpo", "--scale", "smoke", "--quiet", *FEW]
