"""How a pretrained network is trained on: by stages, frozen or checkpointed."""
