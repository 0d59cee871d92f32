"""The trunk: its network, data, losses, export and scores."""
