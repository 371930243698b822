"""What the data and the files need beneath the lessons: archive, download, stand-in, whole-or-nothing files."""
