"""What a model computes and what that costs under secure computation."""
