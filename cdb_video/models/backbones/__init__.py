"""Backbones, one file each: clips (B, 3, T, H, W) to feature vectors (B, num_features)."""
