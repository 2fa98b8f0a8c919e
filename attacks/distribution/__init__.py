"""Distribution inference: what a released model tells about the distribution its training set came from, not about single records."""
