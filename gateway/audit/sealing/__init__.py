"""From a finished segment to a sealed one: compressed, with its tree, its seal, and columns for questions."""
