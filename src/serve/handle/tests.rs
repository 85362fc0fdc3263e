use super::super::testing::{CLIENT, plan, query, with_opt};
use super::*;
use crate::plugins::testing::{OneZone, block_with};
use crate::wire::message::decode;

fn handler() -> Arc<Handler> {
    Arc::new(Handler::new(plan().0, 4))
}

fn ask(handler: &Arc<Handler>, octets: &[u8], client: Client) -> Option<Message> {
    let answer = handler.clone().answer(octets, client).now_or_never().expect("nothing waits");
    answer.map(|Answer { octets, .. }| {
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
    let block = Block { zones: vec!["test".parse().unwrap()], ..Block::default() };
    let handler = Arc::new(Handler::new(Plan::new("dns://:53", vec![block]), 4));
    assert_eq!(rcode(ask(&handler, &query("a.test", 1), CLIENT)), Rcode::REFUSED);
}

#[test]
fn answers_over_udp_are_cut_to_what_the_client_takes_and_over_tcp_are_not() {
    let plain = ask(&handler(), &query("n200.test", 1), CLIENT).unwrap();
    assert!(plain.truncation && plain.answers.len() < 32);
    let edns = ask(&handler(), &with_opt(query("n200.test", 1), 4096), CLIENT).unwrap();
    assert!(edns.truncation && (60..80).contains(&edns.answers.len()) && edns.edns.unwrap().max_payload() == 1232);
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
    let (plan, gate) = plan();
    let handler = Arc::new(Handler::new(plan, 4));
    let asked = query("wait.test", 1);
    let mut pending = Box::pin(handler.clone().answer(&asked, CLIENT));
    assert!(pending.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
    handler.replace(Plan::new("dns://:53", vec![]));
    gate.add_permits(1);
    let answer = pending.now_or_never().unwrap().unwrap();
    assert_eq!(Rcode::from(decode(&answer.octets).unwrap().metadata.response_code), Rcode::NOERROR);
    assert_eq!(rcode(ask(&handler, &query("a.test", 1), CLIENT)), Rcode::REFUSED);
}

//----------- Remembered answers ---------------------------------------------

/// The plan of a server block with these lines; its cluster is empty and synced.
fn plan_of(lines: &str) -> Plan {
    let (mut publisher, _) = crate::zone::pair();
    publisher.set_synced();
    let mut cluster = OneZone { publisher: Some(publisher), ..OneZone::default() };
    let set_up = block_with(lines, &mut cluster).unwrap();
    let views = set_up.fast().into_iter().collect();
    let chain = set_up.chain.iter().cloned().collect();
    Plan::new("dns://:53", vec![Block { zones: vec![Name::root()], views, chain, ..Block::default() }])
}

const HOSTS: &str =
    "hosts {\n 192.0.2.1 www.example.org\n 192.0.2.2 www.example.org\n 192.0.2.3 www.example.org\n ttl 600\n }";

/// What is answered without the chain.
fn recalled(handler: &Handler, octets: &[u8], transport: Transport, seed: u64) -> Option<Vec<u8>> {
    let plan = handler.plan();
    let Parsed::Query(question) = parse(octets) else { panic!("a query of ours is well-formed") };
    let client = Client { transport, ..CLIENT };
    let arrived = Arrived { octets, client, received: Instant::now(), shard: ShardId::SHARED, seed };
    let mut buffer = [0; 4096];
    let (len, rcode, plugin) = at_once(plan.route(0).unwrap(), &question, &arrived, &mut buffer)?;
    assert_eq!((rcode, plugin), (Rcode::NOERROR, "cache"));
    Some(buffer[..len].to_vec())
}

#[test]
fn a_remembered_answer_is_what_the_chain_gives_and_needs_no_chain() {
    let corefile = format!("errors\n cache 300\n {HOSTS}");
    let handler = Arc::new(Handler::new(plan_of(&corefile), 4));
    let plain = query("Www.Example.org", 1);
    assert_eq!(recalled(&handler, &plain, Transport::Udp, 1), None);
    ask(&handler, &plain, CLIENT).unwrap();
    for octets in [plain.clone(), with_opt(plain.clone(), 1232), query("www.example.ORG", 1)] {
        let by_memory = recalled(&handler, &octets, Transport::Udp, 1).unwrap();
        // A name that memory does not know takes the chain, whose cache has the same answer.
        let by_chain = Arc::new(Handler::new(plan_of(&corefile.replace("errors", "errors\n log")), 4));
        assert_eq!(recalled(&by_chain, &octets, Transport::Udp, 1), None);
        ask(&by_chain, &octets, CLIENT).unwrap();
        let chained = by_chain.answer(&octets, CLIENT).now_or_never().unwrap().unwrap().octets;
        let (mut a, mut b) = (decode(&by_memory).unwrap(), decode(&chained).unwrap());
        a.answers.sort_by_key(|record| record.data.to_string());
        b.answers.sort_by_key(|record| record.data.to_string());
        assert_eq!(a, b);
        assert_eq!(chained.len(), by_memory.len());
    }
}

#[test]
fn a_remembered_answer_gets_a_random_order_where_loadbalance_says_so() {
    for (loadbalance, orders) in [("loadbalance", 6), ("", 1)] {
        let corefile = format!("{loadbalance}\n cache 300\n {HOSTS}");
        let handler = Arc::new(Handler::new(plan_of(&corefile), 4));
        ask(&handler, &query("www.example.org", 1), CLIENT).unwrap();
        let seen: std::collections::BTreeSet<Vec<u8>> = (0..200)
            .map(|seed| recalled(&handler, &query("www.example.org", 1), Transport::Tcp, seed * 7777).unwrap())
            .collect();
        assert_eq!(seen.len(), orders);
    }
}

#[test]
fn the_chain_sees_to_remembered_answers_that_something_in_front_looks_at() {
    for (lines, name) in [
        ("log", "www.example.org"),
        ("acl {\n block net 203.0.113.0/24\n }", "www.example.org"),
        ("loadbalance round_robin {\n prefer 10.0.0.0/8\n }", "www.example.org"),
        // A name of the cluster's zones is for its plugin, even if it is remembered from before.
        ("kubernetes example.org {\n fallthrough\n }", "www.example.org"),
    ] {
        let handler = Arc::new(Handler::new(plan_of(&format!("{lines}\n cache 300\n {HOSTS}")), 4));
        ask(&handler, &query(name, 1), CLIENT).unwrap();
        assert_eq!(recalled(&handler, &query(name, 1), Transport::Udp, 1), None, "{lines}");
    }
}

#[test]
fn a_remembered_answer_too_long_for_the_client_is_left_to_the_chain() {
    let hosts: String = (0..100).map(|last| format!(" 192.0.2.{last} many.example.org\n")).collect();
    let corefile = format!("cache 300\n hosts {{\n{hosts} ttl 600\n }}");
    let handler = Arc::new(Handler::new(plan_of(&corefile), 4));
    let octets = query("many.example.org", 1);
    ask(&handler, &octets, CLIENT).unwrap();
    assert_eq!(recalled(&handler, &octets, Transport::Udp, 1), None);
    assert_eq!(decode(&recalled(&handler, &octets, Transport::Tcp, 1).unwrap()).unwrap().answers.len(), 100);
    assert!(ask(&handler, &octets, CLIENT).unwrap().truncation);
}
