//! The Corefile that is served, read anew for each reload.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA512};

use super::error::Error;
use crate::corefile::{self, Corefile, CorefileSource, Directive};
use crate::files;

/// The Corefile that kubeadm installs, for a pod that is given none.
const IN_CLUSTER: &str = "\
.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
";

/// Finds the Corefile: what `-conf` names, else `./Corefile`, else, in a cluster, kubeadm's.
///
/// # Errors
/// When there is none.
pub(crate) fn find(conf: Option<&str>, in_cluster: bool) -> Result<CorefileSource, Error> {
    let text = |name: &str, text: String| CorefileSource::Text { name: name.to_owned(), text };
    match conf {
        Some("stdin") => {
            let read = files::read_stdin(files::CONFIGURATION);
            read.map(|read| text("stdin", read))
                .map_err(|error| Error::operator(format!("stdin: cannot read the Corefile: {}", error.why())))
        }
        Some(path) => Ok(CorefileSource::File(path.into())),
        None if PathBuf::from("Corefile").exists() => Ok(CorefileSource::File("Corefile".into())),
        None if in_cluster => {
            tracing::warn!(
                "no Corefile here: serving cluster.local as kubeadm sets it up; name a file with -conf to change that"
            );
            Ok(text("built-in Corefile", IN_CLUSTER.to_owned()))
        }
        None => Err(Error::operator(
            "no Corefile here and no cluster around: name a file with `-conf FILE`, or serve manifest files with `rollcall local PATH...`",
        )),
    }
}

/// Reads a Corefile with the environment of the process.
///
/// # Errors
/// At the first fault, with its place.
pub(crate) fn read(source: &CorefileSource) -> Result<Corefile, corefile::Error> {
    corefile::parse(source, &variable)
}

/// A variable of the environment.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A fault with what may be behind it: a variable in the faulty word that is not set.
pub(crate) fn explained(error: corefile::Error, corefile: &Corefile) -> corefile::Error {
    let unset = corefile.unset.iter().find(|unset| unset.position == error.position);
    match unset {
        Some(unset) => {
            let message = format!("{}; {}", error.message, unset.message);
            corefile::Error { message, ..error }
        }
        None => error,
    }
}

/// The SHA-512 of a Corefile's words and structure, in hexadecimal: comments and white space do not count.
pub(crate) fn hash(corefile: &Corefile) -> String {
    let mut words = WordHasher(Context::new(&SHA512));
    for block in &corefile.blocks {
        block.keys.iter().for_each(|key| words.word(&key.token.text));
        words.mark(1);
        words.lines(&block.directives);
    }
    HEXLOWER.encode(words.0.finish().as_ref())
}

/// The hash of a Corefile's words: a word ends with 0, and marks that no word can hold stand for structure.
struct WordHasher(Context);

impl WordHasher {
    fn mark(&mut self, octet: u8) {
        self.0.update(&[octet]);
    }

    fn word(&mut self, text: &str) {
        self.0.update(text.as_bytes());
        self.mark(0);
    }

    fn lines(&mut self, lines: &[Directive]) {
        for line in lines {
            self.word(&line.name.text);
            line.arguments.iter().for_each(|argument| self.word(&argument.text));
            if let Some(body) = &line.body {
                self.mark(2);
                self.lines(body);
            }
            self.mark(3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(text: &str) -> String {
        hash(&read(&CorefileSource::Text { name: "Corefile".into(), text: text.into() }).unwrap())
    }

    #[test]
    fn the_hash_sees_words_and_structure_and_nothing_else() {
        let plain = hash_of(". {\n cache 30 {\n  denial 5\n }\n}");
        assert_eq!(plain, hash_of("# c\n.   {\n\tcache 30 { # c\n denial 5\n\n}\n}"));
        for other in [
            ". {\n cache 30 {\n  denial 6\n }\n}",
            ". {\n cache 30\n denial 5\n}",
            ". {\n cache 30 {\n  denial\n  5\n }\n}",
        ] {
            assert_ne!(plain, hash_of(other), "{other}");
        }
    }

    #[test]
    fn the_built_in_corefile_is_one() {
        hash_of(IN_CLUSTER);
    }

    #[test]
    fn a_named_file_is_taken_as_named() {
        assert!(
            matches!(find(Some("x/Corefile"), false), Ok(CorefileSource::File(path)) if path.as_os_str() == "x/Corefile")
        );
    }
}
