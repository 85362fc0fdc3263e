//! The log as operators read it and as clients would like to write it: text and JSON, each line one line of the server's own.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use rollcall_testing::{PATIENCE, Server, answer, folder, free_port, queries, run, wait_for};
use serde_json::{Value, json};

/// A query for a name of any octets, label by label, with CD set; and what follows the question.
fn query(labels: &[&[u8]], additional: &[u8]) -> Vec<u8> {
    let mut octets = queries::of_labels(0x1234, labels, queries::A);
    octets[3] = 0x10;
    octets[11] = u8::from(!additional.is_empty());
    octets.extend_from_slice(additional);
    octets
}

fn send_udp(port: u16, query: &[u8]) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(query, ("127.0.0.1", port)).unwrap();
    client.recv(&mut [0; 2048]).expect("an answer");
}

fn send_tcp(port: u16, query: &[u8]) {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    queries::send(&mut client, query).unwrap();
    queries::receive(&mut client).expect("an answer");
}

/// Names that try to be more than names.
fn odd_names() -> Vec<Vec<Vec<u8>>> {
    let of = |labels: &[&[u8]]| labels.iter().map(|label| label.to_vec()).collect();
    vec![
        of(&[b"a\n[ERROR] plugin/fake: pwned", b"default", b"svc", b"cluster", b"local"]),
        of(&[b"\0\x01\x1b[2J\r\x7f", b"test"]),
        of(&["é\u{2028}\u{202e}".as_bytes(), b"\xff\xfe", b"test"]),
        of(&[b"\"},{\"level\":\"FATAL\"", b"q'u\\o;t(e)@ $", b"d.t"]),
        of(&[&[b'\n'; 63], &[b'"'; 63], &[b'\\'; 63], &[0; 61]]),
    ]
}

#[test]
fn no_name_forges_a_line_in_text_or_in_json() {
    for format in ["text", "json"] {
        let port = free_port();
        let folder = folder(&format!(
            ".:{port} {{\n bind 127.0.0.1\n metadata\n errors\n \
             log . \"<{{name}} svc={{/kubernetes/service}} {{/log/class}} {{common}}>\"\n \
             kubernetes cluster.local {{\n  endpoint http://127.0.0.1:9\n  fallthrough\n }}\n hosts /dev/null.not\n}}\n"
        ));
        let server = Server::start(&["-log-format", format, "-quiet"], folder.path());
        answer(port, "first.test.", RecordType::A);
        for labels in odd_names() {
            let labels: Vec<&[u8]> = labels.iter().map(Vec::as_slice).collect();
            send_udp(port, &query(&labels, b""));
            send_tcp(port, &query(&labels, b""));
        }
        answer(port, "last.test.", RecordType::A);
        // `errors` stands before `log`, so its line is the last.
        server.until("2 last.test. A: ");
        let said = server.said();
        assert_eq!(said.matches("[ERROR] plugin/fake").count(), 0, "{said}");
        assert!(
            !said.contains(|c: char| c.is_control() && c != '\n') && !said.contains(['\u{2028}', '\u{202e}']),
            "{said}"
        );
        let wanted = r"svc=a\010[error]\ plugin/fake:\ pwned ";
        match format {
            "text" => {
                assert!(said.lines().all(|line| line.starts_with('[') && line.len() < 8192), "{said}");
                assert_eq!(said.matches(wanted).count(), 2, "{said}");
                assert_eq!(said.lines().filter(|line| line.starts_with("[INFO] <")).count(), 12, "{said}");
                assert_eq!(
                    said.lines().filter(|line| line.starts_with("[ERROR] plugin/errors: ")).count(),
                    12,
                    "{said}"
                );
            }
            _ => {
                let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
                assert!(lines.iter().all(|line| line["time"].is_string() && line["level"] != "FATAL"), "{said}");
                let queries: Vec<&Value> = lines.iter().filter(|line| line["plugin"] == "log").collect();
                assert_eq!(queries.len(), 12, "{said}");
                assert!(queries.iter().any(|line| line["msg"].as_str().unwrap().contains(wanted)), "{said}");
                assert_eq!(queries.iter().filter(|line| line["protocol"] == "tcp").count(), 5);
                assert!(
                    queries
                        .iter()
                        .any(|line| line["qname"] == r#"\"},{\"level\":\"fatal\".q\'u\\o\;t\(e\)\@\ $.d\.t."#)
                );
            }
        }
    }
}

#[test]
fn a_query_is_an_object_with_its_fields() {
    let port = free_port();
    let folder = folder(&format!(
        ".:{port} {{\n bind 127.0.0.1\n log\n errors\n acl drop.test {{\n  drop\n }}\n hosts /dev/null.not {{\n  192.0.2.1 a.test\n }}\n}}\n"
    ));
    let server = Server::start(&["-log-format=json"], folder.path());
    assert_eq!(answer(port, "a.test.", RecordType::A).answers.len(), 1);
    assert_eq!(answer(port, "b.test.", RecordType::A).metadata.response_code, ResponseCode::ServFail);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let opt = b"\0\0\x29\x10\0\0\0\x80\0\0\0";
    client.send_to(&query(&[b"x", b"drop", b"test"], opt), ("127.0.0.1", port)).unwrap();
    server.until("x.drop.test.");
    let said = server.said();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |name: &str| lines.iter().find(|line| line["plugin"] == "log" && line["qname"] == name).unwrap();
    let (good, failed, dropped) = (of("a.test."), of("b.test."), of("x.drop.test."));
    for (line, field, value) in [
        (good, "level", json!("INFO")),
        (good, "client_ip", json!("127.0.0.1")),
        (good, "qtype", json!("A")),
        (good, "qclass", json!("IN")),
        (good, "protocol", json!("udp")),
        (good, "opcode", json!(0)),
        (good, "rcode", json!("NOERROR")),
        (good, "response_size", json!(24 + 22)),
        (failed, "rcode", json!("SERVFAIL")),
        (failed, "response_size", json!(24)),
        (dropped, "rcode", Value::Null),
        (dropped, "response_size", json!(0)),
        (dropped, "id", json!(0x1234)),
        (dropped, "request_size", json!(12 + 13 + 4 + 11)),
        (dropped, "dnssec_ok", json!(true)),
        (dropped, "bufsize", json!(4096)),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert!(good["client_port"].is_u64() && good["duration_seconds"].is_f64(), "{good}");
    assert!(good["msg"].as_str().unwrap().contains("\"A IN a.test. udp "), "{good}");
    let told = lines.iter().find(|line| line["plugin"] == "errors").unwrap();
    assert_eq!(told["level"], "ERROR");
    assert!(lines.iter().any(|line| line["msg"].as_str().unwrap().contains("CoreDNS-1.15.0")), "{said}");
}

#[test]
fn the_last_word_of_a_start_that_fails_is_an_object_too() {
    let folder = folder(". {\n nosuch\n}\n");
    let (status, out, said) = run(&["-log-format=json"], folder.path());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    let read: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(read["level"], "FATAL");
    assert!(read["msg"].as_str().unwrap().starts_with("Corefile:2:2: unknown directive"), "{said}");
}

/// A library that finds a packet odd says so in up to 20 kB; nobody asked.
#[test]
fn packets_that_the_codec_finds_odd_write_nothing() {
    let port = free_port();
    let folder = folder(&format!(".:{port} {{\n bind 127.0.0.1\n whoami\n}}\n"));
    let server = Server::start(&[], folder.path());
    // The last line of the start: the log may be written later than the first answer.
    server.until("Running configuration SHA512");
    answer(port, "first.test.", RecordType::A);
    let before = server.said().lines().count();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let length = 3900_u16;
    let mut opt = b"\0\0\x29\x04\xd0\0\0\0\0".to_vec();
    opt.extend((4 + length).to_be_bytes());
    opt.extend(65_001_u16.to_be_bytes());
    opt.extend((length + 1).to_be_bytes());
    opt.extend(vec![0xff; usize::from(length)]);
    client.connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    for round in 0..50 {
        client.send(&query(&[b"a", b"test"], &opt)).unwrap();
        // One socket is answered in order, so the one before is done with. A server that gets no time has no room for
        // many, and loses what comes then: it is asked again.
        let mut last = query(&[b"last", b"test"], b"");
        last[0] = 0x77;
        last[1] = round;
        let mut answer = [0; 2048];
        let is_answered = || {
            client.send(&last).unwrap();
            while client.recv(&mut answer).is_ok() {
                if answer[..2] == last[..2] {
                    return true;
                }
            }
            false
        };
        wait_for(is_answered, || format!("an answer behind packet {round}"));
    }
    // What is said from now on stands behind what they had said.
    server.signal("USR1");
    server.until("Reloading\n");
    let said = server.said();
    assert!(said.lines().nth(before).is_some_and(|line| line.ends_with("Reloading")), "{said}");
}
