//! The snapshot of a cluster: what was written is read, and octets of others are refused or say what a snapshot can.

use ring::digest::{SHA256, digest};
use rollcall::cluster::DatedFact;
use rollcall::cluster::snapshot::{Head, Refusal, Snapshot, VERSION, encode};

use crate::clusters::{service, slice};
use crate::octets::Drawn;
use crate::watches::is_fact;

/// Facts come back as they were; a file of others, be its checksum right or not, is read to its end or refused, and what comes of it are
/// facts.
pub fn snapshot(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    match drawn.below(3) {
        0 => is_snapshot_or_none(drawn.rest()),
        1 => is_snapshot_or_none(&signed(drawn.rest())),
        _ => is_kept(&mut drawn),
    }
}

/// A whole file with these blocks and a checksum that is right.
fn signed(blocks: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    encode(&mut octets, &head(), Vec::new).unwrap();
    // Without the end of its blocks and the checksum.
    octets.truncate(octets.len() - 4 - digest(&SHA256, &[]).as_ref().len());
    octets.extend_from_slice(blocks);
    let checksum = digest(&SHA256, &octets);
    octets.extend_from_slice(checksum.as_ref());
    octets
}

fn head() -> Head {
    Head { cluster: "c".into(), settings: "s".into(), true_at: 7 }
}

fn is_snapshot_or_none(octets: &[u8]) {
    match Snapshot::open(octets) {
        Ok(snapshot) => {
            let mut faults = 0;
            for block in snapshot.blocks() {
                assert_eq!(faults, 0, "nothing comes after a fault");
                match block {
                    Ok(groups) => {
                        groups.iter().flatten().for_each(|(fact, _)| assert_eq!(fact.key(), fact.clone().key()))
                    }
                    Err(_) => faults += 1,
                }
            }
        }
        Err(Refusal::Damaged(_)) => {}
        Err(Refusal::Format(version)) => assert_ne!(version, VERSION),
        Err(other) => panic!("{other}: not by the octets alone"),
    }
}

fn is_kept(drawn: &mut Drawn<'_>) {
    let groups: Vec<Vec<DatedFact>> = (0..drawn.below(4))
        .map(|_| {
            let fact = |drawn: &mut Drawn<'_>| if drawn.once_in(2) { service(drawn) } else { slice(drawn) };
            (0..1 + drawn.below(3)).map(|_| (fact(drawn), u32::from(drawn.octet()))).collect()
        })
        .collect();
    let mut octets = Vec::new();
    let mut left = groups.chunks(1 + drawn.below(2));
    encode(&mut octets, &head(), || left.next().map(<[_]>::to_vec).unwrap_or_default()).unwrap();
    let snapshot = Snapshot::open(&octets).unwrap();
    assert_eq!(snapshot.head, head());
    let read: Vec<Vec<DatedFact>> = snapshot.blocks().flat_map(Result::unwrap).collect();
    assert_eq!(read, groups);
    read.iter().flatten().for_each(|(fact, _)| is_fact(fact.kind(), fact));
    // One octet of another value anywhere is seen.
    let at = drawn.octet() as usize * octets.len() / 256;
    octets[at] ^= 1 + drawn.octet() % 255;
    assert!(Snapshot::open(&octets).is_err(), "octet {at}");
}
