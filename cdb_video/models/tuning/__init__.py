"""Ways to train a pretrained network: freezing, light tuning, activation checkpointing."""
