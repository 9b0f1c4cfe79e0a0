"""What agents act in: MuJoCo tasks, Atari games, any Gymnasium environment, many copies side by side."""
