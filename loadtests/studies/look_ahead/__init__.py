"""What look-ahead takes off the time to the first token, and what it costs."""
