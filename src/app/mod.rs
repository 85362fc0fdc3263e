//! Wires the rooms: Corefile to plan to servers, watches and admin; start, reload, drain.
