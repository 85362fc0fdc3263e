use super::super::names;
use super::*;

fn round(line: &str) -> String {
    text(&parse_line(line, None, 3600).unwrap())
}

/// The octets of a record's data, as they leave.
fn sent(record: &Record) -> Vec<u8> {
    use crate::wire::message::{self, Message, OpCode, Size};
    let mut message = Message::response(0, OpCode::Query);
    message.answers.push(record.clone());
    let mut octets = Vec::new();
    assert!(!message::encode(&message, Size::tcp(), 0, &mut octets), "{record:?} does not encode");
    let found = crate::wire::Records::new(&octets).unwrap().map(Result::unwrap).next().unwrap();
    octets[found.rdata..found.end].to_vec()
}

#[test]
fn records_are_read_from_lines() {
    assert_eq!(round("a.example. 60 IN A 192.0.2.1"), "a.example. 60 IN A 192.0.2.1");
    assert_eq!(round("a.example. IN 60 AAAA ::1"), "a.example. 60 IN AAAA ::1");
    assert_eq!(round("a.example. A 192.0.2.1"), "a.example. 3600 IN A 192.0.2.1");
    assert_eq!(round("A.example. 1h MX 10 mx.example."), "A.example. 3600 IN MX 10 mx.example.");
    assert_eq!(round("_s._tcp.a. 5 IN SRV 0 33 80 t.a."), "_s._tcp.a. 5 IN SRV 0 33 80 t.a.");
    assert_eq!(round("a. 5 IN TXT \"one two\" three"), "a. 5 IN TXT \"one two\" \"three\"");
    assert_eq!(round("a. 5 IN TXT (\n \"one\"\n \"two\" )"), "a. 5 IN TXT \"one\" \"two\"");
    assert_eq!(round("a. 5 CH TXT x"), "a. 5 CH TXT \"x\"");
    assert_eq!(round("a 5 CLASS1 CNAME b"), "a. 5 IN CNAME b.");
}

#[test]
fn broken_records_say_what_is_wrong() {
    let say = |line| parse_line(line, None, 3600).unwrap_err();
    assert_eq!(say("a. 5 IN A 10.0.0.300"), "A record: `10.0.0.300` is not an IPv4 address");
    assert_eq!(say("a. 5 IN A"), "A record: an IPv4 address is missing");
    assert_eq!(say("a. 5 IN A 10.0.0.1 x"), "A record: `x` is one word too many");
    assert_eq!(say("a. 5 IN WHAT x"), "`WHAT` is no record type");
    assert_eq!(say("a. 5 IN"), "the record has no type");
    assert_eq!(say(""), "the record is empty");
    assert_eq!(say("a. 5 IN TXT \"x"), "a quote is not closed");
    assert_eq!(say("a. 5 IN TXT (x"), "a `(` is not closed");
    for line in [
        "A \\# 3 0aff00",
        "TYPE65400 \\# 2 0aff00",
        "TYPE65400 x",
        "NULL x",
        "SOA a b 1 2 3 4",
        "SOA a b c 1 2 3 4",
        "MX 65536 a",
        "TXT",
        "TXT \\256",
        "CAA 0 is-sue x",
        "CAA 0 issue",
        "DS 1 1 1",
        "DS 1 1 1 abc",
        "DS 1 NONE 1 ab",
        "DNSKEY 256 3 5 A",
        "NSEC a NOTYPE",
        "NSEC3 1 1 12 xx aa A",
        "NSEC3 1 1 12 - wxyz A",
        "EUI48 00-11-22-33-44",
        "EUI48 001-1-22-33-44-55",
        "NID 1 1:2:3",
        "NID 1 1:2:3:44444",
        "L32 1 ::1",
        "APL 192.0.2.0/24",
        "APL 2:192.0.2.0/24",
        "APL 1:192.0.2.0/33",
        "IPSECKEY 1 0 2 a AAAA",
        "IPSECKEY 1 4 2 a AAAA",
        "IPSECKEY 1 1 2 ::1 AAAA",
        "AMTRELAY 1 2 0 .",
        "HIP 2 xx AQPS",
        "LOC 91 N 0 E 0",
        "LOC 1 60 N 0 E 0",
        "LOC 1 1 60 N 0 E 0",
        "LOC N 0 E 0",
        "LOC 1 1 1 1 N 0 E 0",
        "LOC 1 N 1 E",
        "LOC 1 N 1 E 0 0 0 0 0",
        "LOC 1 N 1 E x",
        "LOC 90 1 N 1 E 0",
        "RRSIG A 1 1 1 20011301000000 1 1 a. AAAA",
        "RRSIG NOTYPE 1 1 1 1 1 1 a. AAAA",
        "HTTPS 1",
        "HTTPS 1 . alpn",
        "HTTPS 1 . alpn=",
        "HTTPS 1 . alpn=a,,b",
        "HTTPS 1 . port=x",
        "HTTPS 1 . port=1 port=2",
        "HTTPS 1 . nokey=1",
        "HTTPS 1 . key65535=a",
        "HTTPS 1 . key07=a",
        "HTTPS 1 . mandatory=port",
        "HTTPS 1 . mandatory=mandatory",
        "HTTPS 1 . port=1 mandatory=port,port",
        "HTTPS 1 . ech=*",
        "HTTPS 1 . ipv4hint=::1",
        "HTTPS 1 . ipv6hint=192.0.2.1",
        "HTTPS 1 . no-default-alpn=x",
        "HTTPS 1 . alpn=a\"b\"",
        "HTTPS 1 . \"alpn=a\"",
        "HTTPS 1 . alpn=\"a\"port=1",
        "NSAP 47",
        "NSAP 0x4",
        "UID 4294967296",
        "PTR a..b",
        "PTR",
    ] {
        assert!(parse_line(&format!("a. 5 IN {line}"), None, 60).is_err(), "{line}");
    }
}

#[test]
fn data_of_all_types_leaves_as_others_read_it() {
    let origin = MessageName::from_ascii("Example.org.").unwrap();
    let mut rows = 0;
    for row in include_str!("../../../tests/fixtures/records.txt").lines().filter(|row| !row.starts_with('#')) {
        let (text, hex) = row.split_once('\t').unwrap();
        let mut entries = ZoneEntries::new(text.as_bytes());
        let words = entries.next().unwrap().unwrap().words;
        let (record, _) =
            record(origin.clone(), &words, &origin, 60).unwrap_or_else(|(_, why)| panic!("{text}: {why}"));
        let right = crate::wire::message::rdata_from(record.record_type(), hex_octets(hex).unwrap()).unwrap();
        assert_eq!(record.data, right, "{text}");
        assert!(sent(&record).len() <= hex.len() / 2, "{text}");
        rows += 1;
    }
    assert_eq!(rows, 153);
}

#[test]
fn what_that_library_does_not_read_is_read_as_well() {
    for (text, hex) in [
        // RFC 4034 section 4.3, the types in any order.
        (
            "NSEC host.example.com. TYPE1234 A MX RRSIG NSEC",
            "04686f7374076578616d706c6503636f6d0000064001000000030\
          41b000000000000000000000000000000000000000000000000000020",
        ),
        ("NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00", "470005 80005a0000000001e133ffffff00016100"),
        ("DSYNC CDS NOTIFY 5359 scanner.", "003b 01 14ef 077363616e6e657200"),
        ("ISDN \"150862028003217\"", "0f 313530383632303238303033323137"),
        ("WALLET BTC x", "03425443 0178"),
        ("AMTRELAY 10 1 2 2001:db8::15", "0a82 20010db8000000000000000000000015"),
        ("AMTRELAY 128 1 3 r.", "8083 017200"),
        ("IPN 3", "0000000000000003"),
        ("DS 60485 RSASHA1 SHA-1 2BB183AF", "ec45 05 01 2bb183af"),
    ] {
        let hex = hex_octets(&hex.replace(' ', "")).unwrap();
        assert_eq!(sent(&parse_line(&format!("a. 5 IN {text}"), None, 60).unwrap()), hex, "{text}");
    }
}

//----------- Files ----------------------------------------------------------

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn lines(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let folder = folder(files);
    let origin = names::parse("example.").unwrap();
    match parse_zone(&folder.path().join("db"), &origin) {
        Ok(zone) => Ok(zone.records.iter().map(|placed| text(&placed.record)).collect()),
        Err(fault) => {
            let file = fault.file.unwrap();
            let file = file.strip_prefix(folder.path()).unwrap_or(&file);
            Err(format!("{}:{}: {}", file.display(), fault.line, fault.message))
        }
    }
}

#[test]
fn zone_files_have_origins_and_owners() {
    let zone = "$TTL 60\n@ IN SOA ns host ( 1 ; serial\n 3600 600 86400 60 )\n  NS ns\nwww 5 A 192.0.2.1\n\
                $ORIGIN b\nx CNAME www.example.\n\tTXT t\n$origin example.org.\n; end\n@ MX 10 mx";
    assert_eq!(
        lines(&[("db", zone)]).unwrap(),
        [
            "example. 60 IN SOA ns.example. host.example. 1 3600 600 86400 60",
            "example. 60 IN NS ns.example.",
            "www.example. 5 IN A 192.0.2.1",
            "x.b.example. 60 IN CNAME www.example.",
            "x.b.example. 60 IN TXT \"t\"",
            "example.org. 60 IN MX 10 mx.example.org.",
        ]
    );
}

#[test]
fn a_ttl_that_is_not_written_comes_from_what_stands_before() {
    let ttls = |zone: &str| -> Vec<u32> {
        let lines = lines(&[("db", zone)]).unwrap();
        lines.iter().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
    };
    let soa = "@ SOA a b 1 2 3 4 300\n";
    assert_eq!(
        ttls(&format!(
            "{soa}a A 10.0.0.1\nb 1m A 10.0.0.1\nc A 10.0.0.1\n$TTL 1h30m\nd A 10.0.0.1\nb 5 A 10.0.0.1\nd A 10.0.0.2\n"
        )),
        [300, 300, 60, 60, 5400, 5, 5400]
    );
    assert_eq!(ttls("a A 10.0.0.1\n"), [3600]);
}

#[test]
fn included_files_have_an_origin_and_a_ttl_of_their_own() {
    let files = [
        (
            "db",
            "$TTL 60\na A 10.0.0.1\n$INCLUDE sub/one\n A 10.0.0.2\n$INCLUDE \"sub/one\" child ; again\nb A 10.0.0.3\n",
        ),
        ("sub/one", "$TTL 5\n A 10.0.1.1\nx A 10.0.1.2\n$ORIGIN y\n$INCLUDE two\n"),
        ("sub/two", "z A 10.0.2.1\n"),
    ];
    assert_eq!(
        lines(&files).unwrap(),
        [
            "a.example. 60 IN A 10.0.0.1",
            "a.example. 5 IN A 10.0.1.1",
            "x.example. 5 IN A 10.0.1.2",
            "z.y.example. 5 IN A 10.0.2.1",
            "a.example. 60 IN A 10.0.0.2",
            "a.example. 5 IN A 10.0.1.1",
            "x.child.example. 5 IN A 10.0.1.2",
            "z.y.child.example. 5 IN A 10.0.2.1",
            "b.example. 60 IN A 10.0.0.3",
        ]
    );
}

#[test]
fn a_fault_is_told_with_its_file_and_line() {
    for (files, said) in [
        (
            vec![("db", "@ 60 IN NS ns\nwww 60 IN A 10.0.0.300\n")],
            "db:2: A record: `10.0.0.300` is not an IPv4 address",
        ),
        (vec![("db", "a SOA a b (\n 1 2\n 3 4x 5 )\n")], "db:3: SOA record: `4x` is not a time in seconds"),
        (
            vec![("db", "a A 10.0.0.1\n$INCLUDE one\n"), ("one", "\n\nb A\n")],
            "one:3: A record: an IPv4 address is missing",
        ),
        (vec![("db", "$INCLUDE db\n")], "itself"),
        (vec![("db", "$INCLUDE one\n"), ("one", "\n$INCLUDE db\n")], "itself"),
        (vec![("db", "\n$INCLUDE none\n")], "No such file"),
        (vec![("db", "$INCLUDE /dev/zero\n")], "only regular files"),
        (vec![("db", "$INCLUDE\n")], "db:1: `$INCLUDE` has too few words"),
        (vec![("db", "$GENERATE 1-3\n")], "db:1: `$GENERATE` has too few words"),
        (vec![("db", "$GENERATE 1-70000 a$ A 10.0.0.1\n")], "db:1: `1-70000` is no range"),
        (vec![("db", "\n$GENERATE 1-3 a A 10.0.0.${\n")], "db:2: $GENERATE: a `${` is not closed"),
        (vec![("db", "$GENERATE 1-3 a A 10.0.$.999\n")], "db:1: A record: `10.0.1.999`"),
        (vec![("db", "$TTL x\n")], "db:1: `x` is no TTL"),
        (vec![("db", "$NOTHING x\n")], "db:1: `$NOTHING` is no directive"),
        (vec![("db", " A 10.0.0.1\n")], "db:1: the first record has no owner"),
        (vec![("db", "a TXT \"b\n\n")], "db:1: a quote is not closed"),
    ] {
        let fault = lines(&files).unwrap_err();
        assert!(fault.contains(said), "{files:?}: {fault}");
    }
}

#[test]
fn files_within_one_another_are_bounded_in_depth() {
    let names: Vec<String> = (0..9).map(|depth| format!("f{depth}")).collect();
    let chain = |most: usize| -> Vec<(String, String)> {
        let mut files = vec![("db".to_owned(), "$INCLUDE f0\n".to_owned())];
        files.extend((0..most).map(|at| (names[at].clone(), format!("$INCLUDE {}\n", names[at + 1]))));
        files.push((names[most].clone(), "a A 10.0.0.1\n".to_owned()));
        files
    };
    let read = |files: &[(String, String)]| {
        lines(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
    };
    assert_eq!(read(&chain(6)).unwrap().len(), 1);
    assert!(read(&chain(7)).unwrap_err().contains("more than 7 files"));
}

#[test]
fn one_line_stands_for_many() {
    let zone = "$TTL 60\n$GENERATE 1-3 host$ A 10.0.0.$\n$GENERATE 0-4/2 n-${10,3,d} 5 IN TXT \"${1} $$\"\n\
                $GENERATE 1-2 $ PTR p${0,2,x}.example.org.\n";
    assert_eq!(
        lines(&[("db", zone)]).unwrap(),
        [
            "host1.example. 60 IN A 10.0.0.1",
            "host2.example. 60 IN A 10.0.0.2",
            "host3.example. 60 IN A 10.0.0.3",
            "n-010.example. 5 IN TXT \"1 $\"",
            "n-012.example. 5 IN TXT \"3 $\"",
            "n-014.example. 5 IN TXT \"5 $\"",
            "1.example. 60 IN PTR p01.example.org.",
            "2.example. 60 IN PTR p02.example.org.",
        ]
    );
    let many = "$GENERATE 0-65535 a$ A 10.0.0.1\n".repeat(17);
    assert!(lines(&[("db", &many)]).unwrap_err().contains("more than 1048576 records"));
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_odd(text in "[ -~é\n\t]{0,60}", words in "([0-9a-zA-Z=,:./+@-]{1,9} |\"[ -~]{0,9}\" |[()] ){0,9}", number in 0_u16..300) {
        let _ = parse_line(&text, None, 60);
        let _ = parse_line(&format!("a. IN TYPE{number} {words}"), None, 60).map(|record| sent(&record));
    }
}
