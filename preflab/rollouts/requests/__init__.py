"""What is asked of a model beyond sampling, who answers, and where the answers are kept."""
