"""Several blocks in one launch, each still a unit of its own."""
