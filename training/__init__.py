"""Training: datasets, networks, losses, the trainer, export, evaluation and reports."""
