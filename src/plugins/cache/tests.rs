use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::testing::{OneZone, block, blocks_with, fault};
use super::*;
use crate::chain::Block;
use crate::chain::setup::Carryover;
use crate::chain::testing::{Answers, Asks, message, query, query_edns, run as run_chain};
use crate::syntax::record::parse_line;
use crate::wire::Failure;
use crate::wire::message::{RecordType, ResponseCode};
use crate::zone::View;

mod cluster;

/// A cache in front of a plugin, as a block with these lines sets it up.
fn chain(lines: &str, behind: impl Plugin + 'static) -> (Vec<Arc<dyn Plugin>>, Arc<dyn Plugin>) {
    let cache = block(lines).unwrap().chain.into_iter().find(|plugin| plugin.name() == "cache").unwrap();
    let behind: Arc<dyn Plugin> = Arc::new(behind);
    (vec![cache, behind.clone()], behind)
}

fn ttls(outcome: Outcome) -> Vec<u32> {
    message(outcome).answers.iter().map(|record| record.ttl).collect()
}

/// Answers under the name of another plugin; as those of the cluster do, if it is one of them.
struct As(&'static str, Answers);

impl Plugin for As {
    fn name(&self) -> &'static str {
        self.0
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut outcome = self.1.serve(query, next).await;
            if let Outcome::Reply(reply) = &mut outcome {
                reply.plugin = self.0;
            }
            outcome
        })
    }

    fn is_of_cluster(&self) -> bool {
        matches!(self.0, "kubernetes" | "k8s_external")
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

/// Fails, and counts how often.
#[derive(Default)]
struct Fails(Arc<AtomicUsize>);

impl Plugin for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }

    fn serve<'a>(&'a self, _: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Outcome::Failed("fails", Failure::servfail("i/o timeout")) })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

fn answers() -> Answers {
    Answers::with("www.example. 300 IN A 192.0.2.1")
}

#[test]
fn the_second_query_is_answered_from_the_cache_for_whoever_asks() {
    let answers = Arc::new(answers());
    struct Shared(Arc<Answers>);
    impl Plugin for Shared {
        fn name(&self) -> &'static str {
            "shared"
        }
        fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
            self.0.serve(query, next)
        }
        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }
    }
    let (chain, _) = chain("cache 40", Shared(answers.clone()));
    assert_eq!(ttls(run_chain(&chain, &mut query("www.example.", RecordType::A))), [40]);
    let mut second = query("wWw.Example.", RecordType::A);
    second.request.change(|request| request.metadata.id = 99);
    let outcome = run_chain(&chain, &mut second);
    let Outcome::Reply(reply) = &outcome else { panic!("no reply") };
    assert_eq!(reply.plugin, "cache");
    let reply = message(outcome);
    assert_eq!((reply.metadata.id, reply.queries.clone()), (99, second.request.message().queries.clone()));
    assert_eq!(answers.asked.load(Ordering::Relaxed), 1);
    let reply = message(run_chain(&chain, &mut query_edns("www.example.", RecordType::A, 4096, true)));
    assert!(reply.edns.is_some_and(|edns| edns.flags().dnssec_ok));
    assert_eq!(answers.asked.load(Ordering::Relaxed), 2, "queries with DO are apart");
}

/// The server blocks of a Corefile, one after the other asked for `a.example.org`: who answered, and what.
fn answers_of(corefile: &str, kept: &Carryover) -> Vec<(&'static str, String)> {
    let blocks = blocks_with(corefile, &mut OneZone::default(), kept).unwrap();
    let ask = |block: &Block| match run_chain(&block.chain, &mut query("a.example.org.", RecordType::A)) {
        Outcome::Reply(mut reply) => {
            let answers = &reply.message().unwrap().answers;
            let data = answers.first().map(|record| record.data.to_string());
            (reply.plugin, data.unwrap_or_default())
        }
        other => panic!("no reply but {other:?}"),
    };
    blocks.iter().map(ask).collect()
}

fn from(plugin: &'static str, address: &str) -> (&'static str, String) {
    (plugin, address.to_owned())
}

/// A server block that answers with an address.
fn block_of(key: &str, lines: &str, address: &str) -> String {
    format!(
        "{key} {{\n{lines}\ncache 30\ntemplate IN A example.org {{\nanswer \"{{{{ .Name }}}} 60 IN A {address}\"\n}}\n}}\n"
    )
}

#[test]
fn server_blocks_that_serve_different_clients_have_a_cache_each() {
    for (one, other) in [
        ("view inside {\nexpr incidr(client_ip(), '127.0.0.2/32')\n}", ""),
        ("view a {\nexpr true\n}", "view b {\nexpr true\n}"),
        ("view a {\nexpr true\n}", "view a {\nexpr true\n}"),
        ("bind 127.0.0.11", "bind 127.0.0.12"),
    ] {
        // What stands behind the caches is alike, so that nothing but the blocks tells them apart.
        let corefile = block_of(".", one, "10.0.0.1") + &block_of(".", other, "10.0.0.1");
        let kept = Carryover::default();
        let first = [from("template", "10.0.0.1"), from("template", "10.0.0.1")];
        assert_eq!(answers_of(&corefile, &kept), first, "{one} {other}");
        assert_eq!(answers_of(&corefile, &kept), [from("cache", "10.0.0.1"), from("cache", "10.0.0.1")], "{one}");
    }
}

#[test]
fn a_reload_keeps_the_cache_as_long_as_what_stands_behind_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    std::fs::write(&path, "@ 60 IN SOA ns host 1 2 3 4 5\n").unwrap();
    let kept = Carryover::default();
    let plain = block_of(".", "", "10.0.0.1");
    assert_eq!(answers_of(&plain, &kept), [from("template", "10.0.0.1")]);
    assert_eq!(answers_of(&plain, &kept), [from("cache", "10.0.0.1")]);
    // Nothing of this changes an answer from behind the cache, where no alias leads through the whole block.
    let hosts = |lines: &str| format!(". {{\n{lines}\ncache 30\nhosts {{\n10.0.0.1 a.example.org\n}}\n}}\n");
    assert_eq!(answers_of(&hosts(""), &kept), [from("hosts", "10.0.0.1")]);
    assert_eq!(answers_of(&hosts("errors\nlog\nloadbalance"), &kept), [from("cache", "10.0.0.1")]);
    assert_eq!(answers_of(&block_of(".", "", "10.0.0.2"), &kept), [from("template", "10.0.0.2")]);
    assert_eq!(answers_of(&block_of(".:53 org", "", "10.0.0.1"), &kept), [from("template", "10.0.0.1")]);
    let lines = format!("hosts {{\n192.0.2.1 other.example.org\nfallthrough\n}}\nfile {} corp.example", path.display());
    assert_eq!(answers_of(&block_of(".", &lines, "10.0.0.1"), &kept), [from("template", "10.0.0.1")]);
}

#[test]
fn a_reload_that_names_other_upstreams_begins_a_cache_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let write = |address: &str| std::fs::write(&path, format!("nameserver {address}\n")).unwrap();
    let kept = Carryover::default();
    let setup = |to: &str, others: &str| {
        let text = format!(". {{\ncache 30\nforward . {to}\n{others}\n}}\n");
        blocks_with(&text, &mut OneZone::default(), &kept).unwrap()
    };
    // The memories in use, this one's among them.
    let memories = |blocks: &[Block]| {
        kept.sweep();
        (blocks.len(), kept.len())
    };
    let first = setup("192.0.2.53", "");
    assert_eq!(memories(&first), (1, 1));
    let second = setup("192.0.2.53", "log");
    assert_eq!(memories(&second), (1, 1), "the same");
    let third = setup("192.0.2.54", "");
    assert_eq!(memories(&third), (1, 2));
    write("192.0.2.1");
    let file = path.display().to_string();
    let fourth = setup(&file, "");
    assert_eq!(memories(&fourth), (1, 3));
    write("192.0.2.2");
    let fifth = setup(&file, "");
    assert_eq!(memories(&fifth), (1, 4));
    drop((first, second, third, fourth));
    assert_eq!(memories(&fifth), (1, 1));
}

#[test]
fn a_failure_is_remembered_for_a_moment() {
    let count = Arc::new(AtomicUsize::new(0));
    let (kept, _) = chain("cache", Fails(count.clone()));
    assert!(matches!(run_chain(&kept, &mut query("www.example.", RecordType::A)), Outcome::Failed("fails", _)));
    let reply = message(run_chain(&kept, &mut query("www.example.", RecordType::A)));
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let (unkept, _) = chain("cache {\nservfail 0s\n}", Fails(count.clone()));
    for _ in 0..2 {
        assert!(matches!(run_chain(&unkept, &mut query("www.example.", RecordType::A)), Outcome::Failed(..)));
    }
}

#[test]
fn names_outside_the_zones_pass_by() {
    let (chain, _) = chain("cache 30 example.org", answers());
    for _ in 0..2 {
        let Outcome::Reply(reply) = run_chain(&chain, &mut query("www.example.", RecordType::A)) else {
            panic!("no reply")
        };
        assert_eq!(reply.plugin, "answers");
    }
}

#[test]
fn a_denial_keeps_its_soa_and_its_rcode() {
    let denial = Answers {
        authority: vec![parse_line("example. 60 IN SOA ns.example. host.example. 1 2 3 4 20", None, 5).unwrap()],
        ..Answers::rcode(ResponseCode::NXDomain)
    };
    let (chain, _) = chain("cache", denial);
    for _ in 0..2 {
        let reply = message(run_chain(&chain, &mut query("www.example.", RecordType::A)));
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(reply.authorities[0].ttl, 20);
    }
}

/// The TTLs of what a query gets that comes so many milliseconds from now.
async fn ask_after(chain: &[Arc<dyn Plugin>], milliseconds: u64) -> Vec<u32> {
    let mut query = query("www.example.", RecordType::A);
    query.received += Duration::from_millis(milliseconds);
    ttls(Next::new(chain).run(&mut query).await)
}

#[tokio::test]
async fn a_stale_answer_is_given_at_once_and_refreshed_behind() {
    let (chain, _) =
        chain("cache {\nsuccess 9984 3600 1\nserve_stale 1h\n}", Answers::with("www.example. 1 IN A 192.0.2.1"));
    assert_eq!(ask_after(&chain, 0).await, [1]);
    assert_eq!(ask_after(&chain, 1100).await, [0]);
    tokio::time::timeout(Duration::from_secs(60), async {
        while ask_after(&chain, 1100).await != [1] {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("refreshed");
}

#[tokio::test]
async fn with_verify_the_stale_answer_is_the_second_choice() {
    /// Answers once, then fails.
    struct Once(AtomicUsize, Answers);
    impl Plugin for Once {
        fn name(&self) -> &'static str {
            "once"
        }
        fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 | 2 => self.1.serve(query, next),
                _ => Box::pin(async { Outcome::Failed("once", Failure::servfail("i/o timeout")) }),
            }
        }
        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }
    }
    for verify in ["verify", "verify 1m"] {
        let once = Once(AtomicUsize::new(0), Answers::with("www.example. 1 IN A 192.0.2.1"));
        let (chain, _) = chain(&format!("cache {{\nsuccess 9984 3600 1\nserve_stale 1h {verify}\n}}"), once);
        assert_eq!(ask_after(&chain, 0).await, [1]);
        assert_eq!(ask_after(&chain, 1100).await, [0], "{verify}: asked in vain");
        assert_eq!(ask_after(&chain, 1100).await, [1], "{verify}: asked with success");
    }
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_the_refresh_to_the_next() {
    /// Answers once, then holds the next query for ever, then answers again.
    struct Holds(AtomicUsize, Answers);
    impl Plugin for Holds {
        fn name(&self) -> &'static str {
            "holds"
        }
        fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                1 => Box::pin(std::future::pending()),
                _ => self.1.serve(query, next),
            }
        }
        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }
    }
    let holds = Holds(AtomicUsize::new(0), Answers::with("www.example. 1 IN A 192.0.2.1"));
    let (chain, _) = chain("cache {\nsuccess 9984 3600 1\nserve_stale 1h verify 0s 0s 1ms\n}", holds);
    assert_eq!(ask_after(&chain, 0).await, [1]);
    let patience = Duration::from_millis(20);
    assert!(tokio::time::timeout(patience, ask_after(&chain, 1100)).await.is_err(), "it gives up");
    assert_eq!(ask_after(&chain, 60_000).await, [1], "refreshed by the next");
}

#[test]
fn options_are_read() {
    let options = "cache 100 example.org {\nsuccess 2048 40\ndenial 100 20 2\nservfail 10s\nprefetch 5 2m 20%\n\
                   serve_stale 30m verify 1s 30s 5s\nserve_stale_policy prefer_positive\ndisable success a.example\nkeepttl\n}";
    let block = block(options).unwrap();
    assert_eq!(block.chain.len(), 1);
    assert!(block.chain[0].needs_message(&["cluster.local".parse().unwrap()]).is_none());
}

#[test]
fn wrong_options_are_refused_at_their_word() {
    for (text, at) in [
        ("cache -30", "2:7"),
        ("cache 0", "2:7"),
        ("cache {\nsuccess\n}", "3:1"),
        ("cache {\nsuccess many\n}", "3:9"),
        ("cache {\nsuccess 100 0\n}", "3:13"),
        ("cache {\ndenial 100 10 -1\n}", "3:15"),
        ("cache {\nprefetch 10 1m 95%\n}", "3:16"),
        ("cache {\nprefetch 10 1m 9\n}", "3:16"),
        ("cache {\nprefetch -1\n}", "3:10"),
        ("cache {\nserve_stale forever\n}", "3:13"),
        ("cache {\nserve_stale 1h sometimes\n}", "3:16"),
        ("cache {\nserve_stale 1h immediate 1500ms\n}", "3:26"),
        ("cache {\nserve_stale_policy prefer_positive\n}", "3:1"),
        ("cache {\nserve_stale 1h\nserve_stale_policy whatever\n}", "4:20"),
        ("cache {\nservfail 10m\n}", "3:10"),
        ("cache {\ndisable all\n}", "3:9"),
        ("cache {\nkeepttl yes\n}", "3:9"),
        ("cache {\nsize 3\n}", "3:1"),
        ("cache\ncache", "3:1"),
    ] {
        let said = fault(text);
        assert!(said.starts_with(&format!("Corefile:{at}: ")), "{text}: {said}");
    }
}

#[test]
fn all_metrics_can_be_registered() {
    register(&prometheus::Registry::new()).unwrap();
}
