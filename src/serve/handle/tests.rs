use super::super::testing::{CLIENT, query, table, with_opt};
use super::*;
use crate::wire::message::{Message, decode};

fn handler() -> Arc<Handler> {
    Arc::new(Handler::new(table().0, LoadLimits::default()))
}

fn ask(handler: &Arc<Handler>, octets: &[u8], client: Client) -> Option<Message> {
    let answer = handler.clone().answer(octets, client).now_or_never().expect("nothing waits");
    answer.map(|ChainAnswer { octets, .. }| {
        assert_eq!(octets[..2], [0x12, 0x34]);
        decode(&octets).unwrap()
    })
}

fn rcode(message: Option<Message>) -> Rcode {
    message.expect("an answer").metadata.response_code.into()
}

#[test]
fn the_chain_answers_what_no_view_does() {
    let reply = ask(&handler(), &query("n3.a.test", 1), CLIENT).unwrap();
    assert_eq!((reply.answers.len(), reply.truncation, reply.edns.is_none()), (3, false, true));
}

#[test]
fn names_without_a_block_and_foreign_classes_are_refused() {
    assert_eq!(rcode(ask(&handler(), &query("example.org", 1), CLIENT)), Rcode::REFUSED);
    let mut chaos = query("version.test", 16);
    *chaos.last_mut().unwrap() = 3;
    assert_eq!(rcode(ask(&handler(), &chaos, CLIENT)), Rcode::REFUSED);
}

#[test]
fn a_zone_without_plugins_is_refused() {
    let block = ServedBlock { zones: vec!["test".parse().unwrap()], ..ServedBlock::default() };
    let handler = Arc::new(Handler::new(RouteTable::new("dns://:53", vec![block]), LoadLimits::default()));
    assert_eq!(rcode(ask(&handler, &query("a.test", 1), CLIENT)), Rcode::REFUSED);
}

#[test]
fn answers_over_udp_are_cut_to_what_the_client_takes_and_over_tcp_are_not() {
    let plain = ask(&handler(), &query("n200.test", 1), CLIENT).unwrap();
    assert!(plain.truncation && plain.answers.len() < 32);
    let edns = ask(&handler(), &with_opt(query("n200.test", 1), 1232), CLIENT).unwrap();
    assert!(edns.truncation && (60..80).contains(&edns.answers.len()) && edns.edns.unwrap().max_payload() == 1232);
    // Without `bufsize` the client's size counts; a batch has no place for the longest of them.
    for (name, size, count) in [("n200.test", 4096, 200), ("n500.test", 9000, 500), ("n4000.test", 65_535, 4000)] {
        let whole = ask(&handler(), &with_opt(query(name, 1), size), CLIENT).unwrap();
        assert!(!whole.truncation && whole.answers.len() == count && whole.edns.unwrap().max_payload() == 1232);
    }
    let tcp = ask(&handler(), &query("n200.test", 1), Client { transport: Transport::Tcp, ..CLIENT }).unwrap();
    assert!(!tcp.truncation && tcp.answers.len() == 200);
}

#[test]
fn a_plugin_that_panics_costs_its_query_alone() {
    let before = metrics::PANICS.get();
    assert_eq!(rcode(ask(&handler(), &query("panic.test", 1), CLIENT)), Rcode::SERVFAIL);
    assert!(metrics::PANICS.get() > before);
}

#[test]
fn a_chain_that_comes_to_its_end_fails_and_one_that_drops_is_silent() {
    assert_eq!(rcode(ask(&handler(), &query("next.test", 1), CLIENT)), Rcode::SERVFAIL);
    assert!(ask(&handler(), &query("drop.test", 1), CLIENT).is_none());
}

#[test]
fn lookups_that_lead_to_themselves_end() {
    assert_eq!(rcode(ask(&handler(), &query("again.test", 1), CLIENT)), Rcode::SERVFAIL);
}

#[test]
fn responses_fragments_and_port_zero_are_met_with_silence() {
    let mut response = query("a.test", 1);
    response[2] |= 0x80;
    assert!(ask(&handler(), &response, CLIENT).is_none());
    assert!(ask(&handler(), &query("a.test", 1)[..11], CLIENT).is_none());
    let nowhere = Client { peer: "127.0.0.1:0".parse().unwrap(), ..CLIENT };
    assert!(ask(&handler(), &query("a.test", 1), nowhere).is_none());
}

#[test]
fn malformed_queries_are_told_so() {
    let mut two = query("a.test", 1);
    two[5] = 2;
    assert_eq!(rcode(ask(&handler(), &two, CLIENT)), Rcode::FORMERR);
    let mut notify = query("a.test", 1);
    notify[2] |= 0x20;
    assert_eq!(rcode(ask(&handler(), &notify, CLIENT)), Rcode::NOTIMP);
}

#[test]
fn queries_end_with_the_plan_they_began_with_and_the_next_take_the_new_one() {
    let (table, gate) = table();
    let handler = Arc::new(Handler::new(table, LoadLimits::default()));
    let asked = query("wait.test", 1);
    let mut pending = Box::pin(handler.clone().answer(&asked, CLIENT));
    assert!(pending.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
    handler.replace(RouteTable::new("dns://:53", vec![]));
    gate.add_permits(1);
    let answer = pending.now_or_never().unwrap().unwrap();
    assert_eq!(Rcode::from(decode(&answer.octets).unwrap().metadata.response_code), Rcode::NOERROR);
    assert_eq!(rcode(ask(&handler, &query("a.test", 1), CLIENT)), Rcode::REFUSED);
}
