use super::super::testing::{block, fault};
use super::*;
use crate::chain::Block;
use crate::chain::testing::{Answers, Asks, lines, message, query, query_edns, run};
use crate::wire::{Parsed, Rtype, parse};

const IP: &str = r#"template IN A corp.example {
    match "^ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)-(?P<c>[0-9]+)-(?P<d>[0-9]+)[.]corp[.]example[.]$"
    answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
    fallthrough
}
whoami"#;

fn ask(block: &Block, name: &str, qtype: RecordType) -> Message {
    message(run(&block.chain, &mut query(name, qtype)))
}

#[test]
fn answers_are_made_from_the_name() {
    let block = block(IP).unwrap();
    let reply = ask(&block, "IP-10-1-2-4.corp.example.", RecordType::A);
    assert_eq!(lines(&reply.answers), ["ip-10-1-2-4.corp.example. 60 IN A 10.1.2.4"]);
    assert!(reply.metadata.authoritative);
    // Neither another name nor another type nor another zone is for this template.
    assert_eq!(ask(&block, "who.corp.example.", RecordType::A).additionals.len(), 2);
    assert_eq!(ask(&block, "ip-10-1-2-4.corp.example.", RecordType::AAAA).additionals.len(), 2);
    assert_eq!(ask(&block, "ip-10-1-2-4.example.", RecordType::A).additionals.len(), 2);
}

#[test]
fn a_question_for_any_type_takes_the_chain_as_one_for_the_type_of_the_rule_does() {
    let block =
        block("kubernetes cluster.local\ntemplate IN TXT cluster.local {\nanswer \"{{ .Name }} 5 IN TXT t\"\n}")
            .unwrap();
    for (qtype, is_diverted) in [(RecordType::TXT, true), (RecordType::ANY, true), (RecordType::A, false)] {
        let octets = query("web.default.svc.cluster.local.", qtype).request.octets().to_vec();
        let Parsed::Query(question) = parse(&octets) else { panic!("a query of ours is well-formed") };
        assert_eq!(
            block.settings.exclusions.iter().any(|exclusion| exclusion.holds(&question)),
            is_diverted,
            "{qtype}"
        );
    }
}

#[test]
fn all_sections_are_filled_in_and_text_may_have_quotes() {
    let block = block(
        r#"template IN MX corp.example {
    match ^ip-(\d+)\.corp\.example\.$
    answer "{{ .Name }} 60 IN MX 10 {{ .Name }}"
    additional "{{ .Name }} 60 IN A 10.0.0.{{ index .Match 1 }}"
    authority "corp.example. 60 IN NS ns0.corp.example."
}
template IN TXT text.example {
    answer "{{ .Name }} 60 IN TXT \"hello {{ .Name }} {{ .Type }} {{ .Class }} {{ .Zone }}\""
}
template IN A list.example {
    answer "{{ .Name }} 60 IN A 10.40.0.1" "{{ .Name }} 60 IN A 10.40.0.2"
}"#,
    )
    .unwrap();
    let reply = ask(&block, "ip-7.corp.example.", RecordType::MX);
    assert_eq!(lines(&reply.answers), ["ip-7.corp.example. 60 IN MX 10 ip-7.corp.example."]);
    assert_eq!(lines(&reply.additionals), ["ip-7.corp.example. 60 IN A 10.0.0.7"]);
    assert_eq!(lines(&reply.authorities), ["corp.example. 60 IN NS ns0.corp.example."]);
    let reply = ask(&block, "say.text.example.", RecordType::TXT);
    let text = "say.text.example. 60 IN TXT \"hello say.text.example. TXT IN text.example.\"";
    assert_eq!(lines(&reply.answers), [text]);
    assert_eq!(ask(&block, "two.list.example.", RecordType::A).answers.len(), 2);
    // Nothing matches and nothing falls through.
    let outcome = run(&block.chain, &mut query("other.corp.example.", RecordType::MX));
    assert!(matches!(outcome, Outcome::Failed("template", _)));
}

#[test]
fn a_cname_is_followed_for_addresses() {
    let block =
        block("template IN ANY alias.example {\nanswer \"{{ .Name }} 60 IN CNAME www.example.com.\"\n}").unwrap();
    let mut asked = query("short.alias.example.", RecordType::A);
    asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::with("www.example.com. 5 IN A 192.0.2.80"))]));
    assert_eq!(message(run(&block.chain, &mut asked)).answers.len(), 2);
    // Only a failure counts beside the alias.
    for (rcode, right) in [
        (ResponseCode::NXDomain, ResponseCode::NoError),
        (ResponseCode::Refused, ResponseCode::NoError),
        (ResponseCode::ServFail, ResponseCode::ServFail),
    ] {
        let mut asked = query("short.alias.example.", RecordType::A);
        asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::rcode(rcode))]));
        let reply = message(run(&block.chain, &mut asked));
        assert_eq!((reply.metadata.response_code, reply.answers.len()), (right, 1));
    }
    let mut asked = query("short.alias.example.", RecordType::TXT);
    asked.resolver = Arc::new(Asks(vec![Arc::new(Answers::with("www.example.com. 5 IN A 192.0.2.80"))]));
    assert_eq!(message(run(&block.chain, &mut asked)).answers.len(), 1);
}

#[test]
fn codes_and_extended_errors_are_given() {
    let block = block("template ANY ANY blocked.example {\nrcode NXDOMAIN\nederror 15 \"not here\"\n}").unwrap();
    let reply = message(run(&block.chain, &mut query_edns("a.blocked.example.", RecordType::TXT, 1232, false)));
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    let option = reply.edns.as_ref().and_then(|edns| edns.option(rdata::opt::EdnsCode::Unknown(15))).unwrap();
    assert!(matches!(option, rdata::opt::EdnsOption::Unknown(15, octets) if octets == b"\x00\x0fnot here"));
}

#[test]
fn a_text_that_makes_no_record_fails_the_query() {
    let block = block("template IN A bad.example {\nanswer \"{{ .Name }} 60 IN A {{ .Type }}\"\n}").unwrap();
    let Outcome::Failed("template", failure) = run(&block.chain, &mut query("a.bad.example.", RecordType::A)) else {
        panic!("answered")
    };
    assert!(failure.message.contains("is not an IPv4 address"), "{}", failure.message);
}

#[test]
fn only_templates_of_cluster_names_stand_in_the_way() {
    let cluster = "kubernetes cluster.local";
    assert!(block(&format!("{IP}\n{cluster}")).unwrap().fast().is_ok());
    let azure = "template ANY ANY reddog.microsoft.com {\nrcode NXDOMAIN\n}";
    assert!(block(&format!("{azure}\n{cluster}")).unwrap().fast().is_ok());
    let all = "template ANY ANY {\nmatch x\nfallthrough\n}";
    assert!(block(&format!("{all}\n{cluster}")).unwrap().fast().is_err());
    let typed = block(&format!("template IN A {{\nmatch x\nfallthrough\n}}\n{cluster}")).unwrap();
    assert!(typed.fast().is_ok());
    assert!(matches!(typed.settings.exclusions.as_slice(), [FastPathExclusion::Zone(_, Some(Rtype::A))]));
}

#[test]
fn broken_templates_are_refused_at_their_line() {
    for (line, column) in [
        ("answer \"{{ .Name 60 IN A 10.0.0.1\"", 8),
        ("match \"^ip-(?P<a[0-9]+\"", 7),
        ("rcode MAYBE", 7),
        ("answer", 1),
        ("ederror many", 9),
        ("nothing", 1),
    ] {
        let said = fault(&format!("template IN A example {{\n{line}\n}}"));
        assert!(said.starts_with(&format!("Corefile:3:{column}:")), "{line}: {said}");
    }
    assert!(fault("template IN").starts_with("Corefile:2:1:"));
    assert!(fault("template XX A {\n}").starts_with("Corefile:2:10:"));
}

// The example of the expressions' own documentation: only private addresses are answered.
const PRIVATE: &str = r##"template IN A corp.example {
    match ^ip-(?P<ip>[0-9-]+)[.]corp[.]example[.]$
    var ip replace(group('ip'), '-', '.')
    expr "any(['10.0.0.0/8', '192.168.0.0/16'], incidr(ip, #))"
    expr client_ip() != '127.0.0.9'
    answer "{{ .Name }} 60 IN A {{ .Var.ip }}"
    fallthrough
}
whoami"##;

#[test]
fn expressions_bound_what_is_answered_and_variables_are_filled_in() {
    let block = block(PRIVATE).unwrap();
    let reply = ask(&block, "ip-10-1-2-3.corp.example.", RecordType::A);
    assert_eq!(lines(&reply.answers), ["ip-10-1-2-3.corp.example. 60 IN A 10.1.2.3"]);
    assert_eq!(ask(&block, "ip-8-8-8-8.corp.example.", RecordType::A).additionals.len(), 2, "it is for whoami");
    let mut asked = query("ip-10-1-2-3.corp.example.", RecordType::A);
    asked.client.peer.set_ip("127.0.0.9".parse().unwrap());
    assert_eq!(message(run(&block.chain, &mut asked)).additionals.len(), 2);
    // What cannot be worked out is a failure, fallthrough or not.
    let outcome = run(&block.chain, &mut query("ip-10-1-2-3-4.corp.example.", RecordType::A));
    assert!(matches!(outcome, Outcome::Failed("template", _)));
}

#[test]
fn broken_expressions_are_refused_at_their_word() {
    for (line, column) in [
        ("var", 1),
        ("var ip", 5),
        ("var 1p 'x'", 5),
        ("var name 'x'", 5),
        ("var ip group(", 8),
        ("expr", 1),
        ("expr ip == 'x'", 6),
        ("expr # == 'x'", 1),
    ] {
        let said = fault(&format!("template IN A corp.example {{\n{line}\nrcode NXDOMAIN\n}}"));
        assert!(said.starts_with(&format!("Corefile:3:{column}:")), "{line}: {said}");
    }
}

#[test]
fn without_a_block_the_answer_is_empty() {
    let reply = ask(&block("template IN MX corp.example\nwhoami").unwrap(), "a.corp.example.", RecordType::MX);
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert!(reply.answers.is_empty() && reply.additionals.is_empty());
}

#[test]
fn the_question_is_told_by_its_numbers_and_any_by_what_the_template_gives() {
    let text = r#"template IN TXT example {
    match ^(a|b)\.
    answer "{{ .Name }} 60 IN TXT \"{{ .Question.Name }} {{ .Question.Qtype }} {{ .Question.Qclass }} {{ .Type }} {{ .Regex }} {{ .Message.Id }} {{ (index .Message.Question 0).Qtype }}\""
}"#;
    let block = block(text).unwrap();
    let said = |qtype| lines(&ask(&block, "A.example.", qtype).answers);
    assert_eq!(said(RecordType::TXT), ["a.example. 60 IN TXT \"A.example. 16 1 TXT ^(a|b). 4711 16\""]);
    assert_eq!(said(RecordType::ANY), ["a.example. 60 IN TXT \"A.example. 255 1 TXT ^(a|b). 4711 255\""]);
}

#[test]
fn the_first_record_of_a_text_counts_and_a_failure_has_none() {
    let block = block(
        "template IN A example {\nanswer \"\n{{ .Name }} 60 IN A 10.0.0.1\n{{ .Name }} 60 IN A 10.0.0.2\n\"\n}\n\
         template IN MX example {\nrcode SERVFAIL\nanswer \"{{ .Name }} 60 IN MX 1 a\"\n}",
    )
    .unwrap();
    assert_eq!(lines(&ask(&block, "a.example.", RecordType::A).answers), ["a.example. 60 IN A 10.0.0.1"]);
    let failed = ask(&block, "a.example.", RecordType::MX);
    assert_eq!((failed.metadata.response_code, failed.answers.len()), (ResponseCode::ServFail, 0));
}
