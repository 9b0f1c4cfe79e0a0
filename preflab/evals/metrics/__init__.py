"""What is computed from answers: bias scores, refusal, toxicity, diversity, preference accuracy, battles."""
