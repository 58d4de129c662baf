"""The predictor: sees a series heading for its limit before it gets there, and picks the moment to act."""
