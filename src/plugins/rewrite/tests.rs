use std::sync::Mutex;

use super::super::testing::{block, fault};
use super::*;
use crate::chain::testing::{Answers, Asks, lines, message, query, query_edns, run};
use crate::chain::{Block, Reply};
use crate::wire::Rcode;
use crate::wire::message::{Record, ResponseCode};

/// Answers each name with what it has, after a rewrite has found it; remembers the last query.
struct Zone(Vec<Record>, Mutex<Option<Message>>);

impl Zone {
    fn new(text: &str) -> Arc<Self> {
        Arc::new(Self(Answers::with(text).answers, Mutex::default()))
    }
}

impl Plugin for Zone {
    fn name(&self) -> &'static str {
        "zone"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            *self.1.lock().unwrap() = Some(query.request.message().clone());
            let mut message = query.reply_message();
            message.answers = self.0.iter().filter(|record| record.name == query.name()).cloned().collect();
            if message.answers.is_empty() {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            Outcome::Reply(Reply::from_message("zone", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

fn chain(rules: &str, zone: &Arc<Zone>) -> Vec<Arc<dyn Plugin>> {
    let mut chain = block(rules).unwrap().chain;
    chain.push(zone.clone());
    chain
}

fn ask(rules: &str, zone: &str, name: &str) -> Vec<String> {
    let reply = message(run(&chain(rules, &Zone::new(zone)), &mut query(name, RecordType::A)));
    let question = reply.queries.first().unwrap();
    assert_eq!((question.name.to_ascii().as_str(), question.query_type), (name, RecordType::A));
    lines(&reply.answers)
}

const WEB: &str = "web.default.svc.cluster.local. 30 IN A 10.96.0.80";

#[test]
fn exact_rules_put_names_back_by_themselves_in_the_spelling_asked() {
    let rules = "rewrite name shop.corp.example web.default.svc.cluster.local";
    assert_eq!(ask(rules, WEB, "Shop.Corp.Example."), ["Shop.Corp.Example. 30 IN A 10.96.0.80"]);
    assert_eq!(ask(rules, WEB, "x.shop.corp.example."), [""; 0]);
    let srv = "kubia.default.svc.cluster.local. 30 IN SRV 0 33 80 kubia-0.kubia.default.svc.cluster.local.";
    let rules = "rewrite name exact peers.corp.example kubia.default.svc.cluster.local";
    let line = "peers.corp.example. 30 IN SRV 0 33 80 kubia-0.peers.corp.example.";
    assert_eq!(ask(rules, srv, "peers.corp.example."), [line]);
}

#[test]
fn suffixes_prefixes_and_parts_are_rewritten() {
    for (rules, name, line) in [
        (
            "rewrite name suffix .corp.example .default.svc.cluster.local answer auto",
            "web.corp.example.",
            "web.corp.example. 30 IN A 10.96.0.80",
        ),
        (
            "rewrite stop {\nname suffix .corp.example. .default.svc.cluster.local.\nanswer auto\n}",
            "web.corp.example.",
            "web.corp.example. 30 IN A 10.96.0.80",
        ),
        (
            "rewrite name prefix old-web. web. answer auto",
            "old-web.default.svc.cluster.local.",
            "old-web.default.svc.cluster.local. 30 IN A 10.96.0.80",
        ),
        ("rewrite name substring .service. .svc.", "web.default.service.cluster.local.", WEB),
    ] {
        assert_eq!(ask(rules, WEB, name), [line], "{rules}");
    }
    let rules = "rewrite name suffix .corp.example .default.svc.cluster.local answer auto";
    assert!(ask(rules, WEB, "web.notcorp.example.").is_empty());
}

#[test]
fn prefixes_and_parts_end_with_a_label() {
    let rules = "rewrite name prefix old web";
    assert_eq!(ask(rules, WEB, "old.default.svc.cluster.local."), [WEB]);
    assert_eq!(ask(rules, WEB, "older.default.svc.cluster.local."), [""; 0]);
    let rules = "rewrite name substring service svc";
    assert_eq!(ask(rules, WEB, "web.default.service.cluster.local."), [WEB]);
    assert_eq!(ask(rules, WEB, "web.default.services.cluster.local."), [""; 0]);
}

#[test]
fn a_name_is_made_of_metadata() {
    let rules =
        "rewrite name regex ^(.*)\\.my\\.example\\.$ {1}.{team/namespace}.svc.cluster.local metadata answer auto";
    let zone = Zone::new(WEB);
    let chain = chain(rules, &zone);
    let mut asked = query("web.my.example.", RecordType::A);
    asked.metadata.insert("team/namespace".into(), "Default".into());
    assert_eq!(lines(&message(run(&chain, &mut asked)).answers), ["web.my.example. 30 IN A 10.96.0.80"]);
    let unknown = message(run(&chain, &mut query("web.my.example.", RecordType::A)));
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain, "the name stays as it is");
}

#[test]
fn regular_expressions_have_groups_and_answers_of_their_own() {
    let by_hand = "rewrite stop {\nname regex ^([a-z]+)-([a-z]+)\\.corp\\.example\\.$ {1}.{2}.svc.cluster.local\n\
                   answer name ^([a-z]+)\\.([a-z]+)\\.svc\\.cluster\\.local\\.$ {1}-{2}.corp.example\n}";
    assert_eq!(ask(by_hand, WEB, "web-default.corp.example."), ["web-default.corp.example. 30 IN A 10.96.0.80"]);
    let auto = "rewrite name regex (.*)\\.my\\.example {1}.default.svc.cluster.local answer auto";
    assert_eq!(ask(auto, WEB, "WEB.MY.example."), ["WEB.MY.example. 30 IN A 10.96.0.80"]);
    let both = "rewrite continue name regex ^(.*)\\.step\\.example\\.$ {1}.next.example.\n\
                rewrite name regex ^a\\.next\\.example\\.$ who.last.example. answer name who\\.last\\.example a.last.example";
    assert_eq!(
        ask(both, "who.last.example. 5 IN A 192.0.2.1", "a.step.example."),
        ["a.last.example. 5 IN A 192.0.2.1"]
    );
    let value = "rewrite name a.example b.example answer value (.*)\\.inner\\.example {1}.outer.example";
    let srv = "b.example. 5 IN SRV 0 0 80 x.inner.example.";
    assert_eq!(ask(value, srv, "a.example."), ["a.example. 5 IN SRV 0 0 80 x.outer.example."]);
    let two = "rewrite name suffix .a.example .b.example answer name (.*)[.]b[.]example {1}.c.example value (x) {1}.y";
    assert_eq!(ask(two, "k.b.example. 5 IN SRV 0 0 80 x.", "k.a.example."), ["k.c.example. 5 IN SRV 0 0 80 x.y."]);
}

/// Answers with octets, whatever is asked.
struct Foreign(Vec<u8>);

impl Plugin for Foreign {
    fn name(&self) -> &'static str {
        "foreign"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut octets = query.request.octets().to_vec();
            octets[2] |= 0x80;
            octets[7] = 3;
            octets.extend(&self.0);
            Outcome::Reply(Reply::from_octets("foreign", octets))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

#[test]
fn octets_that_nobody_can_read_get_the_clients_question_and_names_too() {
    // A TXT record of nothing, which the codec refuses; a DNAME record, which it does not know; one of a type that nobody has.
    let records = b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c\0\0\
        \x01B\x03TWO\0\0\x27\0\x01\0\0\0\x3c\0\x07\x01d\x03two\0\
        \xc0\x0c\x12\x67\0\x01\0\0\0\x3c\0\x03odd";
    for rules in [
        "rewrite name suffix .one .two answer auto",
        "rewrite continue ttl suffix .one. 10\nrewrite continue rcode suffix .one. NOERROR NXDOMAIN\n\
         rewrite continue cname a.example b.example\nrewrite name suffix .one .two answer auto",
    ] {
        let mut chain = block(rules).unwrap().chain;
        chain.push(Arc::new(Foreign(records.to_vec())));
        let Outcome::Reply(reply) = run(&chain, &mut query("A.one.", RecordType::TXT)) else { panic!("no reply") };
        let octets = reply.as_octets().unwrap();
        assert_eq!(octets[12..23], *b"\x01A\x03one\0\0\x10\0\x01", "the question");
        let (ttl, rcode) = if rules.contains("ttl") { (10, 3) } else { (60, 0) };
        assert_eq!(octets[3] & 0xf, rcode);
        let found: Vec<_> = crate::wire::Records::new(octets).unwrap().map(Result::unwrap).collect();
        let owners: Vec<String> =
            found.iter().map(|record| crate::wire::name_at(octets, record.owner).unwrap().to_string()).collect();
        assert_eq!(owners, ["a.one.", "b.one.", "a.one."]);
        let data: Vec<&[u8]> = found.iter().map(|record| &octets[record.rdata..record.end]).collect();
        assert_eq!(data, [b"".as_slice(), b"\x01d\x03one\0", b"odd"]);
        assert!(found.iter().all(|record| record.ttl == ttl));
    }
}

#[test]
fn the_target_of_a_dname_is_put_back_in_a_message_too() {
    let mut zone = Answers::default();
    let data = rdata::NULL::with(b"\x01d\x03two\0".to_vec());
    let data = RData::Unknown { code: RecordType::DNAME, rdata: data };
    zone.answers = vec![Record::from_rdata(names::parse("b.two.").unwrap(), 5, data)];
    let mut chain = block("rewrite name suffix .one .two answer auto").unwrap().chain;
    chain.push(Arc::new(zone));
    let Outcome::Reply(reply) = run(&chain, &mut query("a.b.one.", RecordType::A)) else { panic!("no reply") };
    assert!(reply.as_octets().unwrap().ends_with(b"\xc0\x0e\0\x27\0\x01\0\0\0\x05\0\x07\x01d\x03one\0"));
}

#[test]
fn an_option_goes_back_as_the_client_sent_it() {
    use rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
    let subnet = |last: u8| EdnsOption::Subnet(ClientSubnet::new([10, 0, 0, last].into(), 32, 0));
    let echo = |rules: &str, sent: Option<EdnsOption>| {
        let mut chain = block(rules).unwrap().chain;
        chain.push(Arc::new(Echo));
        let mut asked = query_edns("a.example.", RecordType::A, 1232, false);
        asked.request.change(|request| {
            sent.into_iter().for_each(|option| request.edns.as_mut().unwrap().options_mut().insert(option));
        });
        message(run(&chain, &mut asked)).edns.unwrap().option(EdnsCode::Subnet).cloned()
    };
    let rule = "rewrite edns0 subnet set 32 128";
    assert_eq!(echo(rule, None).map(|option| u16::from(EdnsCode::from(&option))), Some(8));
    assert_eq!(echo(&format!("{rule} revert"), None), None);
    assert_eq!(echo(&format!("{rule} revert"), Some(subnet(9))), Some(subnet(9)));
}

/// Answers with the options that came.
struct Echo;

impl Plugin for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut message = query.reply_message();
            message.edns.clone_from(&query.request.message().edns);
            Outcome::Reply(Reply::from_message("echo", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

#[test]
fn a_class_comes_as_far_as_its_rule() {
    let block = block("rewrite class CH IN\nwhoami").unwrap();
    assert_eq!(block.settings.classes, [crate::wire::Class::CH]);
    let mut asked = query("a.example.", RecordType::A);
    asked.request.change(|request| request.queries[0].query_class = DNSClass::CH);
    let reply = message(run(&block.chain, &mut asked));
    assert_eq!((reply.metadata.response_code, reply.queries[0].query_class), (ResponseCode::NoError, DNSClass::CH));
}

#[test]
fn ttls_are_set_and_kept_within_bounds() {
    for (ttl, range, becomes) in
        [(300, "15", 15), (1000, "60-120", 120), (10, "60-120", 60), (300, "-40", 40), (5, "50-", 50)]
    {
        let zone = format!("a.range.example. {ttl} IN A 192.0.2.1");
        let rules = format!("rewrite ttl suffix .range.example. {range}");
        assert_eq!(ask(&rules, &zone, "a.range.example."), [format!("a.range.example. {becomes} IN A 192.0.2.1")]);
    }
    assert_eq!(
        ask("rewrite ttl b.example 7", "a.example. 30 IN A 192.0.2.1", "a.example."),
        ["a.example. 30 IN A 192.0.2.1"]
    );
}

#[test]
fn types_classes_codes_and_targets_are_rewritten() {
    let zone = Zone::new(
        "a.example. 5 IN MX 10 mx.example.\nalias.example. 5 IN CNAME www.example.\nalias.example. 5 IN A 192.0.2.9",
    );
    let rules = "rewrite continue type HINFO MX\nrewrite continue rcode suffix .soft.example. NXDOMAIN NOERROR\n\
                 rewrite continue cname exact www.example. who.example.";
    let chain = chain(rules, &zone);
    let reply = message(run(&chain, &mut query("a.example.", RecordType::HINFO)));
    assert_eq!(reply.queries.first().unwrap().query_type, RecordType::HINFO);
    assert_eq!(lines(&reply.answers), ["a.example. 5 IN MX 10 mx.example."]);
    let reply = message(run(&chain, &mut query("x.soft.example.", RecordType::A)));
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    let reply = message(run(&chain, &mut query("x.hard.example.", RecordType::A)));
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    let mut asked = query("alias.example.", RecordType::A);
    asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::with("who.example. 5 IN A 192.0.2.1"))]));
    let reply = message(run(&chain, &mut asked));
    assert_eq!(lines(&reply.answers), ["alias.example. 5 IN CNAME who.example.", "who.example. 5 IN A 192.0.2.1"]);
}

#[test]
fn a_failure_gets_its_new_code_too() {
    let chain = block("rewrite rcode exact a.example SERVFAIL NXDOMAIN\nkubernetes example.org").unwrap().chain;
    let mut asked = query("a.example.", RecordType::A);
    asked.request.change(|request| request.queries[0].query_class = DNSClass::CH);
    let Outcome::Failed(_, failure) = run(&chain, &mut asked) else { panic!("answered") };
    assert_eq!(failure.rcode, Rcode::NXDOMAIN);
}

#[test]
fn edns_options_are_put_into_the_query_and_not_into_the_answer() {
    let zone = Zone::new(WEB);
    let rules = "rewrite continue edns0 local set 0xffee 0x61626364\nrewrite continue edns0 local append 65519 {client_port}\n\
                 rewrite edns0 subnet set 24 56";
    let chain = chain(rules, &zone);
    let reply = message(run(&chain, &mut query("web.default.svc.cluster.local.", RecordType::A)));
    assert!(reply.edns.is_none());
    let sent = zone.1.lock().unwrap().clone().unwrap().edns.unwrap();
    let option = |code: u16| sent.option(code.into()).cloned();
    assert_eq!(option(65518), Some(rdata::opt::EdnsOption::Unknown(65518, b"abcd".to_vec())));
    assert_eq!(option(65519), Some(rdata::opt::EdnsOption::Unknown(65519, 40212u16.to_be_bytes().to_vec())));
    let Some(rdata::opt::EdnsOption::Subnet(subnet)) = option(8) else { panic!("no subnet") };
    assert_eq!((subnet.addr().to_string().as_str(), subnet.source_prefix()), ("127.0.0.0", 24));
    let mut asked = query_edns("web.default.svc.cluster.local.", RecordType::A, 1232, false);
    assert!(message(run(&chain, &mut asked)).edns.is_some());
    let rules = "rewrite continue edns0 local append 65001 one\nrewrite CONTINUE EDNS0 Local Append 65001 two\n\
                 rewrite continue edns0 local replace 65002 none\nrewrite edns0 subnet append 8 8 revert";
    let block = block(rules).unwrap();
    let mut asked = query("a.example.", RecordType::A);
    drop(run(&block.chain, &mut asked));
    let sent = asked.request.message().edns.clone().unwrap();
    assert_eq!(sent.options().get_all(65001.into()).len(), 2, "both are there");
    assert!(sent.option(65002.into()).is_none() && sent.option(8.into()).is_some());
}

#[test]
fn only_rules_that_may_match_cluster_names_stand_in_the_way() {
    let fast = |rules: &str| block(&format!("{rules}\nkubernetes cluster.local")).unwrap().fast().is_ok();
    assert!(fast("rewrite name shop.corp.example web.default.svc.cluster.local"));
    assert!(fast("rewrite name suffix .corp.example .svc.cluster.local"));
    assert!(
        fast("rewrite type HINFO MX") && fast("rewrite edns0 nsid set") && fast("rewrite cname a.example b.example")
    );
    for inside in
        [".local", "ster.local", "cluster.local", ".cluster.local", "-old.cluster.local", "a.b.cluster.local", "."]
    {
        assert!(!fast(&format!("rewrite name suffix {inside} .example.")), "{inside}");
    }
    for outside in [".xcluster.local", "xcluster.local", "cluster.locals", ".svc.local"] {
        assert!(fast(&format!("rewrite name suffix {outside} .example.")), "{outside}");
    }
    assert!(!fast("rewrite class IN CH") && fast("rewrite class CH IN"));
    assert!(!fast("rewrite name regex x y") && !fast("rewrite ttl substring a 5"));
    let exclusions = |rules: &str| block(rules).unwrap().settings.exclusions.len();
    assert_eq!((exclusions("rewrite name a.cluster.local b.example"), exclusions("rewrite type A AAAA")), (1, 1));
}

#[test]
fn broken_rules_are_refused_at_their_word() {
    for (rule, column) in [
        ("rewrite", 1),
        ("rewrite continue", 1),
        ("rewrite nothing a b", 9),
        ("rewrite name a.example", 14),
        ("rewrite name regex (a b", 20),
        ("rewrite name a b question", 18),
        ("rewrite name a b answer", 18),
        ("rewrite name a b answer some", 25),
        ("rewrite name suffix .a .b answer auto answer name x y", 34),
        ("rewrite name suffix .a .b answer name (x) {1}{2}", 43),
        ("rewrite name regex (a) {1}.{2}", 24),
        ("rewrite name exact a b metadata", 24),
        ("rewrite name regex (a) {2} metadata", 24),
        ("rewrite name regex (a) {nothing} metadata", 24),
        ("rewrite edns0 nsid unset revert", 26),
        ("rewrite type A", 9),
        ("rewrite type A XX", 16),
        ("rewrite class IN XX", 18),
        ("rewrite ttl a.example soon", 23),
        ("rewrite ttl a.example 9-5", 23),
        ("rewrite rcode a.example SERVFAIL NOTHING", 34),
        ("rewrite edns0 local set many x", 25),
        ("rewrite edns0 local set 1 {nothing}", 27),
        ("rewrite edns0 local put 1 x", 21),
        ("rewrite edns0 subnet set 33 56", 26),
    ] {
        assert!(fault(rule).starts_with(&format!("Corefile:2:{column}:")), "{rule}: {}", fault(rule));
    }
}

#[test]
fn a_name_that_grows_too_long_is_refused() {
    let long = format!("rewrite name prefix a. {}", "b.".repeat(120));
    let block: Block = block(&format!("{long}\nwhoami")).unwrap();
    let Outcome::Failed("rewrite", failure) =
        run(&block.chain, &mut query("a.example.example.example.", RecordType::A))
    else {
        panic!("answered")
    };
    assert_eq!(failure.rcode, Rcode::SERVFAIL);
}
