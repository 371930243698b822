"""What maintainers need and students never open: the command line and the tools behind it."""
