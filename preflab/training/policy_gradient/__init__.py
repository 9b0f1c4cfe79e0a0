"""PPO, RLOO and REINFORCE: rollouts, rewards, advantages, losses, the value model, pretraining gradients."""
