"""From estimates to what people read: text, plots, HTML pages, reports, verdicts."""
