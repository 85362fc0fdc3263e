//! Remembers an answer until its TTL ends; the time is an argument.
