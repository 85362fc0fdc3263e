//! Text to tokens: white space, quotes, comments, `{$ENV}`.
