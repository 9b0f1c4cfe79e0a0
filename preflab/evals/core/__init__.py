"""What a suite is, where its records come from, how it is run, how two runs compare."""
