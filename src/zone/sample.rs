//! Uniformly random order without an array as long as the set: the work grows with what is drawn.
