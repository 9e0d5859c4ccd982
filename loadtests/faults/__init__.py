"""What clients notice of a process that dies or hangs, for each of a blend's parts."""
