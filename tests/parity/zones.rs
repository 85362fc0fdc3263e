//! `file` with every record type that both servers read, and the structures of real zones: delegations, wildcards, aliases that
//! lead on, out or in a circle, DNAME, empty non-terminals, sets too long for a datagram.

use std::fmt::Write;
use std::net::IpAddr;

use rollcall_testing::coredns;

use super::pair::{Findings, Pair, ask, number, seeds};
use super::questions::{AAAA, CNAME, MX, NS, PTR, Question, SOA, SRV, TXT, labels};
use super::reply::Reply;
use super::world::Random;

const COREFILE: &str = "
example.org:PORT {
    bind 127.0.0.1
    file ZONE
}
.:PORT {
    bind 127.0.0.1
    ready READY
    whoami
}
";

const DNAME: u16 = 39;
const ANY: u16 = 255;

/// Data by type; names in it are relative, absolute or the origin.
const DATA: &[(&str, u16, &[&str])] = &[
    ("A", 1, &["192.0.2.1", "192.0.2.2", "198.51.100.7"]),
    ("AAAA", AAAA, &["2001:db8::1", "2001:db8::2"]),
    ("MX", MX, &["10 mail", "20 mail.example.net.", "0 ."]),
    ("TXT", TXT, &["\"one\" \"two three\"", "plain", "\"a \\\"quoted\\\" word; no comment\"", "\"\\065\\226\""]),
    ("SRV", SRV, &["0 5 80 www", "1 0 443 www.example.net.", "0 0 0 ."]),
    ("PTR", PTR, &["www", "www.example.net."]),
    ("CAA", 257, &["0 issue \"ca.example.net\"", "128 iodef \"mailto:x@example.net\""]),
    (
        "NAPTR",
        35,
        &["100 10 \"S\" \"SIP+D2U\" \"\" _sip._udp", "10 20 \"u\" \"E2U+sip\" \"!^.*$!sip:a@example.net!\" ."],
    ),
    ("SSHFP", 44, &["2 1 123456789abcdef67890123456789abcdef67890"]),
    ("TLSA", 52, &["3 1 1 0d6fce3d4c7f4c3d5d3a6b0c5b1c2a9f8e7d6c5b4a39281706f5e4d3c2b1a090"]),
    ("HINFO", 13, &["PC-Intel Linux"]),
    ("RP", 17, &["admin txt", "admin.example.net. ."]),
    ("AFSDB", 18, &["1 afs"]),
    ("LOC", 29, &["52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"]),
    ("KX", 36, &["10 kx"]),
    ("CERT", 37, &["1 0 0 mQENBFVHm5sBCADO"]),
    ("URI", 256, &["10 1 \"https://www.example.org/\""]),
    ("HTTPS", 65, &["1 . alpn=h2,h3 ipv4hint=192.0.2.1", "0 www"]),
    ("SVCB", 64, &["1 www port=8443", "2 . alpn=h2"]),
    ("EUI48", 108, &["00-11-22-33-44-55"]),
    ("EUI64", 109, &["00-11-22-33-44-55-66-77"]),
    ("APL", 42, &["1:192.0.2.0/24 !1:192.0.2.64/28"]),
    ("OPENPGPKEY", 61, &["mQENBFVHm5sBCADO"]),
    ("SMIMEA", 53, &["3 1 1 0d6fce3d4c7f4c3d5d3a6b0c5b1c2a9f8e7d6c5b4a39281706f5e4d3c2b1a090"]),
    ("CDS", 59, &["60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118"]),
    ("CDNSKEY", 60, &["256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3"]),
    (
        "ZONEMD",
        63,
        &[
            "2018031500 1 1 c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c",
        ],
    ),
    ("TYPE65280", 65_280, &["\\# 3 abcdef"]),
];

/// Names that every zone has: structures rather than data.
const STRUCTURE: &str = "
$ORIGIN example.org.
$TTL 3600
@ IN SOA ns1 host 1 7200 3600 1209600 300
@ NS ns1
@ NS ns.example.net.
ns1 A 192.0.2.53
www A 192.0.2.80
www AAAA 2001:db8::80
mail A 192.0.2.25
alias CNAME www
alias2 CNAME alias
alias3 CNAME gone
out CNAME www.example.net.
loop1 CNAME loop2
loop2 CNAME loop1
deep.empty.non.terminal A 192.0.2.81
*.wild A 192.0.2.82
*.wild TXT wildcard
there.wild MX 10 mail
*.cwild CNAME www
sub NS ns.sub
sub NS ns2.example.net.
ns.sub A 192.0.2.54
ns.sub AAAA 2001:db8::54
old DNAME new
a.new A 192.0.2.83
b.new CNAME www
";

#[test]
fn zones_of_every_type_are_answered_as_by_coredns() {
    let Some(coredns) = coredns() else { return };
    let mut findings = Findings::default();
    for seed in seeds() {
        let mut random = Random(seed ^ 0x20e);
        let (zone, owners) = zone(&mut random);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.example.org");
        std::fs::write(&file, &zone).unwrap();
        let pair = Pair::start(&coredns, &COREFILE.replace("ZONE", file.to_str().unwrap()));
        let host = IpAddr::from([127, 0, 0, 1]);
        let mut clients = pair.clients(host, host);
        for _ in 0..number("PARITY_QUESTIONS", 800) {
            let question = question(&owners, &mut random);
            let lines =
                zone.lines().filter(|line| line.starts_with(question.text().split('.').next().unwrap_or_default()));
            let what = format!(
                "seed {seed}: {} type {} EDNS {:?} tcp {}, of {:?}",
                question.text(),
                question.qtype,
                question.edns,
                question.tcp,
                lines.take(8).collect::<Vec<_>>()
            );
            findings.note(&what, ask(&mut clients, &question), |ours, theirs| explained(ours, theirs, &question));
        }
    }
    findings.end();
}

/// The zone's text, and owners to ask for.
fn zone(random: &mut Random) -> (String, Vec<String>) {
    let mut text = STRUCTURE.to_owned();
    let mut owners: Vec<String> = Vec::new();
    for number in 0..30 {
        let owner = match random.below(6) {
            0 => format!("n{number}.below"),
            1 => format!("*.w{number}"),
            2 => format!("N{number}.Mixed"),
            _ => format!("n{number}"),
        };
        for _ in 0..1 + random.below(4) {
            let (rtype, _, data) = random.pick(DATA);
            let ttl = random.one(&["", "", "60 ", "0 "]);
            for data in &data[..1 + random.below(data.len())] {
                writeln!(text, "{owner} {ttl}IN {rtype} {data}").unwrap();
            }
        }
        owners.push(owner);
    }
    for number in 0..90 {
        writeln!(text, "large A 10.0.0.{number}").unwrap();
        writeln!(text, "large TXT \"a text of some length, number {number}\"").unwrap();
    }
    let fixed = "@ www alias alias2 alias3 out loop1 loop2 empty.non.terminal non.terminal deep.empty.non.terminal wild a.wild \
                 b.a.wild there.wild x.there.wild *.wild a.cwild sub ns.sub x.sub ns1 old a.old b.old gone.old new large gone mail";
    owners.extend(fixed.split(' ').map(str::to_owned));
    (text, owners)
}

fn question(owners: &[String], random: &mut Random) -> Question {
    let owner = random.pick(owners).replace('*', random.one(&["*", "x", "x.y"]));
    let owner = match random.below(12) {
        0 => format!("x.{owner}"),
        1 => owner.to_uppercase(),
        _ => owner,
    };
    let name = if owner == "@" { "example.org".to_owned() } else { format!("{owner}.example.org") };
    let name = name.replace("@.", "");
    let qtype = match random.below(10) {
        0 => *random.pick(&[SOA, NS, CNAME, DNAME, 43, ANY]),
        1..=3 => 1,
        _ => random.pick(DATA).1,
    };
    let edns = random.percent(60).then(|| (*random.pick(&[512, 1232, 4096]), random.percent(30)));
    Question { edns, tcp: random.percent(30), ..Question::plain(labels(&name), qtype) }
}

/// Takes away what a row allows.
type Fold = Option<fn(&mut Reply)>;

/// The differences that the head of `file` lists, and those of every long answer.
fn explained(ours: &Reply, theirs: &Reply, question: &Question) -> Option<&'static str> {
    let same = (ours.flags, ours.rcode, ours.edns) == (theirs.flags, theirs.rcode, theirs.edns);
    if same && ours.is_truncated() && ours.size <= question.limit() && !ours.answers.is_empty() {
        return Some("long answers");
    }
    if question.qtype == ANY {
        let is_alias = theirs.answers.iter().all(|line| matches!(line.rtype, CNAME | DNAME));
        if ours.rcode == 0 && is_alias {
            return Some("types of any");
        }
    }
    let (mut ours, mut theirs) = (folded(ours), folded(theirs));
    let rows: [(&'static str, Fold); 6] = [
        ("owners are spelled as asked", None),
        (
            "the TTL of a denial",
            Some(|reply| reply.authority.iter_mut().filter(|line| line.rtype == SOA).for_each(|line| line.ttl = 0)),
        ),
        ("an alias stands once", Some(|reply| reply.answers.dedup())),
        (
            "a circle of aliases is told once",
            Some(|reply| {
                if reply.rcode == 2 && !reply.answers.is_empty() {
                    reply.rcode = 0;
                }
            }),
        ),
        (
            "a denial behind an alias has its SOA",
            Some(|reply| {
                if reply.answers.iter().all(|line| matches!(line.rtype, CNAME | DNAME)) {
                    reply.authority.clear();
                }
            }),
        ),
        (
            "a record stands once, with its first TTL",
            Some(|reply| {
                reply.answers.iter_mut().for_each(|line| line.ttl = 0);
                reply.answers.dedup();
            }),
        ),
    ];
    for (row, fold) in rows {
        if let Some(fold) = fold {
            fold(&mut ours);
            fold(&mut theirs);
        }
        if ours.same(&theirs) {
            return Some(row);
        }
    }
    None
}

/// Spelling aside.
fn folded(reply: &Reply) -> Reply {
    let mut reply = reply.clone();
    for line in reply.answers.iter_mut().chain(&mut reply.authority).chain(&mut reply.additional) {
        line.owner.make_ascii_lowercase();
    }
    reply.answers.sort();
    reply.authority.sort();
    reply.additional.sort();
    reply
}
