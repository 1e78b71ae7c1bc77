"""The simulated world: time, chance, the log, the network, the group, disks. Nothing is real."""
