"""Meta-training and evaluation: episodes, simulated annotators, datasets, metrics, baselines."""
