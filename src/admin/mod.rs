//! Tells an operator the state: health, ready, metrics. It is handed handles and imports no other room.
