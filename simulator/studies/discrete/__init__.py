"""Design with whole numbers: every node, network, topology, oversubscription and count of a catalogue, compared."""
