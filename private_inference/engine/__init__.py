"""What a block costs under a real secure-computation engine, which lives in an environment of its own."""
