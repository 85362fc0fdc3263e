use super::super::testing::{block, fault};
use super::*;
use crate::chain::testing::{Answers, message, query, query_edns, run};
use crate::chain::{Reply, Transport};
use crate::syntax::testing::token;
use crate::wire::Failure;
use crate::wire::message::{OpCode, RecordType, ResponseCode};

fn log(format: Option<&str>, names: &[&str], classes: &[AnswerClass]) -> Log {
    let words: Vec<_> = names.iter().map(|name| token(name)).collect();
    let names = Zones::read(&words, &[Name::root()]).unwrap();
    let rule = LogRule { names, format: Format::read(format.unwrap_or(COMMON)), classes: classes.to_vec() };
    Log { rules: vec![rule], labelled: true }
}

fn line(log: &Log, query: &mut Query, answers: Answers) -> Option<String> {
    let facts = Facts::new(query);
    let reply = message(run(&[Arc::new(answers)], query));
    let mut outcome = Outcome::Reply(Reply::from_message("answers", reply));
    log.line(&facts, &mut outcome, query, 0.0015).map(|(line, _)| line)
}

#[test]
fn the_common_format_tells_query_and_answer() {
    let mut query = query_edns("www.example.com.", RecordType::A, 1232, true);
    query.size = 44;
    let said =
        line(&log(None, &[], &[AnswerClass::All]), &mut query, Answers::with("www.example.com. 5 IN A 192.0.2.1"));
    // The size is that of the message with its names written out, without the OPT record.
    let start = "127.0.0.1:40212 - 4711 \"A IN www.example.com. udp 44 true 1232\" NOERROR qr,rd 64 0.0015s";
    assert_eq!(said.unwrap(), start);
}

/// Answers that the server gives in the plugins' stead are told as the client gets them.
#[test]
fn failures_and_refusals_have_code_flags_and_size() {
    let log = log(None, &[], &[AnswerClass::Error]);
    let told = |outcome: Outcome| {
        let query = query("odd.example.com.", RecordType::A);
        let (mut outcome, facts) = (outcome, Facts::new(&query));
        log.line(&facts, &mut outcome, &query, 1.0).unwrap().0
    };
    let failed = |rcode| Outcome::Failed("forward", Failure { rcode, extended: None, message: "x".into() });
    for (outcome, end) in [
        (failed(crate::wire::Rcode::SERVFAIL), "udp 33 false 512\" SERVFAIL qr,rd 33 1s"),
        (failed(crate::wire::Rcode::REFUSED), "udp 33 false 512\" REFUSED qr,rd 33 1s"),
        (Outcome::Next, "udp 33 false 512\" REFUSED qr,rd 33 1s"),
        (Outcome::Drop, "udp 33 false 512\" - - 0 1s"),
    ] {
        let said = told(outcome);
        assert!(said.ends_with(end), "{said}");
    }
}

#[test]
fn the_buffer_is_that_of_the_way_the_query_came() {
    let mut query = query("odd.example.com.", RecordType::A);
    assert_eq!(Facts::new(&query).bufsize, 512);
    for (transport, bufsize) in [(Transport::Tcp, 65_535), (Transport::Https, 65_535), (Transport::Quic, 512)] {
        query.client.transport = transport;
        assert_eq!(Facts::new(&query).bufsize, bufsize, "{transport:?}");
    }
}

#[test]
fn names_of_any_octets_stay_on_their_line() {
    let odd = crate::wire::message::MessageName::from_labels([
        b"a\n[ERROR] x".as_slice(),
        b"\0\x1b",
        "é".as_bytes(),
        b"q\"u\\o't;e",
        b"d.t",
    ]);
    let mut query = query("x.", RecordType::A);
    query.request.change(|request| request.queries[0].name = odd.unwrap());
    let said = line(&log(Some("{name}"), &[], &[AnswerClass::All]), &mut query, Answers::default()).unwrap();
    assert_eq!(said, r#"a\010[error]\ x.\000\027.\195\169.q\"u\\o\'t\;e.d\.t."#);
    let longest =
        crate::wire::message::MessageName::from_labels([[0u8; 63]; 3].iter().map(|l| &l[..]).chain([&[0; 61][..]]));
    query.request.change(|request| request.queries[0].name = longest.unwrap());
    let said = line(&log(Some("{name}"), &[], &[AnswerClass::All]), &mut query, Answers::default()).unwrap();
    assert_eq!(said.len(), 250 * 4 + 4);
}

#[test]
fn types_and_classes_without_a_name_have_their_number() {
    let mut query = query("a.", RecordType::Unknown(65_280));
    query.request.change(|request| request.queries[0].query_class = crate::wire::message::DNSClass::Unknown(7));
    let said = line(&log(Some("{type} {class}"), &[], &[AnswerClass::All]), &mut query, Answers::default());
    assert_eq!(said.unwrap(), "TYPE65280 CLASS7");
}

#[test]
fn classes_choose() {
    let denial = log(None, &[], &[AnswerClass::Denial, AnswerClass::Error]);
    let ask = || query("a.example.", RecordType::A);
    assert!(line(&denial, &mut ask(), Answers::with("a.example. 5 IN A 192.0.2.1")).is_none());
    // NODATA is a denial with its SOA, and nothing but an empty answer without.
    assert!(line(&denial, &mut ask(), Answers::default()).is_none());
    let soa = Answers::with("example. 5 IN SOA ns.example. host.example. 1 2 3 4 5").answers;
    assert!(line(&denial, &mut ask(), Answers { authority: soa, ..Answers::default() }).is_some());
    assert!(line(&denial, &mut ask(), Answers::rcode(ResponseCode::NXDomain)).is_some());
    assert!(line(&denial, &mut ask(), Answers::rcode(ResponseCode::ServFail)).is_some());
    let success = log(None, &[], &[AnswerClass::Success]);
    assert!(line(&success, &mut ask(), Answers::default()).is_some());
    assert!(line(&success, &mut ask(), Answers::rcode(ResponseCode::Refused)).is_none());
    let mut notify = ask();
    notify.request.change(|request| request.metadata.op_code = OpCode::Notify);
    assert!(line(&success, &mut notify, Answers::default()).is_none(), "META is of the class error");
}

#[test]
fn names_bound_what_is_logged_and_formats_take_metadata() {
    let log = log(
        Some("{/forward/upstream} {/no/such} {/log/class} {/log/type} {name} {nonsense} {combined}"),
        &["example.com"],
        &[AnswerClass::All],
    );
    let mut query = query("a.example.com.", RecordType::A);
    query.metadata.insert("forward/upstream".into(), "192.0.2.53:53".into());
    let said = line(&log, &mut query, Answers::default()).unwrap();
    let start = "192.0.2.53:53 - success NOERROR a.example.com. {nonsense} 127.0.0.1:40212 - 4711";
    assert!(said.starts_with(start), "{said}");
    assert!(said.ends_with("s \"0\""), "{said}");
    let mut query = crate::chain::testing::query("a.example.org.", RecordType::A);
    assert!(line(&log, &mut query, Answers::default()).is_none());
}

#[test]
fn its_own_labels_are_there_where_metadata_is() {
    for (directives, wanted) in [("metadata\nwhoami", true), ("whoami", false)] {
        let text = format!("log . \"{{/log/class}}\"\n{directives}");
        let corefile = block(&text).unwrap();
        assert_eq!(corefile.settings.enabled.contains(&"metadata"), wanted);
    }
    let mut unlabelled = log(Some("{/log/class} {/log/type} {/forward/upstream}"), &[], &[AnswerClass::All]);
    unlabelled.labelled = false;
    let mut query = query("a.", RecordType::A);
    query.metadata.insert("forward/upstream".into(), "192.0.2.53:53".into());
    assert_eq!(line(&unlabelled, &mut query, Answers::default()).unwrap(), "- - -");
}

#[test]
fn only_errors_of_cluster_names_need_no_message() {
    let cluster = ["cluster.local".parse().unwrap()];
    assert!(log(None, &[], &[AnswerClass::Error]).needs_message(&cluster).is_none());
    assert!(log(None, &["example.org"], &[AnswerClass::All]).needs_message(&cluster).is_none());
    assert!(log(None, &[], &[AnswerClass::Denial]).needs_message(&cluster).is_some());
}

#[test]
fn unknown_classes_are_refused() {
    assert!(fault("log {\nclass some\n}").starts_with("Corefile:3:7:"));
    assert!(fault("log {\nclass\n}").starts_with("Corefile:3:1:"));
    assert!(fault("log {\nlevel all\n}").starts_with("Corefile:3:1:"));
}
