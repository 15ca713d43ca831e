"""Gets data sets: from the network, from package registries, from what the user has."""
