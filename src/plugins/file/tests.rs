use std::time::Instant;

use super::super::setup::Block;
use super::super::testing::{Answers, Asks, block, fault, lines, message, query, run};
use super::*;
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
    (task.run)(Instant::now());
    assert_eq!(address(), ["www.example. 60 IN A 192.0.2.1"]);
    std::fs::write(&path, ZONE.replace("192.0.2.1\n", "192.0.2.9\n").replace(" 7 ", " 8 ")).unwrap();
    (task.run)(Instant::now());
    assert_eq!(address(), ["www.example. 60 IN A 192.0.2.9"]);
    drop(folder);
}

#[test]
fn a_zone_can_be_transferred() {
    let (_folder, path) = folder(ZONE);
    let block = block(&format!("file {path} example\ntransfer example {{\nto *\n}}")).unwrap();
    let mut asked = query("example.", RecordType::AXFR);
    asked.client.transport = super::super::chain::Transport::Tcp;
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!(reply.answers.len(), 14);
    assert_eq!(reply.answers.first(), reply.answers.last());
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
