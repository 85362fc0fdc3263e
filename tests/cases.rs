//! The case file: questions to a cluster of manifests, whole answers compared.

#![expect(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::BTreeMap;
use std::fs;

use rollcall::cluster::IndexSettings;
use rollcall::cluster::facts::Fact;
use rollcall::wire::Ttl;
use rollcall::zone::{Answered, Fallthrough, Pods, View};
use rollcall_testing::repository;
use rollcall_testing::world::{World, ask, labels, names, same};
use serde::Deserialize;

const CHASE: &str = "another server is asked for the target: the chain does that";
const NEXT: &str = "the next plugin answers";
const CLASS: &str = "the class is looked at before the zone is";

/// Cases that need more than the zone, by the reason.
const SKIPPED: &[(&str, &[&str])] = &[
    (CHASE, &["main-43", "ci-26", "code-28", "code-38", "code-39", "code-40"]),
    (NEXT, &["ci-27", "ci-28", "code-71"]),
    (CLASS, &["code-69"]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    set: Vec<String>,
    #[serde(default)]
    cfg: Config,
    state: Option<String>,
    q: String,
    t: String,
    rcode: String,
    #[serde(default = "yes")]
    aa: bool,
    #[serde(default)]
    tc: bool,
    #[serde(default)]
    an: Vec<String>,
    #[serde(default)]
    ex: Vec<String>,
    #[serde(default)]
    ns: Vec<String>,
    soa: Option<String>,
    /// What a server outside of the cluster answers.
    #[serde(rename = "up")]
    _up: Option<serde_json::Value>,
    /// Read by people.
    #[serde(rename = "differs")]
    _differs: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    zones: Option<Vec<String>>,
    ttl: Option<u32>,
    pods: Option<String>,
    namespaces: Option<Vec<String>>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    zonal: bool,
    #[serde(default)]
    endpoint_pod_names: bool,
    #[serde(default)]
    noendpoints: bool,
    fallthrough: Option<Vec<String>>,
    #[serde(rename = "localIPs")]
    local: Option<Vec<std::net::IpAddr>>,
    /// What is behind the zone.
    #[serde(rename = "next")]
    _next: Option<String>,
    qclass: Option<String>,
    multicluster: Option<Vec<String>>,
    /// Cluster records never pass through a cache, so that this changes nothing.
    #[serde(rename = "cache")]
    _cache: Option<String>,
}

fn yes() -> bool {
    true
}

impl Case {
    /// Why the zone alone cannot answer this.
    fn skipped(&self) -> Option<&'static str> {
        SKIPPED.iter().find(|(_, ids)| ids.contains(&&*self.id)).map(|(reason, _)| *reason)
    }

    fn world(&self, fixture: &str) -> World {
        let settings = IndexSettings {
            endpoint_pod_names: self.cfg.endpoint_pod_names,
            zonal: self.cfg.zonal,
            ..IndexSettings::default()
        };
        let mut world = World::new(settings);
        let is_of = |document: &&str| {
            let set = document.split_once("fixture/set: ").map(|(_, rest)| rest);
            let set = set.and_then(|rest| rest.split(['}', ',', '\n']).next()).unwrap_or_default();
            set == "common" || self.set.iter().any(|own| own == set)
        };
        let manifests: Vec<_> = fixture.split("\n---\n").filter(is_of).collect();
        let mut facts = world.facts(&manifests.join("\n---\n"));
        facts.extend(World::imports(&manifests));
        if self.cfg.noendpoints {
            facts.retain(|fact| !matches!(fact, Fact::Slice(_)));
        }
        if self.state.is_some() {
            world.receive(facts);
        } else {
            world.list(&facts);
        }
        world
    }

    fn view(&self, world: &World) -> View {
        let list = |texts: &[String]| names(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let config = &self.cfg;
        View {
            zones: config.zones.as_deref().map_or_else(|| names(&["cluster.local."]), list),
            multicluster: config.multicluster.as_deref().map_or_else(Vec::new, list),
            ttl: Ttl::from_secs(config.ttl.unwrap_or(5)),
            pods: match config.pods.as_deref() {
                None | Some("disabled") => Pods::Disabled,
                Some("insecure") => Pods::Insecure,
                Some("verified") => Pods::Verified,
                Some(other) => panic!("pods {other}"),
            },
            namespaces: config
                .namespaces
                .as_ref()
                .map(|own| labels(&own.iter().map(String::as_str).collect::<Vec<_>>())),
            ignore_empty: config.ignore.iter().any(|word| word == "empty_service"),
            zonal: config.zonal,
            bounds: None,
            fallthrough: config.fallthrough.as_deref().map_or(Fallthrough::None, |own| Fallthrough::Zones(list(own))),
            local: config.local.clone().unwrap_or_else(|| vec![[127, 0, 0, 1].into()]),
            ..world.view()
        }
    }

    /// What is wrong with the answer.
    fn check(&self, fixture: &str) -> Vec<String> {
        let world = self.world(fixture);
        let reply = match ask(&self.view(&world), &self.q, &self.t) {
            Ok(reply) => reply,
            Err(other) => return vec![format!("{other:?}, expected {}", self.rcode)],
        };
        let mut wrong = Vec::new();
        if reply.rcode != self.rcode {
            wrong.push(format!("{}, expected {}", reply.rcode, self.rcode));
        }
        if (reply.authoritative, reply.truncated) != (self.aa, self.tc) {
            wrong.push(format!("AA {} TC {}", reply.authoritative, reply.truncated));
        }
        let ttl = self.cfg.ttl.unwrap_or(5);
        let mut authority = self.ns.clone();
        authority.extend(self.soa.as_ref().map(|owner| {
            let negative = ttl.min(300);
            format!("{owner} {negative} SOA ns.dns.{owner} hostmaster.{owner} * 7200 1800 86400 {ttl}")
        }));
        let sections = [
            ("answer", &self.an, &reply.answers),
            ("authority", &authority, &reply.authority),
            ("additional", &self.ex, &reply.additional),
        ];
        for (section, expected, found) in sections {
            if !same(expected, found) {
                wrong.push(format!("{section} {found:?}, expected {expected:?}"));
            }
        }
        wrong
    }
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(repository("tests/fixtures/queries.jsonl")).unwrap();
    // The first line says what the fields mean.
    text.lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn every_case_holds_that_the_zone_alone_can_answer() {
    let fixture = fs::read_to_string(repository("tests/fixtures/cluster.yaml")).unwrap();
    let cases: Vec<_> = cases().into_iter().filter(|case| case.skipped().is_none()).collect();
    assert!(cases.len() > 100);
    let mut wrong = Vec::new();
    for case in &cases {
        for what in case.check(&fixture) {
            wrong.push(format!("{} {} {}: {what}", case.id, case.q, case.t));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n{} of {} cases", wrong.join("\n"), wrong.len(), cases.len());
}

#[test]
fn the_skipped_cases_are_just_those_that_need_more_than_the_zone() {
    let fixture = fs::read_to_string(repository("tests/fixtures/cluster.yaml")).unwrap();
    let mut skipped: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in cases() {
        let reason = if case.cfg.qclass.is_some() {
            CLASS
        } else {
            match ask(&case.view(&case.world(&fixture)), &case.q, &case.t) {
                Ok(_) => continue,
                Err(Answered::Chase { .. }) => CHASE,
                Err(_) => NEXT,
            }
        };
        skipped.entry(reason).or_default().push(case.id);
    }
    for (reason, named) in SKIPPED {
        assert_eq!(skipped.remove(reason).unwrap_or_default(), *named, "{reason}");
    }
}
