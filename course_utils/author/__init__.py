"""What who keeps the course needs and its reader never opens: the command line and what is behind it."""
