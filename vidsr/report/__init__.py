"""Before/after pages, plots and quality numbers: what can be seen before and after a run."""
