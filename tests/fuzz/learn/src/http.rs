//! Bodies and paths over HTTP: questions of clients, refusals of an API server.

use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use rollcall::cluster::facts::{Status, json, protobuf};
use rollcall::fuzzing;
use rollcall::wire::{Records, Rtype};
use serde_json::Value;

use crate::octets::Drawn;

/// The message in a path is the one that was put in; the age of an answer is that of its first record to end; a refusal says the
/// same in JSON as an ordinary reader finds in it, and the same in protobuf.
pub fn http(octets: &[u8]) {
    let mut drawn = Drawn::new(octets);
    match drawn.below(4) {
        0 => carried(drawn.rest()),
        1 => path(&String::from_utf8_lossy(drawn.rest())),
        2 => age(drawn.rest()),
        _ => refusal(drawn.rest()),
    }
}

fn carried(message: &[u8]) {
    let uri = format!("a=b&dns={}", BASE64URL_NOPAD.encode(message));
    let expected = if message.len() < 12 { Err(400) } else { Ok(message.to_vec()) };
    assert_eq!(fuzzing::message_of_uri(&uri), expected);
    // RFC 8484 section 6: without padding.
    let padded = BASE64URL.encode(message);
    if padded.ends_with('=') {
        assert_eq!(fuzzing::message_of_uri(&format!("dns={padded}")), Err(400));
    }
}

fn path(uri: &str) {
    match fuzzing::message_of_uri(uri) {
        Ok(message) => {
            let value = uri.split('&').filter_map(|pair| pair.strip_prefix("dns=")).collect::<Vec<_>>();
            assert_eq!(value, [BASE64URL_NOPAD.encode(&message)], "one spelling of one message");
            assert!((12..=4096).contains(&message.len()));
        }
        Err(status) => assert!(matches!(status, 400 | 413), "{status}"),
    }
}

fn age(answer: &[u8]) {
    let age = fuzzing::age(answer);
    assert!(age <= 3600);
    let Ok(records) = Records::new(answer) else { return assert_eq!(age, 0) };
    let ttls: Option<Vec<u32>> = records
        .filter(|record| record.as_ref().map_or(true, |record| record.rtype != Rtype::OPT))
        .map(|record| Some(record.ok()?.ttl))
        .collect();
    match ttls {
        // What cannot be read to its end is not kept.
        None => assert_eq!(age, 0),
        Some(ttls) => assert_eq!(age, ttls.into_iter().min().unwrap_or(5).min(3600)),
    }
}

fn refusal(body: &[u8]) {
    let found = json::status(body);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let (Some(found), Ok(Value::Object(value))) = (&found, serde_json::from_slice::<Value>(body)) {
        assert_eq!(value.get("kind").map(text).as_deref(), Some("Status"));
        let field = |name: &str| value.get(name).map(text).unwrap_or_default();
        assert_eq!((&found.reason, &found.message), (&field("reason"), &field("message")));
        assert_eq!(u64::from(found.code), value.get("code").and_then(Value::as_u64).unwrap_or(0));
        let Status { code, reason, message } = found;
        let again =
            serde_json::json!({"kind": "Status", "code": code, "reason": reason, "message": message, "status": ""});
        assert_eq!(json::status(again.to_string().as_bytes()).as_ref(), Some(found));
        assert_eq!(protobuf::status(&rollcall_testing::protobuf::status(&again)).as_ref(), Some(found));
    }
    protobuf::status(body);
    protobuf::status(&[b"k8s\0", body].concat());
}
