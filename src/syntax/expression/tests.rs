use super::*;

fn refused(text: &str) -> String {
    Expression::parse(text, Scope { groups: true, variables: &[] }).unwrap_err()
}

#[test]
fn what_lies_too_deep_is_refused_and_not_read_to_the_end_of_the_stack() {
    const MANY: usize = 100_000;
    for (open, middle, close) in [
        ("(", "true", ")"),
        ("!", "true", ""),
        ("not ", "true", ""),
        ("lower(", "'a'", ")"),
        ("[", "1", "]"),
        ("group(", "1", ")"),
        ("any([1], ", "true", ")"),
        ("any([", "1", "], true)"),
        ("1 in [", "1", "]"),
    ] {
        let nested = |times: usize| format!("{}{middle}{}", open.repeat(times), close.repeat(times));
        assert!(refused(&nested(MANY)).contains("64 expressions"), "{open}");
        assert!(Expression::parse(&nested(30), Scope { groups: true, variables: &[] }).is_ok(), "{open}");
    }
}

#[test]
fn long_chains_are_as_deep_as_short_ones() {
    for (word, first, others, truth) in [
        ("&&", "true", "true", true),
        ("and", "true", "false", false),
        ("||", "true", "false", true),
        ("or", "false", "false", false),
    ] {
        let text = format!("{first}{}", format!(" {word} {others}").repeat(100_000));
        let read = Expression::parse(&text, Scope::default()).unwrap();
        assert_eq!(read.is_true(&Nothing), truth, "{word}");
    }
    let mixed = Expression::parse("false && true || true && !false", Scope::default()).unwrap();
    assert!(mixed.is_true(&Nothing));
}

/// The query of expressions that ask for nothing.
struct Nothing;

impl ExpressionSubject for Nothing {
    fn name(&self) -> MessageName {
        MessageName::root()
    }

    fn qtype(&self) -> RecordType {
        RecordType::ZERO
    }

    fn qclass(&self) -> DNSClass {
        DNSClass::IN
    }

    fn dnssec_ok(&self) -> bool {
        false
    }

    fn id(&self) -> u16 {
        0
    }

    fn opcode(&self) -> u8 {
        0
    }

    fn bufsize(&self) -> u16 {
        512
    }

    fn size(&self) -> usize {
        0
    }

    fn peer(&self) -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    fn local(&self) -> SocketAddr {
        self.peer()
    }

    fn proto(&self) -> &'static str {
        "udp"
    }

    fn metadata(&self, _: &str) -> Option<&str> {
        None
    }
}
