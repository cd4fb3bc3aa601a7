"""What the families' cases are made of: sizes, models, random inputs, and the cases of all of them."""
