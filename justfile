# What is typed often. `just --list` names the recipes; each is a line that can be typed without just as well.

# format, lints, documents: before every commit
check:
    .ci/run format lint docs

# all tests, with what this machine has; `just test zone::` for some
test *FILTER:
    cargo test --locked {{FILTER}}

# the tests with a real control plane, CoreDNS and Helm
cluster:
    .ci/run cluster

# whole messages compared with CoreDNS, which COREDNS names, over the control plane of KUBEBUILDER_ASSETS
parity:
    cargo test --locked --test parity

# one benchmark: parse, lookup, index, corefile, cache, memory or versus; `just bench versus --quick`
bench NAME *ARGUMENTS:
    cargo bench --bench {{NAME}} -- {{ARGUMENTS}}

# changes, queries over every transport and faults for some minutes; says how many answers were wrong
soak MINUTES:
    ROLLCALL_SOAK={{MINUTES}} cargo test --locked --test soak -- --nocapture

# goes on with the fuzzing campaign: `just fuzz` all targets, a minute each; `just fuzz question 600`; `just fuzz keep` what was learned
fuzz *ARGUMENTS:
    tests/fuzz/learn/campaign {{ARGUMENTS}}

# the write path under virtual time against a model of the Kubernetes API, so many seeds from one on
simulate SEEDS="100000" FIRST="1":
    ROLLCALL_SEEDS={{SEEDS}} ROLLCALL_SEED_FIRST={{FIRST}} cargo test --release --locked --test simulation -- --nocapture
# every way in which a reader and the writer of the zone can meet
loom:
    RUSTFLAGS="--cfg rollcall_loom" CARGO_TARGET_DIR=target/loom cargo test --locked --lib zone::latch

# the image, built with buildah
image *TAG:
    deploy/image {{TAG}}

# binaries, images, checksums and notes of a version, for x86-64 and arm64
release *ARGUMENTS:
    deploy/release {{ARGUMENTS}}

# everything that must hold before a change lands
all:
    .ci/run
