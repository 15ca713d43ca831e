"""Gets data sets: from the network, or from files of the user."""
