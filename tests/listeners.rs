//! Encrypted listeners of the built binary: certificates with their faults and renewals, and clients of other makers.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use rollcall_testing::tls::renew as certificate;
use rollcall_testing::{PATIENCE, Server, folder, free_port, get, queries, run, skip, tls, wait_for};

/// Asks for an address over TLS, trusting one certificate alone.
fn ask(port: u16, trusted: &str) -> Option<Vec<u8>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).ok()?;
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = tls::connect(&tls::trusting(trusted), tcp).ok()?;
    queries::send(&mut stream, &queries::query(7, "a.example", queries::A)).ok()?;
    queries::receive(&mut stream).ok()
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_with_its_place() {
    let folder = folder("tls://.:8853 {\n    bind 127.0.0.1\n    tls missing.crt a.key\n    whoami\n}\n");
    certificate(folder.path(), "a");
    certificate(folder.path(), "b");
    let said = |arguments: &[&str]| {
        let (status, _, said) = run(arguments, folder.path());
        assert_eq!(status, Some(2), "{said}");
        said
    };
    assert!(said(&[]).contains("Corefile:3:9: the certificate missing.crt cannot be read"));
    assert!(
        said(&["check", "--here", "Corefile"]).contains("Corefile:3:9: the certificate missing.crt cannot be read")
    );
    fs::write(folder.path().join("Corefile"), "tls://.:8853 {\n    tls a.crt b.key\n    whoami\n}\n").unwrap();
    assert!(said(&[]).contains("Corefile:2:15: the key b.key is not that of the certificate a.crt"));
    fs::write(folder.path().join("Corefile"), "https://.:8853 {\n    whoami\n}\n").unwrap();
    assert!(said(&[]).contains("Corefile:1:1: a listener for https:// needs a certificate"));
}

#[test]
fn a_renewed_certificate_is_used_on_a_signal_and_by_the_reload_directive() {
    let (port, metrics) = (free_port(), free_port());
    let text = |more: &str| {
        format!(
            "tls://.:{port} {{\n bind 127.0.0.1\n tls a.crt a.key\n {more}\n prometheus 127.0.0.1:{metrics}\n whoami\n}}\n"
        )
    };
    let folder = folder(&text(""));
    let first = certificate(folder.path(), "a");
    let server = Server::start(&[], folder.path());
    wait_for(|| ask(port, &first).is_some(), || format!("an answer over TLS: {}", server.said()));

    let second = certificate(folder.path(), "a");
    assert!(ask(port, &second).is_none(), "nobody has read it yet");
    server.signal("USR1");
    wait_for(|| ask(port, &second).is_some(), || format!("the second certificate: {}", server.said()));
    assert!(ask(port, &first).is_none(), "the first one is gone");

    // A certificate without its key keeps the one in use.
    fs::write(folder.path().join("a.key"), "nothing\n").unwrap();
    server.signal("USR1");
    server.until("Corefile:3:12: the key a.key holds no private key");
    assert!(ask(port, &second).is_some());
    assert!(get(metrics, "/metrics").unwrap().1.contains("\ncoredns_reload_failed_total 1\n"));

    certificate(folder.path(), "a");
    fs::write(folder.path().join("Corefile"), text("reload 2s 0s")).unwrap();
    server.signal("USR1");
    wait_for(|| server.said().matches("Reloading complete").count() == 2, || server.said());
    let fourth = certificate(folder.path(), "a");
    wait_for(|| ask(port, &fourth).is_some(), || format!("the certificate to be noticed: {}", server.said()));
}

#[test]
fn clients_of_other_makers_are_answered() {
    let (tls, https, quic) = (free_port(), free_port(), free_port());
    let folder = folder(&format!(
        "tls://.:{tls} https://.:{https} quic://.:{quic} {{
    bind 127.0.0.1
    tls a.crt a.key
    hosts {{
        192.0.2.7 a.example
    }}
}}
"
    ));
    let trusted = certificate(folder.path(), "a");
    let server = Server::start(&[], folder.path());
    server.until("CoreDNS-");
    assert!(ask(tls, &trusted).is_some());
    for (program, port, way) in [
        ("kdig", tls, "+tls"),
        ("kdig", https, "+https"),
        ("kdig", https, "+https-get"),
        ("kdig", quic, "+quic"),
        ("dig", tls, "+tls"),
        ("dig", https, "+https"),
        ("dig", https, "+https-get"),
    ] {
        let port = port.to_string();
        let arguments = ["@127.0.0.1", "-p", &port, way, "+short", "a.example"];
        let Ok(output) = Command::new(program).args(arguments).output() else {
            skip(format_args!("no {program} on the path: {way} is not tried"));
            continue;
        };
        let (said, fault) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success()
            && (fault.to_lowercase().contains("invalid option") || said.contains("Invalid option"))
        {
            skip(format_args!("this {program} does not know {way}"));
            continue;
        }
        assert_eq!(said.trim(), "192.0.2.7", "{program} {way}: {fault}");
    }
}
