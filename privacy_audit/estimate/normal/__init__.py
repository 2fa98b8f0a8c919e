"""Parts of the Gaussian family: nodes for mu, the hockey stick of two normal laws."""
