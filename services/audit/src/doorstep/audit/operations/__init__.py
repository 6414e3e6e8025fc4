"""What the log does: store what is submitted, put it into the tree, prove that it is there."""
