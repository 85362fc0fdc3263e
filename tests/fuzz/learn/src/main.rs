//! One target, chosen by `ROLLCALL_FUZZ_TARGET` when this is built, as a program of libFuzzer.

#![no_main]

use rollcall_fuzz::{Target, named};

const TARGET: Target = named(env!("ROLLCALL_FUZZ_TARGET"));

libfuzzer_sys::fuzz_target!(|octets: &[u8]| TARGET.run(octets));
