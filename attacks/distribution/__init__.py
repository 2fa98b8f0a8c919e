"""Distribution inference: what a trained model tells about the distribution that its training data came from."""
