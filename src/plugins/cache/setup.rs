//! The words of a `cache` directive, and their meaning.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{CachePlugin, Inner, REFRESHES, Verify};
use crate::cache::{self, CacheSettings, Prefetch, Stale};
use crate::chain::Plugin;
use crate::chain::setup::{Context, once};
use crate::corefile::{Directive, Error, Token};
use crate::syntax::names::Zones;
use crate::syntax::words;
use crate::wire::{Name, Ttl};

const OPTIONS: [&str; 8] =
    ["success", "denial", "prefetch", "serve_stale", "serve_stale_policy", "servfail", "disable", "keepttl"];

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let line = once(lines)?;
    let mut settings = CacheSettings::default();
    let mut words = line.arguments.as_slice();
    if let Some((first, rest)) = words.split_first()
        && first.text.parse::<i64>().is_ok()
    {
        let ttl = Ttl::from_secs(words::number(first, 1..=u32::MAX)?);
        (settings.success.max_ttl, settings.denial.max_ttl) = (ttl, ttl);
        words = rest;
    }
    let zones = Zones::read(words, context.zones)?;
    let (mut stale, mut verify, mut policy) = (None, None, None);
    for option in line.lines() {
        option.no_body()?;
        match option.name.text.as_str() {
            "success" => capacity(option, &mut settings.success)?,
            "denial" => capacity(option, &mut settings.denial)?,
            "prefetch" => settings.prefetch = prefetch(option)?,
            "serve_stale" => (stale, verify) = serve_stale(option).map(|(stale, verify)| (Some(stale), verify))?,
            "serve_stale_policy" if policy.is_some() => {
                return Err(option.name.error("serve_stale_policy can be given only once"));
            }
            "serve_stale_policy" => {
                let word = option.one_argument("a policy")?;
                if word.text.to_lowercase() != "prefer_positive" {
                    return Err(
                        word.error(format!("`{}` is no policy for stale answers; prefer_positive is", word.text))
                    );
                }
                policy = Some(&option.name);
            }
            "servfail" => {
                let word = option.one_argument("a duration")?;
                settings.servfail = words::duration(word)?;
                if settings.servfail > Duration::from_secs(300) {
                    // RFC 2308 section 7.1.
                    return Err(
                        word.error(format!("a SERVFAIL may be remembered for 5m at most, not for {}", word.text))
                    );
                }
            }
            "disable" => disable(option, &mut settings)?,
            "keepttl" => {
                option.no_arguments()?;
                settings.keep_ttl = true;
            }
            _ => return Err(words::unknown(option, "cache", &OPTIONS)),
        }
    }
    settings.stale = stale;
    if let Some(name) = policy {
        let stale =
            settings.stale.as_mut().ok_or_else(|| name.error("serve_stale_policy needs serve_stale beside it"))?;
        stale.prefer_positive = true;
    }
    let zones_label = zones.0.iter().map(Name::to_string).collect::<Vec<_>>().join(",");
    // What it remembers is this block's, and what the plugins behind it said: others are another cache.
    let (block, behind) = (context.identity, context.behind("cache"));
    let key = format!("cache {zones_label} {settings:?} {block} {behind}");
    let cache = context.host.carryover.get(&key, || cache::Cache::new(settings.clone()));
    let inner = Inner {
        cache,
        zones,
        zones_label,
        view: context.view.to_owned(),
        verify,
        refreshes: Arc::new(Semaphore::new(REFRESHES)),
        counters: Mutex::default(),
    };
    Ok(vec![Arc::new(CachePlugin { inner: Arc::new(inner) })])
}

/// `success CAPACITY [TTL [MINTTL]]` and the same with `denial`.
fn capacity(option: &Directive, into: &mut cache::Capacity) -> Result<(), Error> {
    let [entries, rest @ ..] = option.arguments.as_slice() else {
        return Err(option.name.error(format!("{} needs a number of entries", option.name.text)));
    };
    into.entries = words::number(entries, 0..=100_000_000)?.max(1024);
    let mut rest = rest.iter();
    if let Some(ttl) = rest.next() {
        into.max_ttl = Ttl::from_secs(words::number(ttl, 1..=u32::MAX)?);
    }
    if let Some(ttl) = rest.next() {
        into.min_ttl = Ttl::from_secs(words::number(ttl, 0..=u32::MAX)?);
    }
    surplus(option, rest.next())
}

/// `prefetch AMOUNT [DURATION [PERCENTAGE%]]`.
fn prefetch(option: &Directive) -> Result<Option<Prefetch>, Error> {
    let mut words = option.arguments.iter();
    let amount = words.next().ok_or_else(|| option.name.error("prefetch needs a number of queries"))?;
    let amount = words::number(amount, 0..=u32::MAX)?;
    let mut prefetch = Prefetch { amount, duration: Duration::from_secs(60), percentage: 10 };
    if let Some(word) = words.next() {
        prefetch.duration = words::duration(word)?;
    }
    if let Some(word) = words.next() {
        let percentage = word.text.strip_suffix('%').and_then(|number| number.parse().ok());
        prefetch.percentage = percentage
            .filter(|number| (10..=90).contains(number))
            .ok_or_else(|| word.error(format!("`{}` is no percentage from 10% to 90%", word.text)))?;
    }
    surplus(option, words.next())?;
    Ok((amount > 0).then_some(prefetch))
}

/// `serve_stale [DURATION [immediate|verify …]]`.
fn serve_stale(option: &Directive) -> Result<(Stale, Option<Verify>), Error> {
    let mut words = option.arguments.iter();
    let mut stale =
        Stale { up_to: Duration::from_secs(3600), ttl: Ttl::ZERO, recheck: Duration::ZERO, prefer_positive: false };
    if let Some(word) = words.next() {
        stale.up_to = words::duration(word)?;
    }
    let mut verify = None;
    match words.next() {
        None => {}
        Some(word) => match word.text.to_lowercase().as_str() {
            "immediate" => {}
            "verify" => {
                let timeout = words.next().map_or(Ok(Duration::ZERO), words::duration)?;
                verify = Some(Verify { timeout, alone: !timeout.is_zero() });
            }
            _ => return Err(word.error(format!("`{}` is no way to refresh: immediate or verify is", word.text))),
        },
    }
    if let Some(word) = words.next() {
        let ttl = words::duration(word)?;
        let whole = u32::try_from(ttl.as_secs()).ok().filter(|_| ttl.subsec_nanos() == 0);
        stale.ttl = whole
            .map(Ttl::from_secs)
            .ok_or_else(|| word.error(format!("`{}` is no TTL: whole seconds, as in 30s", word.text)))?;
    }
    if let Some(word) = words.next() {
        stale.recheck = words::duration(word)?;
        if stale.recheck > Duration::from_secs(300) {
            return Err(word.error(format!("the recheck time is 5m at most, not {}", word.text)));
        }
        if let Some(verify) = &mut verify {
            verify.alone |= !stale.recheck.is_zero();
        }
    }
    surplus(option, words.next())?;
    Ok((stale, verify))
}

/// `disable success|denial [ZONES...]`.
fn disable(option: &Directive, settings: &mut CacheSettings) -> Result<(), Error> {
    let [kind, zones @ ..] = option.arguments.as_slice() else {
        return Err(option.name.error("disable needs success or denial"));
    };
    let zones = Zones::read(zones, &[Name::root()])?.0;
    match kind.text.as_str() {
        "success" => settings.no_success = zones,
        "denial" => settings.no_denial = zones,
        other => return Err(kind.error(format!("disable takes success or denial, not `{other}`"))),
    }
    Ok(())
}

fn surplus(option: &Directive, word: Option<&Token>) -> Result<(), Error> {
    match word {
        Some(word) => Err(word.error(format!("{} takes nothing more, got `{}`", option.name.text, word.text))),
        None => Ok(()),
    }
}
