"""What runs in files are made of: layout and blocks, files that are merged, and processes."""
