"""The client of `karere.paho`: what paho's own suite and the golden tables do not look at."""
