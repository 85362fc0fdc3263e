//! The format and the place: what was written is read, and nothing else is.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::records::StoredFact;
use super::*;
use crate::cluster::facts::{
    EndpointFact, ExternalFact, Fact, Family, ImportedSliceFact, NamespaceFact, ObjectKey, PodFact, ServiceFact,
    ServiceSpec, SliceFact,
};
use crate::cluster::index::DatedFact;
use crate::wire::Label;
use crate::zone::{ExternalHost, Port, Protocol};

fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).unwrap()
}

fn port(protocol: Protocol) -> Port {
    Port { name: Some(label("http")), protocol, number: 8080 }
}

fn service(name: &str, spec: ServiceSpec) -> ServiceFact {
    let hosts =
        vec![ExternalHost::Address([192, 0, 2, 1].into()), ExternalHost::Name("lb.example.org".parse().unwrap())];
    let external = Some(Box::new(ExternalFact { hosts, ports: vec![port(Protocol::Sctp)] }));
    ServiceFact { key: ObjectKey::new("default", name), version: u64::MAX, selector: true, spec, external }
}

fn slice(name: &str, family: Family, addresses: &[&str]) -> SliceFact {
    let endpoint = |address: &&str| EndpointFact {
        addresses: [address.parse::<IpAddr>().unwrap()].into(),
        hostname: address.ends_with('1').then(|| label("db-0")),
        pod: None,
        ready: !address.ends_with('3'),
        zone: address.ends_with('2').then(|| "zone-a".into()),
    };
    SliceFact {
        key: ObjectKey::new("default", name),
        version: 7,
        service: "db".into(),
        family,
        ports: vec![port(Protocol::Tcp), Port { name: None, protocol: Protocol::Udp, number: 0 }],
        endpoints: addresses.iter().map(endpoint).collect(),
        aliases: vec![(label("www"), "www.example.org".parse().unwrap())],
        triggered: None,
    }
}

/// Facts of every kind.
fn groups() -> Vec<Vec<DatedFact>> {
    let virtual_addresses = vec!["10.96.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    let cluster_ip = ServiceSpec::ClusterIp { addresses: virtual_addresses, ports: vec![port(Protocol::Udp)] };
    let external = ServiceSpec::ExternalName("example.org".parse().ok());
    let pod =
        PodFact { key: ObjectKey::new("default", "db-0"), addresses: vec![[10, 0, 0, 1].into()], terminating: false };
    let imported =
        |cluster| Fact::ImportedSlice(ImportedSliceFact { slice: slice("i", Family::V6, &["fd00::2"]), cluster });
    vec![
        vec![(Fact::Namespace(NamespaceFact { name: "default".into() }), 0)],
        vec![
            (Fact::Service(service("db", ServiceSpec::Headless { ports: vec![] })), 1_796_000_000),
            (Fact::Slice(slice("db-1", Family::V4, &["10.0.0.1", "10.0.0.2", "10.0.0.3"])), u32::MAX),
            (Fact::Slice(slice("db-2", Family::Fqdn, &[])), 0),
        ],
        vec![(Fact::Service(service("web", cluster_ip.clone())), 3)],
        vec![
            (Fact::Service(service("out", external)), 3),
            (Fact::Service(service("no", ServiceSpec::ExternalName(None))), 3),
        ],
        vec![(Fact::Import(ServiceFact { external: None, ..service("web", cluster_ip) }), 4)],
        vec![(imported(Some(label("west"))), 5), (imported(None), 5)],
        vec![(Fact::Pod(pod), 6)],
    ]
}

fn head() -> Head {
    Head {
        cluster: "https://10.0.0.1 with CA 07".into(),
        settings: "Service, Namespace".into(),
        true_at: 1_796_000_000,
    }
}

fn written() -> Vec<u8> {
    let mut octets = Vec::new();
    let mut all = groups().into_iter();
    encode(&mut octets, &head(), || all.next().into_iter().collect()).unwrap();
    octets
}

fn read(octets: &[u8]) -> Result<(Head, Vec<Vec<DatedFact>>), Refusal> {
    let snapshot = Snapshot::open(octets)?;
    let blocks = snapshot.blocks().collect::<Result<Vec<_>, _>>()?;
    Ok((snapshot.head, blocks.into_iter().flatten().collect()))
}

/// Puts the right checksum to octets whose own is no more right.
fn signed(mut body: Vec<u8>) -> Vec<u8> {
    let checksum = digest(&SHA256, &body);
    body.extend_from_slice(checksum.as_ref());
    body
}

//----------- Format ---------------------------------------------------------

#[test]
fn facts_of_every_kind_are_read_as_they_were_written() {
    assert_eq!(read(&written()), Ok((head(), groups())));
    let mut none = Vec::new();
    encode(&mut none, &head(), Vec::new).unwrap();
    assert_eq!(read(&none), Ok((head(), Vec::new())), "an empty cluster is one");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let octets = written();
    for length in 0..octets.len() {
        let refusal = read(&octets[..length]).unwrap_err();
        assert!(matches!(refusal, Refusal::Damaged(_)), "{length}: {refusal}");
    }
    let longer = [octets.as_slice(), b"x"].concat();
    assert!(matches!(read(&longer), Err(Refusal::Damaged(_))));
}

#[test]
fn a_file_in_which_any_octet_is_another_is_refused() {
    let octets = written();
    for at in 0..octets.len() {
        for flipped in [0x01, 0x80, 0xff] {
            let mut other = octets.clone();
            other[at] ^= flipped;
            let refusal = read(&other).unwrap_err();
            let of_format = (18..20).contains(&at);
            assert_eq!(matches!(refusal, Refusal::Format(_)), of_format, "{at}: {refusal}");
        }
    }
}

/// A checksum keeps off accidents; whoever can write the file can also write that.
#[test]
fn whatever_stands_in_a_file_with_a_right_checksum_is_read_or_refused() {
    let octets = written();
    let body = &octets[..octets.len() - 32];
    let mut taken = 0;
    for at in 20..body.len() {
        for flipped in [0x01, 0x10, 0x80, 0xff] {
            let mut other = body.to_vec();
            other[at] ^= flipped;
            taken += usize::from(read(&signed(other)).is_ok());
        }
        assert!(read(&signed(body[..at].to_vec())).is_err());
    }
    assert!(taken > 0, "a letter of a name is as good as another");
}

#[test]
fn no_length_in_a_file_makes_room_for_more_than_there_may_be() {
    let (mut start, rest) = (written(), u32::MAX.to_le_bytes());
    start.truncate(20);
    assert!(matches!(read(&signed([start.as_slice(), &rest].concat())), Err(Refusal::Damaged(_))));
    let head = postcard::to_stdvec(&head()).unwrap();
    let with_head = [start.as_slice(), &(head.len() as u32).to_le_bytes(), &head].concat();
    // 4 GiB in a block of a few octets, and blocks without end.
    let block = [u32::MAX.to_le_bytes(), 4u32.to_le_bytes(), [0; 4]].concat();
    assert!(matches!(read(&signed([with_head.as_slice(), &block].concat())), Err(Refusal::Damaged(_))));
    let pod = |name: usize| {
        let key = ObjectKey::new("default", &"p".repeat(name));
        let fact = (Fact::Pod(PodFact { key, addresses: vec![], terminating: false }), 0);
        postcard::to_stdvec(&[StoredFact::from(&fact)].as_slice()).unwrap()
    };
    let block = pod((8 << 20) - 16);
    assert_eq!(block.len(), 8 << 20);
    let packed = lz4_flex::block::compress(&block);
    let block = [&(8u32 << 20).to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), &packed].concat();
    let mut long = with_head;
    (0..17).for_each(|_| long.extend_from_slice(&block));
    long.extend_from_slice(&[0; 4]);
    assert!(long.len() < 1 << 20, "{}", long.len());
    let long = signed(long);
    let mut blocks = Snapshot::open(&long).unwrap().blocks();
    assert_eq!(blocks.by_ref().take_while(Result::is_ok).count(), 16, "128 MiB and no more");
    assert!(blocks.next().is_none(), "nothing follows a fault");
    // A list that claims more facts than there are octets.
    let claims = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let packed = lz4_flex::block::compress(&claims);
    let mut claiming = start;
    claiming.extend_from_slice(&(head.len() as u32).to_le_bytes());
    claiming.extend_from_slice(&head);
    for part in [&5u32.to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), &packed, &[0; 4]] {
        claiming.extend_from_slice(part);
    }
    assert!(matches!(read(&signed(claiming)), Err(Refusal::Damaged(_))));
}

#[test]
fn a_large_cluster_comes_in_several_blocks() {
    let mut left = 3000;
    let mut octets = Vec::new();
    let group = || vec![(Fact::Slice(slice("db-1", Family::V4, &["10.0.0.1", "10.0.0.2"])), 1); 10];
    encode(&mut octets, &head(), || {
        left -= 1;
        if left < 0 { Vec::new() } else { vec![group()] }
    })
    .unwrap();
    let snapshot = Snapshot::open(&octets).unwrap();
    let blocks: Vec<usize> = snapshot.blocks().map(|block| block.unwrap().len()).collect();
    assert!(blocks.len() > 3, "{blocks:?}");
    assert_eq!(blocks.iter().sum::<usize>(), 3000);
}

//----------- SnapshotFile ---------------------------------------------------

fn origin() -> Origin {
    let Head { cluster, settings, .. } = head();
    Origin { access: "in-cluster service account".into(), cluster, settings }
}

fn file(folder: &std::path::Path, origin: Origin) -> SnapshotFile {
    SnapshotFile::new(&SnapshotOptions { folder: folder.into(), max_age: Duration::from_secs(3600) }, origin)
}

fn write(file: &SnapshotFile) -> bool {
    let mut all = groups().into_iter();
    file.write(head().true_at, head().true_at, || all.next().into_iter().collect())
}

#[test]
fn a_snapshot_is_found_again_by_whoever_asks_for_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let own = file(folder.path(), origin());
    assert_eq!(own.read(), Ok(None));
    assert!(write(&own));
    let octets = file(folder.path(), origin()).read().unwrap().unwrap();
    assert_eq!(octets, written());
    assert_eq!(own.judge(&octets, head().true_at).unwrap().head, head());
    // Two ways to clusters, or two sets of settings, have a file each.
    let others = [
        Origin { access: "kubeconfig /etc/kube".into(), ..origin() },
        Origin { settings: "Service, Namespace, Pod".into(), ..origin() },
    ];
    for other in others {
        let other = file(folder.path(), other);
        assert_eq!(other.read(), Ok(None));
        assert!(write(&other));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn what_is_of_something_else_or_of_another_time_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let octets = written();
    let judge = |origin: Origin, now: u64| file(folder.path(), origin).judge(&octets, now).map(drop);
    let at = head().true_at;
    assert_eq!((judge(origin(), at), judge(origin(), at + 3600)), (Ok(()), Ok(())));
    assert_eq!(judge(origin(), at + 3601), Err(Refusal::Old(3601)));
    // A clock may be set right by a little.
    assert_eq!((judge(origin(), at - 10), judge(origin(), at - 11)), (Ok(()), Err(Refusal::Future(11))));
    assert_eq!(judge(origin(), 0), Err(Refusal::Future(at)));
    let other = Origin { cluster: "https://10.0.0.1 with CA 08".into(), ..origin() };
    assert_eq!(judge(other, at), Err(Refusal::Cluster(head().cluster)));
    let other = Origin { settings: "Service".into(), ..origin() };
    assert_eq!(judge(other, at), Err(Refusal::Settings(head().settings)));
}

#[test]
fn what_is_no_file_is_refused_and_a_folder_that_is_missing_said() {
    let folder = tempfile::tempdir().unwrap();
    let own = file(folder.path(), origin());
    fs::create_dir(own.path()).unwrap();
    assert!(matches!(own.read(), Err(Refusal::Unreadable(why)) if why.contains("a folder")));
    assert!(!write(&own), "nor can it be written");
    let missing = file(&folder.path().join("missing"), origin());
    assert!(matches!(missing.read(), Err(Refusal::Unreadable(why)) if why.contains("No such file")));
    assert!(!write(&missing));
    let long = file(folder.path(), Origin { access: String::new(), ..origin() });
    fs::File::create(long.path()).unwrap().set_len(33 << 20).unwrap();
    assert!(matches!(long.read(), Err(Refusal::Unreadable(why)) if why.contains("longer than 32 MiB")));
}

/// A disk that is full after so many octets.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = octets.len().min(self.0);
        self.0 -= taken;
        if taken == 0 && !octets.is_empty() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_at_any_octet_is_an_error_and_the_old_file_stays() {
    let whole = written().len();
    for room in 0..=whole {
        let mut all = groups().into_iter();
        let done = encode(Full(room), &head(), || all.next().into_iter().collect());
        assert_eq!(done.ok(), (room == whole).then_some(whole as u64), "{room}");
    }
    let folder = tempfile::tempdir().unwrap();
    let own = file(folder.path(), origin());
    assert!(write(&own));
    let group = || vec![vec![(Fact::Slice(slice("db-1", Family::V4, &["10.0.0.1"])), 1); 100_000]];
    assert!(!own.write(1, 1, group), "more than is ever read is not written");
    assert_eq!(own.read().unwrap().unwrap(), written());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
