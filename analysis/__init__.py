"""From a study file to cached results: data, training, probes and the results store."""
