use std::time::Instant;

use super::super::testing::{block, fault};
use super::*;
use crate::chain::Block;
use crate::chain::testing::{Answers, Asks, lines, message, query, query_edns, run};
use crate::wire::Rtype;
use crate::wire::message::{Message, RecordType};

const ZONE: &str = "$TTL 60
@ IN SOA ns host 7 3600 600 86400 30
@ IN NS ns
ns IN A 192.0.2.53
www IN A 192.0.2.1
www IN AAAA fd00::1
alias IN CNAME www
out IN CNAME www.example.org.
loop IN CNAME loop
*.wild IN TXT \"any\"
a.b IN A 192.0.2.2
sub IN NS ns.sub
ns.sub IN A 192.0.2.3
mail IN MX 10 www
";

fn folder(zone: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.example");
    std::fs::write(&path, zone).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn ask(block: &Block, name: &str, qtype: RecordType) -> Message {
    let mut asked = query(name, qtype);
    asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::with("www.example.org. 5 IN A 198.51.100.1"))]));
    message(run(&block.chain, &mut asked))
}

#[test]
fn names_types_aliases_and_wildcards_are_answered() {
    let (_folder, path) = folder(ZONE);
    let block = block(&format!("file {path} example")).unwrap();
    let answers = |name, qtype| lines(&ask(&block, name, qtype).answers);
    assert_eq!(answers("WWW.example.", RecordType::A), ["WWW.example. 60 IN A 192.0.2.1"]);
    assert_eq!(
        answers("alias.example.", RecordType::A),
        ["alias.example. 60 IN CNAME www.example.", "www.example. 60 IN A 192.0.2.1"]
    );
    assert_eq!(
        answers("out.example.", RecordType::A),
        ["out.example. 60 IN CNAME www.example.org.", "www.example.org. 5 IN A 198.51.100.1"]
    );
    assert_eq!(answers("x.y.wild.example.", RecordType::TXT), ["x.y.wild.example. 60 IN TXT \"any\""]);
    let mail = ask(&block, "mail.example.", RecordType::MX);
    assert_eq!((mail.additionals.len(), mail.authorities.len(), mail.metadata.authoritative), (2, 1, true));
    assert_eq!(ask(&block, "loop.example.", RecordType::A).metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn what_is_not_there_is_denied_and_what_is_delegated_referred() {
    let (_folder, path) = folder(ZONE);
    let block = block(&format!("file {path} example")).unwrap();
    for (name, rcode) in [
        ("no.example.", ResponseCode::NXDomain),
        ("b.example.", ResponseCode::NoError),
        ("www.example.", ResponseCode::NoError),
        ("x.www.example.", ResponseCode::NXDomain),
    ] {
        let reply = ask(&block, name, RecordType::TXT);
        assert_eq!((reply.metadata.response_code, reply.answers.len()), (rcode, 0), "{name}");
        assert_eq!(lines(&reply.authorities), ["example. 30 IN SOA ns.example. host.example. 7 3600 600 86400 30"]);
    }
    let reply = ask(&block, "x.sub.example.", RecordType::A);
    assert!(!reply.metadata.authoritative && reply.answers.is_empty());
    assert_eq!(lines(&reply.authorities), ["sub.example. 60 IN NS ns.sub.example."]);
    assert_eq!(lines(&reply.additionals), ["ns.sub.example. 60 IN A 192.0.2.3"]);
}

#[test]
fn names_that_are_not_there_fall_through_where_wanted() {
    let (_folder, path) = folder(ZONE);
    let block = block(&format!("file {path} example {{\nfallthrough\n}}\nwhoami")).unwrap();
    assert_eq!(ask(&block, "no.example.", RecordType::A).additionals.len(), 2);
    assert_eq!(ask(&block, "www.example.", RecordType::TXT).authorities.len(), 1);
    assert_eq!(ask(&block, "other.", RecordType::A).additionals.len(), 2);
}

#[test]
fn a_new_serial_is_taken_up_and_a_fault_is_not() {
    let (folder, path) = folder(ZONE);
    let block = block(&format!("file {path} example")).unwrap();
    let task = block.settings.tasks.first().unwrap();
    let address = || lines(&ask(&block, "www.example.", RecordType::A).answers);
    std::fs::write(&path, ZONE.replace("192.0.2.1\n", "192.0.2.300\n").replace(" 7 ", " 8 ")).unwrap();
    let _ = (task.run)(Instant::now());
    assert_eq!(address(), ["www.example. 60 IN A 192.0.2.1"]);
    std::fs::write(&path, ZONE.replace("192.0.2.1\n", "192.0.2.9\n").replace(" 7 ", " 8 ")).unwrap();
    let _ = (task.run)(Instant::now());
    assert_eq!(address(), ["www.example. 60 IN A 192.0.2.9"]);
    drop(folder);
}

#[test]
fn a_zone_can_be_transferred() {
    let (_folder, path) = folder(ZONE);
    let block = block(&format!("file {path} example\ntransfer example {{\nto *\n}}")).unwrap();
    let mut asked = query("example.", RecordType::AXFR);
    asked.client.transport = crate::chain::Transport::Tcp;
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!(reply.answers.len(), 14);
    assert_eq!(reply.answers.first(), reply.answers.last());
}

/// The answer of a block to a client that takes signatures.
fn ask_signed(block: &Block, name: &str, qtype: RecordType) -> Message {
    message(run(&block.chain, &mut query_edns(name, qtype, 4096, true)))
}

/// The owners and types of records.
fn kinds(records: &[Record]) -> Vec<String> {
    let kind = |record: &Record| format!("{} {}", record.name.to_ascii(), Rtype::from(record.record_type()));
    records.iter().map(kind).collect()
}

#[test]
fn names_in_data_take_the_origin_whatever_the_type() {
    let (_folder, path) =
        folder(&format!("{ZONE}h HTTPS 0 www\nv SVCB 1 mail port=1 alpn=h2\nn NAPTR 1 1 \"\" \"\" \"\" www\n"));
    let block = block(&format!("file {path} example")).unwrap();
    let https = ask(&block, "h.example.", RecordType::HTTPS);
    assert_eq!(lines(&https.answers), ["h.example. 60 IN HTTPS \\# 15 000003777777076578616d706c6500"]);
    // The addresses of the target go along, as far as the zone has them.
    assert_eq!(kinds(&https.additionals), ["www.example. A", "www.example. AAAA"]);
    assert_eq!(ask(&block, "v.example.", RecordType::SVCB).answers.len(), 1);
    let naptr = lines(&ask(&block, "n.example.", RecordType::NAPTR).answers);
    assert!(
        naptr[0].ends_with(&"\x03www\x07example\0".bytes().map(|octet| format!("{octet:02x}")).collect::<String>()),
        "{naptr:?}"
    );
}

#[test]
fn what_lies_below_a_dname_is_elsewhere() {
    let long = "a".repeat(63);
    let zone = format!(
        "{ZONE}old DNAME new\na.new A 192.0.2.7\ndeep DNAME x.deep\nfar DNAME www.example.org.\nlong DNAME {long}.{long}.{long}\n"
    );
    let (_folder, path) = folder(&zone);
    let block = block(&format!("file {path} example")).unwrap();
    let reply = ask(&block, "a.old.example.", RecordType::A);
    assert_eq!(kinds(&reply.answers), ["old.example. DNAME", "a.old.example. CNAME", "a.new.example. A"]);
    assert_eq!(lines(&reply.answers)[1], "a.old.example. 60 IN CNAME a.new.example.");
    assert_eq!(ask(&block, "no.old.example.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(
        kinds(&ask(&block, "a.old.example.", RecordType::CNAME).answers),
        ["old.example. DNAME", "a.old.example. CNAME"]
    );
    assert_eq!(kinds(&ask(&block, "old.example.", RecordType::from(39)).answers), ["old.example. DNAME"]);
    assert_eq!(ask(&block, "old.example.", RecordType::A).metadata.response_code, ResponseCode::NoError);
    assert_eq!(
        lines(&ask(&block, "x.far.example.", RecordType::A).answers)[1],
        "x.far.example. 60 IN CNAME x.www.example.org."
    );
    let unending = ask(&block, "a.deep.example.", RecordType::A);
    assert_eq!((unending.metadata.response_code, unending.answers.len()), (ResponseCode::ServFail, 17));
    assert_eq!(
        kinds(&unending.answers)[..3],
        ["deep.example. DNAME", "a.deep.example. CNAME", "a.x.deep.example. CNAME"]
    );
    let reply = ask(&block, &format!("{long}.long.example."), RecordType::A);
    assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::YXDomain, 1));
}

#[test]
fn an_alias_is_the_answer_where_its_target_is_not_known_here() {
    let (_folder, path) = folder(&format!("{ZONE}one CNAME two\ntwo CNAME one\n"));
    let block = block(&format!("file {path} example")).unwrap();
    let circle = ask(&block, "one.example.", RecordType::A);
    assert_eq!(circle.metadata.response_code, ResponseCode::NoError);
    assert_eq!(kinds(&circle.answers), ["one.example. CNAME", "two.example. CNAME"]);
    for (rcode, right) in [
        (ResponseCode::Refused, ResponseCode::NoError),
        (ResponseCode::NotImp, ResponseCode::NoError),
        (ResponseCode::NXDomain, ResponseCode::NXDomain),
        (ResponseCode::ServFail, ResponseCode::ServFail),
    ] {
        let mut asked = query("out.example.", RecordType::A);
        asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::rcode(rcode))]));
        let reply = message(run(&block.chain, &mut asked));
        assert_eq!(
            (reply.metadata.response_code, kinds(&reply.answers)),
            (right, vec!["out.example. CNAME".to_owned()])
        );
    }
    // Nobody here serves the target.
    let mut asked = query("out.example.", RecordType::A);
    asked.resolver = Arc::new(Refuses);
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::NoError, 1));
}

struct Refuses;

impl crate::chain::Resolve for Refuses {
    fn lookup<'a>(&'a self, _: &'a Query, _: &'a MessageName, _: RecordType) -> BoxFuture<'a, Outcome> {
        let failure =
            Failure { rcode: crate::wire::Rcode::REFUSED, extended: None, message: "no zone holds it".into() };
        Box::pin(async { Outcome::Failed("", failure) })
    }
}

#[test]
fn the_last_plugin_refuses_names_outside_of_its_zones() {
    let (_folder, path) = folder(ZONE);
    let last = block(&format!("file {path} example")).unwrap();
    assert_eq!(ask(&last, "www.test.", RecordType::A).metadata.response_code, ResponseCode::Refused);
    // A name of its own that falls through is another matter.
    let falls = block(&format!("file {path} example {{\nfallthrough\n}}")).unwrap();
    assert!(matches!(run(&falls.chain, &mut query("no.example.", RecordType::A)), Outcome::Failed("file", _)));
}

#[test]
fn names_that_only_stand_above_others_fall_through_as_well() {
    let (_folder, path) = folder(ZONE);
    let block = block(&format!("file {path} example {{\nfallthrough\n}}\nwhoami")).unwrap();
    assert_eq!(ask(&block, "b.example.", RecordType::A).additionals.len(), 2);
}

const SIGNED: &str = "$TTL 60
@ SOA ns host 7 3600 600 86400 30
@ RRSIG SOA 13 1 60 20301231000000 20260101000000 1 @ AAAA
@ NS ns
@ RRSIG NS 13 1 60 20301231000000 20260101000000 1 @ AAAA
@ DNSKEY 257 3 13 AAAA
@ NSEC *.w NS SOA RRSIG NSEC DNSKEY
@ RRSIG NSEC 13 1 60 20301231000000 20260101000000 1 @ AAAA
ns A 192.0.2.1
www A 192.0.2.2
www RRSIG A 13 2 60 20301231000000 20260101000000 1 @ AAAA
www NSEC @ A RRSIG NSEC
www RRSIG NSEC 13 2 60 20301231000000 20260101000000 1 @ AAAA
*.w TXT any
*.w RRSIG TXT 13 2 60 20301231000000 20260101000000 1 @ AAAA
*.w NSEC sub TXT RRSIG NSEC
sub NS ns.sub
sub DS 1 13 2 AABB
sub RRSIG DS 13 2 60 20301231000000 20260101000000 1 @ AAAA
bare NS ns.sub
bare NSEC ns NS RRSIG NSEC
";

#[test]
fn signatures_and_denials_go_to_clients_that_take_them() {
    let (_folder, path) = folder(SIGNED);
    let block = block(&format!("file {path} example")).unwrap();
    let www = ask_signed(&block, "www.example.", RecordType::A);
    assert_eq!(kinds(&www.answers), ["www.example. A", "www.example. RRSIG"]);
    assert_eq!(kinds(&www.authorities), ["example. NS", "example. RRSIG"]);
    assert_eq!(kinds(&ask(&block, "www.example.", RecordType::A).answers), ["www.example. A"]);
    assert_eq!(kinds(&ask(&block, "www.example.", RecordType::from(47)).answers), ["www.example. NSEC"]);
    let nothing = ask_signed(&block, "www.example.", RecordType::TXT);
    assert_eq!(
        kinds(&nothing.authorities),
        ["example. SOA", "example. RRSIG", "www.example. NSEC", "www.example. RRSIG"]
    );
    let none = ask_signed(&block, "x.example.", RecordType::A);
    assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
    // What denies the name, and what denies the wildcard.
    assert_eq!(
        kinds(&none.authorities),
        [
            "example. SOA",
            "example. RRSIG",
            "www.example. NSEC",
            "www.example. RRSIG",
            "example. NSEC",
            "example. RRSIG"
        ]
    );
    let wild = ask_signed(&block, "a.w.example.", RecordType::TXT);
    assert_eq!(kinds(&wild.answers), ["a.w.example. TXT", "a.w.example. RRSIG"]);
    assert_eq!(kinds(&wild.authorities), ["example. NS", "example. RRSIG", "*.w.example. NSEC"]);
    let below = ask_signed(&block, "x.sub.example.", RecordType::A);
    assert_eq!(kinds(&below.authorities), ["sub.example. NS", "sub.example. DS", "sub.example. RRSIG"]);
    assert_eq!(kinds(&ask(&block, "x.sub.example.", RecordType::A).authorities), ["sub.example. NS"]);
    // That there is no key of the part below is said, too.
    assert_eq!(
        kinds(&ask_signed(&block, "x.bare.example.", RecordType::A).authorities),
        ["bare.example. NS", "bare.example. NSEC"]
    );
    assert_eq!(kinds(&ask(&block, "sub.example.", RecordType::from(43)).answers), ["sub.example. DS"]);
}

#[test]
fn records_outside_of_the_zone_are_left_out_and_told_with_their_lines() {
    let (_folder, path) = folder(&format!("{ZONE}{}", "other.test. A 192.0.2.8\n".repeat(8)));
    let block = block(&format!("file {path} example")).unwrap();
    assert_eq!(ask(&block, "www.example.", RecordType::A).answers.len(), 1);
    let notes: Vec<String> = block.settings.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 5);
    assert!(
        notes[0].ends_with("db.example:15:1: other.test. A lies outside of the zone example. and is left out"),
        "{notes:?}"
    );
    assert!(notes[4].ends_with("; so do 3 more records"), "{notes:?}");
}

#[test]
fn a_file_that_was_written_again_is_taken_up_without_another_serial() {
    let (folder, path) = folder(&format!("{ZONE}$INCLUDE more\n"));
    let more = folder.path().join("more");
    std::fs::write(&more, "more A 192.0.2.1\n").unwrap();
    let block = block(&format!("file {path} example {{\nreload_by_mtime\n}}")).unwrap();
    let task = block.settings.tasks.first().unwrap();
    let address = |name: &str| lines(&ask(&block, name, RecordType::A).answers);
    let touch = |path: &std::path::Path, seconds: u64| {
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    std::fs::write(&path, ZONE.replace("192.0.2.1\n", "192.0.2.9\n") + "$INCLUDE more\n").unwrap();
    touch(path.as_ref(), 1_000_000_000);
    let _ = (task.run)(Instant::now());
    assert_eq!(address("www.example."), ["www.example. 60 IN A 192.0.2.9"]);
    // Twice within a tick of the file system's clock, and as long as before.
    std::fs::write(&path, ZONE.replace("192.0.2.1\n", "192.0.2.8\n") + "$INCLUDE more\n").unwrap();
    touch(path.as_ref(), 1_000_000_000);
    let _ = (task.run)(Instant::now());
    assert_eq!(address("www.example."), ["www.example. 60 IN A 192.0.2.8"]);
    // A file that it includes counts as well.
    std::fs::write(&more, "more A 192.0.2.2\n").unwrap();
    touch(&more, 1_000_000_001);
    let _ = (task.run)(Instant::now());
    assert_eq!(address("more.example."), ["more.example. 60 IN A 192.0.2.2"]);
    assert!(fault(&format!("file {path} example {{\nreload_by_mtime yes\n}}")).starts_with("Corefile:3:"));
}

#[test]
fn faults_name_the_zone_file_or_the_corefile() {
    let (_folder, path) = folder("@ 60 IN SOA ns host 1 3600 600 86400 60\n@ 60 IN NS ns\nwww 60 IN A 10.0.0.300\n");
    assert!(fault(&format!("file {path} example")).contains("db.example:3:1: A record: `10.0.0.300`"));
    let (_folder, path) = folder("@ 60 IN NS ns\n");
    assert!(fault(&format!("file {path} example")).contains("no SOA record for example."));
    assert!(fault("file").starts_with("Corefile:2:1:"));
    assert!(fault(&format!("file {path} example {{\nreloads 10s\n}}")).starts_with("Corefile:3:1:"));
    assert!(fault("file /does/not/exist example {\nreload 0\n}").starts_with("Corefile:2:6:"));
    assert!(!block("file /does/not/exist example").unwrap().settings.notes.is_empty());
    assert!(
        fault("file /dev/zero example")
            .starts_with("Corefile:2:6: the zone file /dev/zero cannot be read: it is a device")
    );
}
