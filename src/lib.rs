//! rollcall answers DNS for a Kubernetes cluster, from memory that watch events keep current.

pub mod admin;
pub mod app;
pub mod cache;
pub mod cluster;
pub mod corefile;
pub mod plugins;
pub mod serve;
pub mod upstream;
pub mod wire;
pub mod zone;
