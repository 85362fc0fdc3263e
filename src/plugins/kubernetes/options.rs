//! The options of the `kubernetes` directive.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use super::selector;
use crate::chain::setup::Context;
use crate::chain::{Access, Source};
use crate::corefile::{Directive, Error, Token};
use crate::syntax::{names, words};
use crate::wire::{Label, Name};
use crate::zone::{Fallthrough, Pods};

const NAMES: [&str; 17] = [
    "kubeconfig",
    "endpoint",
    "tls",
    "namespaces",
    "labels",
    "namespace_labels",
    "pods",
    "endpoint_pod_names",
    "noendpoints",
    "ttl",
    "fallthrough",
    "ignore",
    "zonal",
    "multicluster",
    "startup_timeout",
    "apiserver_qps",
    "apiserver_burst, apiserver_max_inflight",
];

/// The longest `startup_timeout` that counts: time is added to it.
const LONGEST_STARTUP: Duration = Duration::from_secs(86_400);

/// The options in the lines of the directive.
#[derive(Default)]
pub(super) struct KubernetesOptions<'d> {
    pub(super) kubeconfig: Option<(&'d Token, Option<String>)>,
    pub(super) endpoint: Option<&'d Token>,
    pub(super) tls: Option<(&'d Directive, [PathBuf; 3])>,
    pub(super) namespaces: Option<(HashSet<Label>, &'d Token)>,
    pub(super) labels: Option<String>,
    pub(super) namespace_labels: Option<(String, &'d Token)>,
    pub(super) pods: Pods,
    pub(super) endpoint_pod_names: bool,
    pub(super) noendpoints: Option<&'d Token>,
    pub(super) ttl: Option<u32>,
    pub(super) fallthrough: Fallthrough,
    pub(super) ignore_empty: bool,
    pub(super) zonal: bool,
    pub(super) multicluster: Vec<(Name, &'d Token)>,
    pub(super) limits: [u32; 3],
    pub(super) startup_timeout: Option<Duration>,
}

impl<'d> KubernetesOptions<'d> {
    pub(super) fn read(&mut self, line: &'d Directive) -> Result<(), Error> {
        line.no_body()?;
        match line.name.text.as_str() {
            "kubeconfig" => match line.arguments.as_slice() {
                [file] => self.kubeconfig = Some((file, None)),
                [file, context] => self.kubeconfig = Some((file, Some(context.text.clone()))),
                _ => return Err(line.name.error("kubeconfig needs FILE and takes a context after it")),
            },
            // CoreDNS once took several and still reads the first alone.
            "endpoint" => {
                let url =
                    line.arguments.first().ok_or_else(|| line.name.error("endpoint needs the URL of an API server"))?;
                self.endpoint = Some(url);
            }
            "tls" => match line.arguments.as_slice() {
                [certificate, key, authority] => {
                    self.tls = Some((line, [words::file(certificate), words::file(key), words::file(authority)]));
                }
                _ => return Err(line.name.error("tls needs three files: CERT KEY CACERT")),
            },
            "namespaces" => {
                if line.arguments.is_empty() {
                    return Err(line.name.error("namespaces needs at least one namespace"));
                }
                let (set, _) = self.namespaces.get_or_insert_with(|| (HashSet::new(), &line.name));
                for word in &line.arguments {
                    let label = Label::new(word.text.as_bytes());
                    set.insert(label.map_err(|error| word.error(format!("`{}` is no namespace: {error}", word.text)))?);
                }
            }
            "labels" => self.labels = Some(selector::read(line)?),
            "namespace_labels" => self.namespace_labels = Some((selector::read(line)?, &line.name)),
            "pods" => {
                let word = line.one_argument("disabled, insecure or verified")?;
                self.pods = match word.text.as_str() {
                    "disabled" => Pods::Disabled,
                    "insecure" => Pods::Insecure,
                    "verified" => Pods::Verified,
                    other => return Err(word.error(format!("`{other}` is none of disabled, insecure, verified"))),
                };
            }
            "endpoint_pod_names" => {
                line.no_arguments()?;
                self.endpoint_pod_names = true;
            }
            "noendpoints" => {
                line.no_arguments()?;
                self.noendpoints = Some(&line.name);
            }
            "ttl" => self.ttl = Some(words::number(line.one_argument("a number of seconds")?, 0..=3600)?),
            "fallthrough" => self.fallthrough = names::read_fallthrough(line)?,
            "ignore" => {
                let word = line.one_argument("empty_service")?;
                if word.text != "empty_service" {
                    return Err(word.error(format!("`{}` cannot be ignored, only empty_service", word.text)));
                }
                self.ignore_empty = true;
            }
            "zonal" => {
                line.no_arguments()?;
                self.zonal = true;
            }
            "startup_timeout" => {
                let time = words::duration(line.one_argument("a duration")?)?;
                self.startup_timeout = Some(time.min(LONGEST_STARTUP));
            }
            name @ ("apiserver_qps" | "apiserver_burst" | "apiserver_max_inflight") => {
                let word = line.one_argument("a number")?;
                let place =
                    ["apiserver_qps", "apiserver_burst", "apiserver_max_inflight"].iter().position(|n| *n == name);
                let value = match word.text.parse::<f64>() {
                    Ok(value) if value >= 0.0 && value <= f64::from(u32::MAX) => value.ceil() as u32,
                    _ => return Err(word.error(format!("`{}` is no number from 0 on", word.text))),
                };
                if let Some(limit) = place.and_then(|place| self.limits.get_mut(place)) {
                    *limit = value;
                }
            }
            "multicluster" => {
                for word in &line.arguments {
                    self.multicluster.extend(names::read_zone(word)?.into_iter().map(|zone| (zone, word)));
                }
            }
            _ => return Err(words::unknown(line, "kubernetes", &NAMES)),
        }
        Ok(())
    }

    /// Whether the zones of `multicluster` are among the directive's.
    pub(super) fn check_multicluster(&self, zones: &[Name]) -> Result<(), Error> {
        match self.multicluster.iter().find(|(zone, _)| !zones.contains(zone)) {
            None => Ok(()),
            Some((_, word)) => {
                let what = format!("the multicluster zone `{}` must be among the zones after kubernetes", word.text);
                Err(word.error(what))
            }
        }
    }

    /// Looks whether the files with the way to the cluster can be read.
    pub(super) fn expect_files(&self, context: &mut Context<'_, '_>) -> Result<(), Error> {
        if let Some((file, _)) = self.kubeconfig {
            context.expects_file(file, "the kubeconfig")?;
        } else if let (Some((line, _)), Some(_)) = (&self.tls, self.endpoint) {
            for word in &line.arguments {
                context.expects_file(word, "the file")?;
            }
        }
        Ok(())
    }

    pub(super) fn source(&self, directive: &'d Directive, labelled: bool) -> Result<(Source, &'d Token), Error> {
        if let (Some((_, at)), Some(_)) = (&self.namespace_labels, &self.namespaces) {
            return Err(at.error("namespace_labels and namespaces exclude each other"));
        }
        if self.zonal
            && let Some(at) = self.noendpoints
        {
            return Err(at.error("noendpoints and zonal exclude each other: zonal names are those of endpoints"));
        }
        let (access, at) = match (&self.kubeconfig, self.endpoint) {
            (Some((file, context)), _) => {
                (Access::Kubeconfig { file: words::file(file), context: context.clone() }, *file)
            }
            (None, Some(url)) => {
                let tls = self.tls.as_ref().map(|(_, files)| files.clone());
                (Access::Endpoint { url: url.text.clone(), tls }, url)
            }
            (None, None) => (Access::InCluster, &directive.name),
        };
        let source = Source {
            access,
            labels: self.labels.clone(),
            namespace_labels: self.namespace_labels.as_ref().map(|(selector, _)| selector.clone()),
            pods: self.pods == Pods::Verified,
            client_names: self.pods == Pods::Verified && labelled,
            endpoints: self.noendpoints.is_none(),
            endpoint_pod_names: self.endpoint_pod_names,
            zonal: self.zonal,
            multicluster: !self.multicluster.is_empty(),
            limits: self.limits,
        };
        Ok((source, at))
    }
}
