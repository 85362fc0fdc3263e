//! The input of `check`: a Corefile, or the ConfigMaps that a cluster keeps it in.
//!
//! A ConfigMap may be YAML or JSON, alone or in a List, as `kubectl get configmap -o yaml` prints it. Imports find the
//! other keys of the map, and those of a map with the `*.override` and `*.server` of AKS and k3s, where a pod has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::corefile;
use crate::corefile::{Corefile, CorefileSource, Error, OtherMachine, Position};
use crate::files;
use crate::process::corefile_source;

/// The folder in which a pod has its Corefile.
const FOLDER: &str = "/etc/coredns";
/// The folder below it for the files of others.
const CUSTOM: &str = "custom";

/// One Corefile to check.
#[derive(Debug)]
pub(super) struct Input {
    name: String,
    text: String,
    /// The machine that will serve it, with the files that come with it.
    elsewhere: OtherMachine,
    /// True for the Corefile of a pod, whichever machine this is.
    mounted: bool,
}

/// Reads what a path, or `-` for standard input, holds.
///
/// # Errors
/// When it cannot be read, or is a manifest without a Corefile.
pub(super) fn read(file: &Path) -> Result<Vec<Input>, Error> {
    let name = match file.to_str() {
        Some("-") => "stdin".to_owned(),
        _ => file.to_string_lossy().into_owned(),
    };
    let text = files::read_named(file, files::CONFIGURATION);
    let text = text.map_err(|error| whole(&name, format!("cannot read the Corefile: {}", error.why())))?;
    match is_manifest(&text) {
        true => config_maps(&name, &text),
        false => Ok(vec![Input { name, text, elsewhere: OtherMachine::default(), mounted: false }]),
    }
}

impl Input {
    /// The machine that will serve it, as far as it is known.
    pub(super) fn elsewhere(&self) -> &OtherMachine {
        &self.elsewhere
    }

    /// A fault of the whole of it.
    pub(super) fn whole(&self, message: &str) -> Error {
        whole(&self.name, message.to_owned())
    }

    /// Reads the words. `here`: this machine will serve, and has all files.
    ///
    /// # Errors
    /// At the first fault of the grammar.
    pub(super) fn parse(&self, here: bool) -> Result<Corefile, Error> {
        let source = CorefileSource::Text { name: self.name.clone(), text: self.text.clone() };
        match here && !self.mounted {
            true => corefile_source::read(&source),
            false => corefile::parse_elsewhere(&source, &self.elsewhere, &corefile_source::variable),
        }
    }
}

fn whole(name: &str, message: String) -> Error {
    Error::new(&Position { file: name.into(), line: 0, column: 0 }, message)
}

/// Whether a text is a manifest of Kubernetes: no line of a Corefile begins so.
fn is_manifest(text: &str) -> bool {
    let in_yaml = |line: &str| ["apiVersion:", "kind:", "data:", "items:"].iter().any(|key| line.starts_with(key));
    let in_json = text.trim_start().starts_with('{') && text.contains("\"kind\"");
    in_json || text.lines().any(in_yaml)
}

//----------- ConfigMap ------------------------------------------------------

/// A key of a ConfigMap: its name, how positions name its text, and the text.
type ConfigMapEntry = (String, String, String);

/// The Corefiles in a manifest, each with the files that a pod has beside it.
fn config_maps(name: &str, text: &str) -> Result<Vec<Input>, Error> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let at = error.location().map(|at| (at.line() as u32, at.column() as u32)).unwrap_or_default();
        let why = error.without_snippet().to_string();
        Error::new(&Position { file: name.into(), line: at.0, column: at.1 }, format!("this is no YAML: {why}"))
    })?;
    let mut maps = Vec::new();
    documents.iter().for_each(|document| collect(document, &mut maps));
    let mut entries: Vec<Vec<ConfigMapEntry>> = Vec::new();
    let mut from = 0;
    for map in maps {
        let named = map.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("ConfigMap");
        let data = map.get("data").and_then(Value::as_object).into_iter().flatten();
        let data = data.filter_map(|(key, value)| Some((key, value.as_str()?)));
        let entry = |(key, value): (&String, &str)| match located(text, from, key, value) {
            Some((padded, end)) => {
                from = end;
                (key.clone(), name.to_owned(), padded)
            }
            None => (key.clone(), format!("{name}#{named}/{key}"), value.to_owned()),
        };
        entries.push(data.map(entry).collect());
    }
    let is_custom = |(key, ..): &&ConfigMapEntry| key.ends_with(".server") || key.ends_with(".override");
    let custom: BTreeMap<PathBuf, (String, String)> = entries
        .iter()
        .flatten()
        .filter(is_custom)
        .map(|(key, name, text)| (Path::new(FOLDER).join(CUSTOM).join(key), (name.clone(), text.clone())))
        .collect();
    let mut inputs: Vec<Input> = entries.iter().filter_map(|map| input(map, &custom)).collect();
    if inputs.is_empty() && !custom.is_empty() {
        inputs.push(alone(custom));
    }
    match inputs.is_empty() {
        true => Err(whole(
            name,
            "no ConfigMap with a key `Corefile`, `*.server` or `*.override` is in this manifest; \
             `kubectl -n kube-system get configmap coredns -o yaml` prints one"
                .to_owned(),
        )),
        false => Ok(inputs),
    }
}

/// Finds the ConfigMaps in a document, which may be a list of them.
fn collect<'d>(document: &'d Value, into: &mut Vec<&'d Value>) {
    match document["kind"].as_str() {
        Some("ConfigMap") => into.push(document),
        _ => document["items"].as_array().into_iter().flatten().for_each(|item| collect(item, into)),
    }
}

/// The Corefile of a map, beside its other keys and what others add.
fn input(map: &[ConfigMapEntry], custom: &BTreeMap<PathBuf, (String, String)>) -> Option<Input> {
    let (_, name, text) = map.iter().find(|(key, ..)| key == "Corefile")?;
    let beside = map.iter().filter(|(key, ..)| key != "Corefile");
    let beside = beside.map(|(key, name, text)| (Path::new(FOLDER).join(key), (name.clone(), text.clone())));
    let files = custom.clone().into_iter().chain(beside).collect();
    let elsewhere = OtherMachine { folder: FOLDER.into(), files };
    Some(Input { name: name.clone(), text: text.clone(), elsewhere, mounted: true })
}

/// A Corefile made of additions alone: `*.override` in the block of all names, `*.server` beside it.
fn alone(custom: BTreeMap<PathBuf, (String, String)>) -> Input {
    let has = |end: &str| custom.keys().any(|path| path.extension().is_some_and(|extension| extension == end));
    let block = if has("override") { format!(". {{\n import {CUSTOM}/*.override\n}}\n") } else { String::new() };
    let servers = if has("server") { format!("import {CUSTOM}/*.server\n") } else { String::new() };
    let elsewhere = OtherMachine { folder: FOLDER.into(), files: custom };
    Input { name: "the Corefile that imports them".to_owned(), text: block + &servers, elsewhere, mounted: true }
}

/// The text of a key as it stands in the manifest, at its lines and columns, and the line where it ends: a literal block,
/// with nothing but line breaks before it.
fn located(manifest: &str, from: usize, key: &str, value: &str) -> Option<(String, usize)> {
    let lines: Vec<&str> = manifest.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let opens = |line: &str| {
        let rest = line.trim_start().strip_prefix(key)?.strip_prefix(':')?;
        rest.trim_start().starts_with('|').then(|| indent(line))
    };
    for (at, line) in lines.iter().enumerate().skip(from) {
        let Some(outer) = opens(line) else { continue };
        let body = lines.get(at + 1..).unwrap_or_default();
        let body: Vec<&str> =
            body.iter().take_while(|line| line.trim().is_empty() || indent(line) > outer).copied().collect();
        let inner = body.iter().find(|line| !line.trim().is_empty()).map_or(0, |line| indent(line));
        let bare: Vec<&str> = body.iter().map(|line| line.get(inner..).unwrap_or_default()).collect();
        if bare.join("\n").trim_end() == value.trim_end() {
            return Some(("\n".repeat(at + 1) + &body.join("\n") + "\n", at + 1 + body.len()));
        }
    }
    None
}

#[cfg(test)]
mod tests;
