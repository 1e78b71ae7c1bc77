"""What a process of the system can be; `symphainy up` imports the one that is played."""
