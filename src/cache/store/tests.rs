use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::cache::{Prefetch, Stale};
use crate::wire::{Class, Edns, Flags, Name, OwnEdns, Records};

const ID: u16 = 0x1234;

fn wire(name: &str) -> Vec<u8> {
    name.parse::<Name>().unwrap().as_wire().to_vec()
}

fn ask(qname: &[u8]) -> Ask<'_> {
    Ask {
        id: ID,
        flags: Flags::RD,
        qname,
        spelling: qname,
        qtype: Rtype::A,
        qclass: Class::IN,
        edns: None,
        own: OwnEdns::DEFAULT,
    }
}

/// A record with a pointer to the question as its owner.
fn record(rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    owned(&[0xc0, 12], rtype, ttl, rdata)
}

fn owned(owner: &[u8], rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let mut out = owner.to_vec();
    out.extend(rtype.to_be_bytes());
    out.extend([0, 1]);
    out.extend(ttl.to_be_bytes());
    out.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
    out.extend(rdata);
    out
}

fn soa(ttl: u32, minimum: u32) -> Vec<u8> {
    let mut rdata = vec![0, 0];
    for number in [1, 7200, 1800, 86400, minimum] {
        rdata.extend(u32::to_be_bytes(number));
    }
    owned(&[0], 6, ttl, &rdata)
}

fn reply(ask: &Ask<'_>, flags: u16, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
    let mut out = ask.id.to_be_bytes().to_vec();
    out.extend((0x8000 | flags).to_be_bytes());
    out.extend([0, 1]);
    sections.iter().for_each(|section| out.extend(u16::try_from(section.len()).unwrap().to_be_bytes()));
    out.extend(ask.spelling);
    out.extend(ask.qtype.to_be_bytes());
    out.extend(ask.qclass.to_be_bytes());
    out.extend(sections.concat().concat());
    out
}

fn address(ask: &Ask<'_>, ttl: u32, last: u8) -> Vec<u8> {
    reply(ask, 0x0180, [&[record(1, ttl, &[192, 0, 2, last])], &[], &[]])
}

fn cache(change: impl FnOnce(&mut CacheSettings)) -> Cache {
    let mut settings = CacheSettings::default();
    change(&mut settings);
    Cache::new(settings)
}

fn look(cache: &Cache, ask: &Ask<'_>, now: Instant) -> Option<(Hit, Vec<u8>)> {
    let mut buffer = vec![0; 65_535];
    let hit = cache.lookup(ask, now, Room::WHOLE, &mut buffer)?;
    buffer.truncate(hit.len);
    Some((hit, buffer))
}

fn ttls(message: &[u8]) -> Vec<u32> {
    Records::new(message)
        .unwrap()
        .map(Result::unwrap)
        .filter(|one| one.rtype != Rtype::OPT)
        .map(|one| one.ttl)
        .collect()
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// RFC 7871 section 7.3.1: an answer with a scope is for the networks within it; others want another.
#[test]
fn an_answer_for_some_networks_is_not_remembered() {
    let qname = wire("www.example");
    let ask = ask(&qname);
    let now = Instant::now();
    let with = |options: &[u8]| {
        let opt = owned(&[0], 41, 0, options);
        let cache = cache(|_| {});
        let verdict = cache.store(&ask, &reply(&ask, 0x0180, [&[record(1, 60, &[192, 0, 2, 1])], &[], &[opt]]), now);
        assert_eq!(verdict.kept, look(&cache, &ask, now).is_some(), "{options:?}");
        verdict.kept
    };
    let subnet = |family: u8, scope: u8| [&[0, 8, 0, 7, 0, family, 24, scope][..], &[192, 0, 2]].concat();
    let other = [0, 10, 0, 2, 1, 2];
    for family in [1, 2] {
        assert!(with(&subnet(family, 0)), "for everybody");
        for scope in [1, 24, 32, 128] {
            assert!(!with(&subnet(family, scope)), "{scope}");
            assert!(!with(&[&other[..], &subnet(family, scope)].concat()), "behind another option");
            assert!(!with(&[subnet(family, scope), other.to_vec()].concat()), "before another option");
        }
    }
    assert!(with(&[]) && with(&other));
}

#[test]
fn an_alias_alone_is_shown_as_an_answer_and_not_remembered() {
    let qname = wire("www.example.org.");
    let ask = Ask { qtype: Rtype::AAAA, ..ask(&qname) };
    let alias = |owner: &[u8]| owned(owner, 5, 120, &wire("a.example.org."));
    let kept = |answer: Vec<u8>| {
        let reply = reply(&ask, 0x0180, [&[answer], &[], &[]]);
        Shape::read(&ask, &reply).map(|shape| (shape.sort, shape.ttl))
    };
    assert_eq!(kept(alias(&[0xc0, 12])), Ok((Sort::Alias, Some(Ttl::from_secs(120)))));
    assert!(kept(alias(&wire("other.example.org."))).is_err());
}

#[test]
fn an_answer_is_found_until_its_ttl_ends_and_counts_down() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    assert!(look(&cache, &ask, now).is_none());
    let verdict = cache.store(&ask, &address(&ask, 300, 80), now);
    assert_eq!((verdict.kind, verdict.ttl, verdict.kept), (Some(AnswerKind::Success), Some(Ttl::from_secs(300)), true));
    assert_eq!(ttls(&look(&cache, &ask, now).unwrap().1), [300]);
    assert_eq!(ttls(&look(&cache, &ask, now + Duration::from_millis(999)).unwrap().1), [300]);
    assert_eq!(ttls(&look(&cache, &ask, now + secs(100)).unwrap().1), [200]);
    assert_eq!(ttls(&look(&cache, &ask, now + secs(299)).unwrap().1), [1]);
    assert!(look(&cache, &ask, now + secs(300)).is_none());
}

#[test]
fn every_record_gets_the_smallest_ttl_within_the_limits() {
    let (cache, name, now) =
        (cache(|settings| settings.success.max_ttl = Ttl::from_secs(40)), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    let two = reply(&ask, 0, [&[record(1, 300, &[1; 4]), record(1, 30, &[2; 4])], &[], &[]]);
    assert_eq!(cache.store(&ask, &two, now).ttl, Some(Ttl::from_secs(30)));
    assert_eq!(ttls(&look(&cache, &ask, now).unwrap().1), [30, 30]);
    assert_eq!(cache.store(&ask, &address(&ask, 300, 1), now).ttl, Some(Ttl::from_secs(40)));
    assert_eq!(cache.store(&ask, &address(&ask, 2, 1), now).ttl, Some(Ttl::from_secs(5)));
    assert_eq!(ttls(&look(&cache, &ask, now).unwrap().1), [5]);
}

#[test]
fn a_ttl_of_0_stays_0_and_is_not_kept() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    for ttl in [0, 0x8000_0000, u32::MAX] {
        let verdict = cache.store(&ask, &address(&ask, ttl, 80), now);
        assert_eq!((verdict.kept, verdict.ttl), (false, None), "{ttl}");
    }
    assert!(cache.is_empty());
}

#[test]
fn the_answer_carries_the_id_spelling_and_flags_of_the_one_who_asks() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let first = ask(&name);
    cache.store(&first, &reply(&first, 0x01a0, [&[record(1, 60, &[1; 4])], &[], &[]]), now);
    let spelling = b"\x03wWw\x07eXAMPLE\x03oRg\0";
    let second = Ask { id: 0xbeef, flags: Flags::default(), spelling, ..first };
    let (_, octets) = look(&cache, &second, now).unwrap();
    assert_eq!(&octets[..4], [0xbe, 0xef, 0x80, 0x80], "no RD, no AD: neither was asked for");
    assert_eq!(&octets[12..12 + spelling.len()], spelling);
    let third = Ask { flags: Flags::RD | Flags::AD, ..second };
    assert_eq!(&look(&cache, &third, now).unwrap().1[2..4], [0x81, 0xa0], "RD copied, AD given to those who set it");
}

// CVE-2024-0874: what was answered to a query with CD is not for those without.
#[test]
fn dnssec_bits_class_and_type_keep_answers_apart() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let plain = ask(&name);
    let edns = Edns { payload: 1232, version: 0, dnssec_ok: true, nsid: false };
    let asks = [
        plain,
        Ask { flags: Flags::RD | Flags::CD, ..plain },
        Ask { edns: Some(edns), ..plain },
        Ask { qclass: Class::CH, ..plain },
        Ask { qtype: Rtype::AAAA, ..plain },
    ];
    for (n, ask) in asks.iter().enumerate() {
        assert!(look(&cache, ask, now).is_none(), "{n}");
        let rdata = [u8::try_from(n).unwrap(); 4];
        assert!(cache.store(ask, &reply(ask, 0, [&[record(ask.qtype.0, 60, &rdata)], &[], &[]]), now).kept, "{n}");
    }
    for (n, ask) in asks.iter().enumerate() {
        let octets = look(&cache, ask, now).unwrap().1;
        let found = Records::new(&octets).unwrap().next().unwrap().unwrap();
        assert_eq!(octets[found.rdata..found.end], [u8::try_from(n).unwrap(); 4]);
    }
}

#[test]
fn the_opt_record_is_of_this_hop_and_of_this_client() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let bare = ask(&name);
    let opt = owned(&[0], 41, 0, b"\0\x0f\0\x02\0\x16");
    let verdict = cache.store(&bare, &reply(&bare, 0, [&[record(1, 60, &[1; 4])], &[], &[opt]]), now);
    assert!(verdict.kept);
    let plain = look(&cache, &bare, now).unwrap().1;
    assert_eq!(plain[11], 0);
    assert_eq!(Records::new(&plain).unwrap().count(), 1);
    let own = OwnEdns { payload: 1400, nsid: Some(b"me".as_slice().into()) };
    let edns = Edns { payload: 4096, version: 0, dnssec_ok: false, nsid: true };
    let octets = look(&cache, &Ask { edns: Some(edns), own: &own, ..bare }, now).unwrap().1;
    let last = Records::new(&octets).unwrap().last().unwrap().unwrap();
    assert_eq!((last.rtype, last.class.0, last.end), (Rtype::OPT, 1400, octets.len()));
    assert_eq!(&octets[last.rdata..last.end], b"\0\x03\0\x02me");
    let extended = owned(&[0], 41, 1 << 24, &[]);
    assert!(!cache.store(&bare, &reply(&bare, 0, [&[record(1, 60, &[1; 4])], &[], &[extended]]), now).kept);
}

// RFC 2308 section 5: the smaller of the SOA's TTL and its MINIMUM; without SOA nothing is kept.
#[test]
fn a_denial_lives_as_long_as_its_soa_says() {
    let (cache, name, now) = (cache(|_| {}), wire("missing.example.org."), Instant::now());
    let ask = ask(&name);
    let verdict = cache.store(&ask, &reply(&ask, 3, [&[], &[soa(60, 20)], &[]]), now);
    assert_eq!((verdict.kind, verdict.ttl, verdict.kept), (Some(AnswerKind::Denial), Some(Ttl::from_secs(20)), true));
    assert_eq!(look(&cache, &ask, now).unwrap().0.kind, AnswerKind::Denial);
    assert_eq!(cache.store(&ask, &reply(&ask, 0, [&[], &[soa(9000, 9000)], &[]]), now).ttl, Some(Ttl::from_secs(1800)));
    let ask = Ask { qtype: Rtype::AAAA, ..ask };
    assert!(!cache.store(&ask, &reply(&ask, 3, [&[], &[], &[]]), now).kept);
    assert!(!cache.store(&ask, &reply(&ask, 0, [&[], &[], &[]]), now).kept);
}

#[test]
fn an_alias_that_leads_nowhere_is_a_denial_with_soa_and_nothing_without() {
    let (cache, name, now) = (cache(|_| {}), wire("alias.example.org."), Instant::now());
    let (ask, target) = (ask(&name), wire("target.example.org."));
    let alias = record(5, 60, &target);
    let verdict = cache.store(&ask, &reply(&ask, 0, [std::slice::from_ref(&alias), &[], &[]]), now);
    assert_eq!((verdict.kept, verdict.ttl), (false, Some(Ttl::from_secs(60))));
    let kind = cache.store(&ask, &reply(&ask, 0, [std::slice::from_ref(&alias), &[soa(60, 60)], &[]]), now).kind;
    assert_eq!(kind, Some(AnswerKind::Denial));
    let whole = reply(&ask, 0, [&[alias, owned(&target, 1, 60, &[1; 4])], &[], &[]]);
    assert_eq!(cache.store(&ask, &whole, now).kind, Some(AnswerKind::Success));
    let circle = reply(&ask, 0, [&[record(5, 60, &name)], &[], &[]]);
    assert!(!cache.store(&ask, &circle, now).kept);
}

#[test]
fn what_is_truncated_refused_transferred_or_malformed_is_not_kept() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    let good = [record(1, 60, &[1; 4])];
    for flags in [0x0200, 5, 1, 4, 0x2000] {
        assert!(!cache.store(&ask, &reply(&ask, flags, [&good, &[], &[]]), now).kept, "{flags:x}");
    }
    let transfer = Ask { qtype: Rtype::AXFR, ..ask };
    assert!(!cache.store(&transfer, &reply(&transfer, 0, [&[record(252, 60, &[])], &[], &[]]), now).kept);
    let whole = reply(&ask, 0, [&good, &[], &[]]);
    for len in 0..whole.len() {
        assert!(!cache.store(&ask, &whole[..len], now).kept, "cut at {len}");
    }
    assert!(cache.is_empty());
}

#[test]
fn an_answer_to_another_question_is_dropped() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let (other, asked) = (wire("xww.example.org."), ask(&name));
    let verdict = cache.store(&asked, &address(&ask(&other), 60, 1), now);
    assert!(verdict.mismatch && !verdict.kept);
    let verdict = cache.store(&asked, &address(&Ask { qtype: Rtype::AAAA, ..asked }, 60, 1), now);
    assert!(verdict.mismatch && !verdict.kept);
}

#[test]
fn a_failure_is_kept_for_a_moment_and_hides_no_answer() {
    let (cache, name, now) = (
        cache(|settings| {
            settings.stale =
                Some(Stale { up_to: secs(3600), ttl: Ttl::ZERO, recheck: secs(0), prefer_positive: false });
        }),
        wire("www.example.org."),
        Instant::now(),
    );
    let ask = ask(&name);
    cache.store(&ask, &address(&ask, 10, 80), now);
    let failure = reply(&ask, 2, [&[], &[], &[]]);
    assert!(cache.store(&ask, &failure, now + secs(11)).kept);
    let (hit, octets) = look(&cache, &ask, now + secs(12)).unwrap();
    assert_eq!((hit.kind, hit.stale, ttls(&octets)), (AnswerKind::Success, true, vec![0]));
    let ask = Ask { qtype: Rtype::AAAA, ..ask };
    cache.store(&ask, &failure_for(&ask), now);
    assert_eq!(look(&cache, &ask, now + secs(4)).unwrap().1[3] & 0xf, 2);
    assert!(look(&cache, &ask, now + secs(3700)).is_none());
}

// RFC 1034 section 4.3.1: without recursion a server answers from what it has.
#[test]
fn a_failure_without_recursion_is_none_for_those_who_want_recursion() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    let without = Ask { flags: Flags::default(), ..ask };
    assert!(!cache.store(&without, &failure_for(&without), now).kept);
    assert!(look(&cache, &ask, now).is_none());
    // With recursion it is one for all.
    assert!(cache.store(&ask, &failure_for(&ask), now).kept);
    assert_eq!(look(&cache, &without, now).unwrap().0.kind, AnswerKind::Denial);
    // Data and denials are for whoever asks.
    assert!(cache.store(&without, &address(&without, 300, 80), now).kept);
    assert_eq!(look(&cache, &ask, now).unwrap().0.kind, AnswerKind::Success);
    assert!(cache.store(&without, &reply(&without, 3, [&[], &[soa(60, 60)], &[]]), now).kept);
    assert_eq!(look(&cache, &ask, now).unwrap().0.kind, AnswerKind::Denial);
}

#[test]
fn a_refresh_that_brought_an_answer_puts_off_no_later_one() {
    let stale = Stale { up_to: secs(60), ttl: Ttl::ZERO, recheck: secs(30), prefer_positive: false };
    let (cache, name, now) = (cache(|settings| settings.stale = Some(stale)), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    cache.store(&ask, &address(&ask, 10, 80), now);
    assert!(look(&cache, &ask, now + secs(11)).unwrap().0.refresh);
    cache.store(&ask, &address(&ask, 10, 80), now + secs(11));
    cache.release(&ask, now + secs(11));
    assert!(look(&cache, &ask, now + secs(22)).unwrap().0.refresh);
}

fn failure_for(ask: &Ask<'_>) -> Vec<u8> {
    reply(ask, 2, [&[], &[], &[]])
}

#[test]
fn the_newest_of_answer_and_denial_holds() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    cache.store(&ask, &address(&ask, 300, 80), now);
    cache.store(&ask, &reply(&ask, 3, [&[], &[soa(60, 60)], &[]]), now);
    assert_eq!(look(&cache, &ask, now).unwrap().0.kind, AnswerKind::Denial);
    cache.store(&ask, &address(&ask, 300, 80), now);
    assert_eq!(look(&cache, &ask, now).unwrap().0.kind, AnswerKind::Success);
    assert_eq!((cache.len(AnswerKind::Success), cache.len(AnswerKind::Denial)), (1, 0));
}

// RFC 8767 section 4.
#[test]
fn a_stale_answer_is_given_with_ttl_0_and_refreshed_by_one() {
    let stale = Stale { up_to: secs(60), ttl: Ttl::ZERO, recheck: secs(5), prefer_positive: false };
    let (cache, name, now) = (cache(|settings| settings.stale = Some(stale)), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    cache.store(&ask, &address(&ask, 10, 80), now);
    assert!(!look(&cache, &ask, now + secs(9)).unwrap().0.stale);
    let (hit, octets) = look(&cache, &ask, now + secs(10)).unwrap();
    assert_eq!((hit.stale, hit.refresh, ttls(&octets)), (true, true, vec![0]));
    assert!(!look(&cache, &ask, now + secs(11)).unwrap().0.refresh, "one refreshes at a time");
    cache.release(&ask, now + secs(12));
    assert!(!look(&cache, &ask, now + secs(16)).unwrap().0.refresh, "not before the recheck time");
    assert!(look(&cache, &ask, now + secs(17)).unwrap().0.refresh);
    assert!(look(&cache, &ask, now + secs(70)).is_none(), "past the time for stale answers");
}

#[test]
fn what_is_asked_for_often_is_refreshed_before_its_end() {
    let prefetch = Prefetch { amount: 2, duration: secs(60), percentage: 10 };
    let (cache, name, now) =
        (cache(|settings| settings.prefetch = Some(prefetch)), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    cache.store(&ask, &address(&ask, 100, 80), now);
    assert!(!look(&cache, &ask, now + secs(80)).unwrap().0.refresh);
    assert!(!look(&cache, &ask, now + secs(89)).unwrap().0.refresh, "a tenth of the lifetime is not reached");
    assert!(look(&cache, &ask, now + secs(90)).unwrap().0.refresh);
    assert!(!look(&cache, &ask, now + secs(91)).unwrap().0.refresh, "one refreshes at a time");
    cache.store(&ask, &address(&ask, 100, 80), now + secs(92));
    assert!(!look(&cache, &ask, now + secs(181)).unwrap().0.refresh, "after a long pause it counts as asked once");
    assert!(look(&cache, &ask, now + secs(183)).unwrap().0.refresh);
}

#[test]
fn what_may_need_a_refresh_is_not_recalled() {
    let (name, now) = (wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    let stale = Stale { up_to: secs(60), ttl: Ttl::ZERO, recheck: secs(5), prefer_positive: false };
    let prefetch = Prefetch { amount: 2, duration: secs(60), percentage: 10 };
    for (change, ends) in [
        (
            Box::new(|settings: &mut CacheSettings| settings.stale = Some(stale))
                as Box<dyn FnOnce(&mut CacheSettings)>,
            100,
        ),
        (Box::new(|settings: &mut CacheSettings| settings.prefetch = Some(prefetch)), 90),
    ] {
        let cache = cache(change);
        cache.store(&ask, &address(&ask, 100, 80), now);
        let fresh = |seconds| {
            let mut buffer = [0; 512];
            let (kind, len) = cache.lookup_fresh(&ask, now + secs(seconds), Room::WHOLE, &mut buffer)?;
            Some((kind, buffer[..len].to_vec()))
        };
        assert_eq!(
            fresh(ends - 1).unwrap(),
            (AnswerKind::Success, look(&cache, &ask, now + secs(ends - 1)).unwrap().1)
        );
        assert_eq!(fresh(ends), None);
        assert!(look(&cache, &ask, now + secs(ends)).unwrap().0.refresh, "nobody refreshes yet");
    }
}

#[test]
fn zones_can_be_left_out_and_the_ttl_can_stand_still() {
    let cache = cache(|settings| {
        settings.no_success = vec!["example.org".parse().unwrap()];
        settings.keep_ttl = true;
    });
    let (inside, outside, now) = (wire("www.example.org."), wire("www.example.com."), Instant::now());
    let verdict = cache.store(&ask(&inside), &address(&ask(&inside), 300, 80), now);
    assert_eq!((verdict.kept, verdict.ttl), (false, Some(Ttl::from_secs(300))));
    assert!(cache.store(&ask(&inside), &failure_for(&ask(&inside)), now).kept, "denials are not left out");
    cache.store(&ask(&outside), &address(&ask(&outside), 300, 80), now);
    assert_eq!(ttls(&look(&cache, &ask(&outside), now + secs(200)).unwrap().1), [300]);
}

#[test]
fn memory_is_bounded_in_entries_and_in_octets() {
    let (cache, now) = (cache(|settings| settings.success.entries = 1024), Instant::now());
    let mut evicted = 0;
    for n in 0..5000 {
        let name = wire(&format!("n{n}.example.org."));
        evicted += cache.store(&ask(&name), &address(&ask(&name), 300, 80), now).evicted;
    }
    let len = cache.len(AnswerKind::Success);
    assert!((900..=1024).contains(&len), "{len}");
    assert_eq!(len + evicted, 5000);

    let big: Vec<Vec<u8>> = (0..250).map(|_| record(16, 300, &[0x20; 201])).collect();
    for n in 0..1000 {
        let name = wire(&format!("big{n}.example.org."));
        let ask = Ask { qtype: Rtype::TXT, ..ask(&name) };
        cache.store(&ask, &reply(&ask, 0, [&big, &[], &[]]), now);
    }
    let bytes: usize = cache.success.shards.iter().map(|shard| lock(shard).bytes()).sum();
    assert!(bytes <= CacheSettings::default().success.bytes(), "{bytes}");
    assert!(cache.len(AnswerKind::Success) > 64, "{}", cache.len(AnswerKind::Success));
}

#[test]
fn a_buffer_that_is_too_small_finds_nothing() {
    let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
    let ask = ask(&name);
    let stored = address(&ask, 300, 80);
    cache.store(&ask, &stored, now);
    assert!(cache.lookup(&ask, now, Room::WHOLE, &mut vec![0; stored.len() - 1]).is_none());
    assert!(cache.lookup(&ask, now, Room::WHOLE, &mut vec![0; stored.len()]).is_some());
}

#[test]
fn an_answer_that_does_not_fit_is_cut_at_whole_records() {
    let (qname, now) = (wire("many.example"), Instant::now());
    let edns = Some(Edns { payload: 1232, version: 0, dnssec_ok: false, nsid: false });
    let ask = Ask { edns, ..ask(&qname) };
    let records: Vec<Vec<u8>> = (0..4000u16).map(|n| record(1, 300, &[10, 9, (n >> 8) as u8, n as u8])).collect();
    let cache = cache(|_| {});
    assert!(cache.store(&ask, &reply(&ask, 0x0180, [&records, &[soa(300, 300)], &[]]), now).kept);
    let asked = std::cell::Cell::new(0);
    let look = |limit, buffer: usize, seed| {
        let choice = || {
            asked.set(asked.get() + 1);
            seed
        };
        let mut buffer = vec![0xee; buffer];
        let room = Room { limit, over_udp: true, choice: &choice };
        let hit = cache.lookup(&ask, now + secs(100), room, &mut buffer)?;
        assert!(hit.len <= limit && buffer[hit.len..].iter().all(|&octet| octet == 0xee));
        buffer.truncate(hit.len);
        Some(buffer)
    };
    for limit in [512, 1232, 4096] {
        let octets = look(limit, 4096, 5).unwrap();
        let found: Vec<_> = Records::new(&octets).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len(), (limit - 11 - 12 - qname.len() - 4) / 16 + 1, "with the OPT record");
        assert!(
            octets[2] & 2 != 0 && found[..found.len() - 1].iter().all(|one| (one.rtype, one.ttl) == (Rtype::A, 200))
        );
        assert_eq!(found.last().map(|one| (one.rtype, one.class.0, one.end)), Some((Rtype::OPT, 1232, octets.len())));
        assert_eq!(octets, look(limit, 4096, 5).unwrap(), "the same for the same");
        assert_ne!(octets, look(limit, 4096, 6).unwrap());
    }
    let cuts = asked.get();
    assert!(look(65_535, 4096, 5).is_none(), "the client can take more than the buffer holds");
    let whole = look(65_535, 65_535, 5).unwrap();
    assert_eq!((Records::new(&whole).unwrap().count(), whole[2] & 2, asked.get()), (4002, 0, cuts));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_hit_is_the_stored_message_with_its_ttls_lowered(
        records in proptest::collection::vec((0_usize..3, 1_u32..5000, proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
        id: u16,
        after in 0_u64..4000,
    ) {
        let (cache, name, now) = (cache(|_| {}), wire("Www.Example.org."), Instant::now());
        let ask = Ask { id, ..ask(&name) };
        let mut sections = [vec![record(1, 700, &[192, 0, 2, 1])], vec![], vec![]];
        for (section, ttl, rdata) in &records {
            sections[*section].push(record(99, *ttl, rdata));
        }
        let [answer, authority, additional] = &sections;
        let stored = reply(&ask, 0x0180, [answer, authority, additional]);
        prop_assert!(cache.store(&ask, &stored, now).kept);
        let least = ttls(&stored).into_iter().min().unwrap().clamp(5, 3600);
        match look(&cache, &ask, now + secs(after)) {
            None => prop_assert!(after >= u64::from(least)),
            Some((_, found)) => {
                prop_assert!(after < u64::from(least));
                let mut expected = stored;
                crate::cache::cap_ttls(&mut expected, Ttl::from_secs(least - u32::try_from(after).unwrap()));
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn whatever_octets_come_storing_and_finding_do_not_panic(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
        let (cache, name, now) = (cache(|_| {}), wire("www.example.org."), Instant::now());
        let ask = ask(&name);
        cache.store(&ask, &octets, now);
        let mut behind_question = reply(&ask, 0, [&[], &[], &[]]);
        behind_question[6..12].copy_from_slice(&[0, 1, 0, 1, 0, 1]);
        behind_question.extend(&octets);
        cache.store(&ask, &behind_question, now);
        let mut capped = behind_question;
        crate::cache::cap_ttls(&mut capped, Ttl::from_secs(1));
        look(&cache, &ask, now);
    }
}
