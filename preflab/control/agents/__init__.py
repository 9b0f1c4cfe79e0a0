"""What acts and learns from rewards: A2C, PPO, and their action distributions."""
