//! The table: for each directive two Corefiles that differ in it, and what is seen under each.

use super::effects::{A, AAAA, ANY, SOA, TXT};
use super::place::Place;

pub(crate) struct Row {
    pub(crate) directive: &'static str,
    /// Two bodies of a server block for the root, or two whole Corefiles.
    pub(crate) corefiles: [&'static str; 2],
    pub(crate) effect: fn(&Place) -> String,
    /// Before and after.
    pub(crate) seen: [&'static str; 2],
    pub(crate) reference: Reference,
}

/// What CoreDNS shows.
pub(crate) enum Reference {
    Same,
    Differs { because: &'static str, seen: [&'static str; 2] },
}

const fn row(
    directive: &'static str,
    corefiles: [&'static str; 2],
    effect: fn(&Place) -> String,
    seen: [&'static str; 2],
) -> Row {
    Row { directive, corefiles, effect, seen, reference: Reference::Same }
}

impl Row {
    const fn in_coredns(self, reference: Reference) -> Self {
        Self { reference, ..self }
    }
}

fn a_test(place: &Place) -> String {
    place.answer("a.test", A)
}

/// In the order of the alphabet.
pub(crate) const ROWS: &[Row] = &[
    row(
        "acl",
        ["acl {\n block type A\n }\n whoami", "acl {\n allow type A\n }\n whoami"],
        a_test,
        ["REFUSED", "NOERROR"],
    ),
    row(
        "any",
        ["whoami", "any\n whoami"],
        |place| place.answer("a.test", ANY),
        ["NOERROR", "NOERROR ANY obsoleted See RFC 8482"],
    ),
    row(
        "autopath",
        [
            "autopath {DIR}/one.conf\n hosts {\n 192.0.2.1 www.one.test\n 192.0.2.2 www.two.test\n }",
            "autopath {DIR}/two.conf\n hosts {\n 192.0.2.1 www.one.test\n 192.0.2.2 www.two.test\n }",
        ],
        |place| place.answer("www.first.test", A),
        ["NOERROR www.one.test., 192.0.2.1", "NOERROR www.two.test., 192.0.2.2"],
    ),
    row(
        "bind",
        [".:{PORT} {\n bind 127.0.0.1\n whoami\n}", ".:{PORT} {\n bind 127.0.0.1 127.0.0.9\n whoami\n}"],
        |place| place.answer_at(9),
        ["silence", "NOERROR"],
    ),
    row("bind", [ON_ONE_ADDRESS, ON_EVERY_ADDRESS], |place| place.answer_at(9), ["silence", "NOERROR 192.0.2.200"]),
    row("bind", [ON_EVERY_ADDRESS, ON_ONE_ADDRESS], |place| place.answer_at(9), ["NOERROR 192.0.2.200", "silence"]),
    row(
        "bufsize",
        ["bufsize 512\n erratic {\n drop 0\n large\n }", "bufsize 1400\n erratic {\n drop 0\n large\n }"],
        |place| place.flags("a-name-of-some-length.test"),
        ["AA TC", "AA"],
    ),
    row("cache", ["forward . {UP}", "cache 60\n forward . {UP}"], Place::asked_upstream, ["2", "1"]),
    row(
        "chaos",
        ["chaos one\n whoami", "chaos two\n whoami"],
        |place| place.chaos("version.bind"),
        ["NOERROR one", "NOERROR two"],
    ),
    row("debug", [CONSOLIDATED, CONSOLIDATED_WITH_DEBUG], Place::debugs, ["none", "lines"]),
    row(
        "dns64",
        [
            "dns64 {\n allow_ipv4\n }\n forward . {UP}",
            "dns64 {\n prefix 2001:db8:64::/96\n allow_ipv4\n }\n forward . {UP}",
        ],
        |place| place.answer("a.test", AAAA),
        ["NOERROR 64:ff9b::c000:201", "NOERROR 2001:db8:64::c000:201"],
    ),
    row(
        "erratic",
        ["erratic {\n drop 0\n }", "erratic {\n drop 0\n truncate 1\n }"],
        |place| place.flags("a.test"),
        ["AA", "AA TC"],
    ),
    row(
        "errors",
        ["forward . 127.0.0.1:9", "errors\n forward . 127.0.0.1:9"],
        |place| place.logged("dead.test"),
        ["", "plugin/errors: 2"],
    ),
    row(
        "file",
        ["file {DIR}/one.zone zone.test", "file {DIR}/two.zone zone.test"],
        |place| place.answer("ns.zone.test", A),
        ["NOERROR 192.0.2.1", "NOERROR 192.0.2.2"],
    ),
    row("forward", ["forward . {UP}", "forward . {OTHER}"], a_test, ["NOERROR 192.0.2.1", "NOERROR 192.0.2.2"]),
    row(
        "forward",
        ["cache 300\n forward . {UP}", "cache 300\n forward . {OTHER}"],
        a_test,
        ["NOERROR 192.0.2.1", "NOERROR 192.0.2.2"],
    ),
    row(
        "header",
        ["header {\n response set aa\n }\n forward . {UP}", "header {\n response clear aa\n }\n forward . {UP}"],
        |place| place.flags("a.test"),
        ["AA", ""],
    ),
    row(
        "health",
        ["health {ONE}\n whoami", "health {TWO}\n whoami"],
        |place| place.pages("/health"),
        ["200 -", "- 200"],
    ),
    row(
        "hosts",
        ["hosts {\n 192.0.2.1 a.test\n }", "hosts {\n 192.0.2.2 a.test\n }"],
        a_test,
        ["NOERROR 192.0.2.1", "NOERROR 192.0.2.2"],
    ),
    row(
        "hosts",
        ["hosts {DIR}/one.hosts", "hosts {DIR}/two.hosts"],
        a_test,
        ["NOERROR 192.0.2.1", "NOERROR 192.0.2.2"],
    ),
    row(
        "k8s_external",
        [
            "kubernetes cluster.local {\n endpoint {API}\n }\n k8s_external one.test\n whoami",
            "kubernetes cluster.local {\n endpoint {API}\n }\n k8s_external two.test\n whoami",
        ],
        |place| place.answer("web.default.two.test", A),
        ["NOERROR", "NOERROR 192.0.2.11"],
    ),
    row(
        "kubernetes",
        [
            "kubernetes cluster.local {\n endpoint {API}\n ttl 7\n }",
            "kubernetes cluster.local {\n endpoint {API}\n ttl 9\n }",
        ],
        |place| place.ttl("web.default.svc.cluster.local", A),
        ["7", "9"],
    ),
    row("loadbalance", [FOUR, FOUR_IN_TURN], |place| place.orders("a.test"), ["one order", "several orders"]),
    row("local", ["whoami", "local\n whoami"], |place| place.answer("localhost", A), ["NOERROR", "NOERROR 127.0.0.1"]),
    row(
        "log",
        ["log . \"one {name}\"\n whoami", "log . \"two {name}\"\n whoami"],
        |place| place.logged("log.test"),
        ["one", "two"],
    ),
    row("loop", ["forward . {UP}", "loop\n forward . {UP}"], Place::probes, ["none", "probes"]),
    row(
        "metadata",
        [NAMED, NAMED_WITH_METADATA],
        |place| place.answer("a.test", TXT),
        ["NOERROR []", "NOERROR [seen]"],
    ),
    row("minimal", ["whoami", "minimal\n whoami"], |place| place.beside("a.test"), ["0 and 2", "0 and 0"]),
    row(
        "multisocket",
        [
            ".:{PORT} {\n bind 127.0.0.1\n multisocket 1\n template IN A stays.example {\n answer \"{{ .Name }} 60 IN A 192.0.2.200\"\n }\n}",
            ".:{PORT} {\n bind 127.0.0.1\n multisocket 3\n template IN A stays.example {\n answer \"{{ .Name }} 60 IN A 192.0.2.200\"\n }\n}",
        ],
        Place::sockets,
        ["1", "3"],
    ),
    row("nsid", ["nsid one\n whoami", "nsid two\n whoami"], Place::identifier, ["one", "two"]),
    row(
        "pprof",
        ["pprof {ONE}\n whoami", "pprof {TWO}\n whoami"],
        |place| place.pages("/debug/pprof/"),
        ["- -", "- -"],
    )
    .in_coredns(Reference::Differs { because: "there is no Go runtime to profile here", seen: ["200 -", "- 200"] }),
    row(
        "prometheus",
        ["prometheus {ONE}\n whoami", "prometheus {TWO}\n whoami"],
        |place| place.pages("/metrics"),
        ["200 -", "- 200"],
    ),
    row("ready", ["ready {ONE}\n whoami", "ready {TWO}\n whoami"], |place| place.pages("/ready"), ["200 -", "- 200"]),
    row("reload", ["whoami", "reload 2s 1s\n whoami"], Place::notices, ["no", "by itself"]),
    row(
        "rewrite",
        [
            "rewrite name a.test one.test\n hosts {\n 192.0.2.1 one.test\n 192.0.2.2 two.test\n }",
            "rewrite name a.test two.test\n hosts {\n 192.0.2.1 one.test\n 192.0.2.2 two.test\n }",
        ],
        a_test,
        ["NOERROR 192.0.2.1", "NOERROR 192.0.2.2"],
    ),
    row(
        "shed",
        ["prometheus {ONE}\n whoami", "prometheus {ONE}\n shed\n whoami"],
        |place| place.in_use("shed"),
        ["not in use", "in use"],
    ),
    row(
        "template",
        [
            "template IN A {\n answer \"{{ .Name }} 60 IN A 192.0.2.1\"\n }",
            "template IN A {\n answer \"{{ .Name }} 60 IN A 192.0.2.2\"\n }",
        ],
        a_test,
        ["NOERROR 192.0.2.1", "NOERROR 192.0.2.2"],
    ),
    row("timeouts", [IDLE_60, IDLE_1], Place::idle, ["open", "closed"]),
    row("timeouts", [IDLE_60, TWO_QUERIES], Place::on_one_connection, ["5", "2"]),
    row(
        "tls",
        [
            "tls://.:{SECOND} {\n bind 127.0.0.1\n tls {DIR}/a.crt {DIR}/a.key\n whoami\n}",
            "tls://.:{SECOND} {\n bind 127.0.0.1\n tls {DIR}/b.crt {DIR}/b.key\n whoami\n}",
        ],
        Place::certificate,
        ["a", "b"],
    ),
    row(
        "tls",
        [
            "tls://.:{SECOND} {\n bind 127.0.0.1\n tls {DIR}/a.crt {DIR}/a.key\n whoami\n}",
            "tls://.:{SECOND} {\n bind 127.0.0.1\n tls {DIR}/a.crt {DIR}/a.key {DIR}/b.crt {\n client_auth require_and_verify\n }\n whoami\n}",
        ],
        Place::certificate,
        ["a", "none"],
    ),
    row(
        "transfer",
        ["file {DIR}/one.zone zone.test", "transfer {\n to *\n }\n file {DIR}/one.zone zone.test"],
        |place| place.transfer("zone.test"),
        ["REFUSED with nothing", "NOERROR with records"],
    ),
    row(
        "view",
        ["view v {\n expr type() == 'AAAA'\n }\n whoami", "view v {\n expr type() == 'A'\n }\n whoami"],
        a_test,
        ["REFUSED", "NOERROR"],
    ),
    row(
        "whoami",
        ["hosts {\n 192.0.2.1 b.test\n }", "whoami"],
        |place| place.answer("a.test", SOA),
        ["SERVFAIL", "NOERROR"],
    ),
];

const FOUR: &str = "hosts {
    192.0.2.1 a.test
    192.0.2.2 a.test
    192.0.2.3 a.test
    192.0.2.4 a.test
    }";
const FOUR_IN_TURN: &str = "loadbalance
    hosts {
    192.0.2.1 a.test
    192.0.2.2 a.test
    192.0.2.3 a.test
    192.0.2.4 a.test
    }";

const CONSOLIDATED: &str = r#"errors {
    consolidate 1s "refused" debug
    }
    forward . 127.0.0.1:9"#;
const CONSOLIDATED_WITH_DEBUG: &str = r#"debug
    errors {
    consolidate 1s "refused" debug
    }
    forward . 127.0.0.1:9"#;

const NAMED: &str = r#"view seen {
    expr true
    }
    template IN TXT {
    answer "{{ .Name }} 60 IN TXT \"[{{ .Meta \"view/name\" }}]\""
    }"#;
const NAMED_WITH_METADATA: &str = r#"metadata
    view seen {
    expr true
    }
    template IN TXT {
    answer "{{ .Name }} 60 IN TXT \"[{{ .Meta \"view/name\" }}]\""
    }"#;

const ON_ONE_ADDRESS: &str = r#".:{PORT} {
    bind 127.0.0.1
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.200"
    }
}
# serves stays.example
"#;
const ON_EVERY_ADDRESS: &str = r#".:{PORT} {
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.200"
    }
}
# serves stays.example
"#;

// What belongs to a listener is said once for it: one block has the port.
const IDLE_60: &str = r#".:{PORT} {
    bind 127.0.0.1
    timeouts {
        idle 60s
    }
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.200"
    }
}
# serves stays.example
"#;
const IDLE_1: &str = r#".:{PORT} {
    bind 127.0.0.1
    timeouts {
        idle 1s
    }
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.200"
    }
}
# serves stays.example
"#;
const TWO_QUERIES: &str = r#".:{PORT} {
    bind 127.0.0.1
    timeouts {
        idle 60s
        maxtcpqueries 2
    }
    template IN A {
        answer "{{ .Name }} 60 IN A 192.0.2.200"
    }
}
# serves stays.example
"#;
