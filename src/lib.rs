//! rollcall answers DNS for a Kubernetes cluster, from memory that watch events keep current.
//!
//! # From above
//!
//! ```text
//! Kubernetes API ──watch──▶ cluster: facts ─▶ index ─▶ changes ──publish──▶ zone
//! manifest files ───────────────┘                                            │ load
//! client ──octets──▶ serve ──a cluster name────────────────────────────────▶ answer
//!                      └─────anything else──▶ chain: log │ rewrite │ cache │ forward ──▶ upstream
//! ```
//!
//! The write path may be slow: [`cluster`] mirrors Services, EndpointSlices, Pods and Namespaces, works out which names
//! changed, and publishes them. The read path never waits: for a cluster name a data thread parses the question in
//! place, looks the name up in the published [`zone`] and writes the answer into the buffer it will send. The two paths
//! meet in one place, `zone::Publisher` and `zone::Reader`, and nowhere else.
//!
//! Everything that decides is a plain function of its arguments, the time and randomness included; everything that does
//! I/O only carries.
//!
//! # Threads
//!
//! A data thread has a UDP socket of its own (`SO_REUSEPORT`) and receives and sends in batches. An address has one of them
//! at first, and as the load grows up to one for each core that the process may use. A tokio runtime carries the rest:
//! watches, TCP and encrypted connections, forwarding, the admin pages, reloads and signals. A data thread starts the plugin
//! chain of a query itself and goes as far as it goes without waiting; what waits moves to the runtime, and how much may
//! wait is bounded.
//!
//! # The rooms
//!
//! | Room | Does one thing |
//! |---|---|
//! | [`wire`] | reads a question and writes an answer in place; wraps `hickory-proto` for whole messages |
//! | [`zone`] | answers a question from one published version of the cluster's names |
//! | [`cluster`] | mirrors the Kubernetes objects, or manifest files, and derives their names |
//! | [`files`] | reads the files that somebody names: regular ones, within a bound, without waiting, and again once they have changed |
//! | [`metrics`] | declares a metric in one line: name, help and labels, and whoever reads metrics gets it |
//! | [`places`] | shares a bounded number of places among clients: at the limit whoever holds most gives way |
//! | [`tasks`] | begins anew what must go on, after a panic |
//! | [`corefile`] | turns text into a syntax tree with line and column; knows no directive's meaning |
//! | [`cache`] | remembers an answer until its TTL ends |
//! | [`upstream`] | asks another resolver and returns its answer |
//! | [`syntax`] | the small languages inside a directive's words: templates, expressions, patterns, zone-file text |
//! | [`chain`] | what a plugin is, what passes along a chain of them, what a server block is |
//! | [`plugins`] | what one directive does to one query; a file for each, in CoreDNS's fixed order |
//! | [`serve`] | carries octets between listeners, the zone and the chain; limits of size and connections |
//! | [`admin`] | tells an operator the state over HTTP: health, ready, metrics |
//! | [`explain`] | tells people why a name is answered as it is: causes and next steps, from what others found out |
//! | [`process`] | one running server: Corefile to plan, start, reload, drain |
//! | [`cli`] | the command line and its subcommands |
//!
//! Which room may import which is a table in `tests/layering.rs`, and the test holds it.
//!
//! # What holds
//!
//! Most of it is absence:
//!
//! - Nothing reached from [`zone::answer`] waits, locks, allocates or makes a system call (`tests/no_alloc.rs`).
//! - One look-up decides whether a name exists, for every type alike. The targets of an SRV answer and the addresses
//!   beside them come from the same version of the same Service.
//! - No name of the cluster, forward or reverse, is ever in a cache.
//! - "Not synced yet" is a state of the reader; it cannot be mistaken for an empty cluster.
//! - A relist is applied as a difference: no outage, restart or relist ever blanks a name.
//! - An endpoint that moves between the slices of its Service does not vanish on the way.
//! - The work for one query is bounded by the octets that leave, the memory by what the cluster holds and one page.
//! - A dead upstream, a loop, a bad Corefile on reload or one bad object changes no cluster answer.
//! - Whatever a client sends gets an answer, an error answer or silence. No byte from outside reaches a panic.
//! - Only [`serve`], [`upstream`], [`cluster`] and [`admin`] touch the network.
//! - `unsafe` stands in one module of [`serve`], for system calls on many datagrams (Linux; elsewhere a safe loop stands
//!   in), and in two of [`process`], for calls to the allocator and for what the process gives up at its start.

pub mod admin;
pub mod cache;
pub mod chain;
pub mod cli;
pub mod cluster;
pub mod corefile;
pub mod explain;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
mod metrics;
mod places;
pub mod plugins;
pub mod process;
pub mod serve;
pub mod syntax;
mod tasks;
pub mod upstream;
pub mod wire;
pub mod zone;
