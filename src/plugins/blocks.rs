//! From a Corefile to its server blocks: which directives there are, and in which order they are set up.

use super::directives;
use crate::chain::Block;
use crate::chain::settings::Settings;
use crate::chain::setup::{Context, Host, port, write_line};
use crate::corefile::{Corefile, Directive, Error, ServerBlock};
use crate::wire::Name;

/// Sets all server blocks of a Corefile up.
///
/// # Errors
/// At the first fault, with its place.
pub fn set_up(corefile: &Corefile, host: &mut Host<'_>) -> Result<Vec<Block>, Error> {
    let mut blocks: Vec<Block> = Vec::new();
    for at in 0..corefile.blocks.len() {
        let made = block(at, &corefile.blocks, host)?;
        for (index, key) in made.keys.iter().enumerate() {
            let others = blocks.iter().flat_map(|other| other.keys.iter().map(move |key| (key, &other.settings)));
            let own = made.keys.iter().take(index).map(|key| (key, &made.settings));
            for (other, settings) in others.chain(own) {
                let same = other.zone == key.zone
                    && other.scheme == key.scheme
                    && port(other, host.default_port) == port(key, host.default_port);
                if same
                    && made.settings.view.is_none()
                    && settings.view.is_none()
                    && made.settings.shares_address(settings)
                {
                    return Err(key.token.error(format!(
                        "the zone {} is already served at port {} by {}; give one of the two another port or `bind` address",
                        key.zone,
                        port(key, host.default_port),
                        other.token.position
                    )));
                }
            }
        }
        blocks.push(made);
    }
    Ok(blocks)
}

/// Sets the server block at a position up.
///
/// # Errors
/// At the first fault, with its place.
pub(super) fn block(at: usize, blocks: &[ServerBlock], host: &mut Host<'_>) -> Result<Block, Error> {
    let (before, source) =
        blocks.get(..at).zip(blocks.get(at)).unwrap_or_else(|| unreachable!("the caller counts them"));
    for directive in &source.directives {
        directives::check_name(&directive.name)?;
    }
    let zones: Vec<Name> = source.keys.iter().map(|key| key.zone.clone()).collect();
    let named = source.directives.iter().find(|line| line.name.text == "view").and_then(|line| line.arguments.first());
    let view = named.map_or("", |name| &name.text);
    let identity = whom(source);
    // Those that serve the same are told apart by their order.
    let identity = format!("{identity} {}", before.iter().filter(|other| whom(other) == identity).count());
    let order: Vec<&str> = directives::TABLE.iter().map(|(name, _)| *name).collect();
    let mut context = Context {
        zones: &zones,
        keys: &source.keys,
        identity: &identity,
        block: source,
        blocks,
        host,
        order: &order,
        view,
        settings: Settings::default(),
    };
    let mut chain = Vec::new();
    for (name, setup) in directives::TABLE {
        let lines: Vec<&Directive> = source.directives.iter().filter(|line| line.name.text == *name).collect();
        if !lines.is_empty() {
            context.settings.enabled.push(name);
            chain.extend(setup(&lines, &mut context)?);
        }
    }
    let settings = context.settings;
    let line = |name: &str| source.directives.iter().find(|line| line.name.text == name);
    if let (Some(external), None) = (line("k8s_external"), line("kubernetes")) {
        return Err(external.name.error("k8s_external needs kubernetes in the same server block"));
    }
    Ok(Block { keys: source.keys.clone(), chain, settings })
}

/// The clients of a server block, as text: its keys, and what `bind` and `view` say.
fn whom(block: &ServerBlock) -> String {
    let keys = block.keys.iter().map(|key| format!("{:?} ", key.token.text)).collect::<String>();
    let narrower = block.directives.iter().filter(|line| matches!(line.name.text.as_str(), "bind" | "view"));
    narrower.fold(keys, |mut text, line| {
        write_line(line, &mut text);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};

    #[test]
    fn the_chain_has_a_fixed_order() {
        let block = block("whoami\nerrors\nlog\nminimal").unwrap();
        let names: Vec<&str> = block.chain.iter().map(|plugin| plugin.name()).collect();
        assert_eq!(names, ["errors", "log", "minimal", "whoami"]);
    }

    #[test]
    fn unknown_directives_are_refused_with_the_known_ones() {
        let said = fault("errors\nkuberneets cluster.local");
        assert!(said.starts_with("Corefile:3:1: unknown directive `kuberneets`"), "{said}");
        assert!(said.contains("kubernetes"), "{said}");
        assert!(fault("etcd example").contains("not supported"), "etcd");
    }

    #[test]
    fn most_directives_count_once_per_server_block() {
        assert!(fault("nsid one\nnsid two").starts_with("Corefile:3:1: nsid can be used only once per server block"));
    }
}
