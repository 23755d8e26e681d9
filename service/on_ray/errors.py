"""What can go wrong with a cluster as a whole, as sentences."""


class ClusterError(ValueError):
    """There is no cluster there, it has not what is wanted, or it failed; what it has done already stays."""
