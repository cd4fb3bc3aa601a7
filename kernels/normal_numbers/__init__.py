"""Normal numbers from random words: the op ``normals``."""
