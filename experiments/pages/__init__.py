"""What pages of the documentation say of files of results."""
