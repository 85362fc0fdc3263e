//! A manifest as a tree of values, each with its line and column; and the way to its fields that explains what is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

use super::error::{Error, FilePosition};
use crate::wire::Label;

//----------- Node -----------------------------------------------------------

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    line: u32,
    column: u32,
    value: ManifestValue,
}

#[derive(Debug)]
enum ManifestValue {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Box<str>),
    List(Vec<Node>),
    Map(Vec<(Box<str>, Node)>),
}

impl Node {
    /// Reads all documents of a text that stands behind so many lines of a file. JSON is read as the YAML that it is.
    ///
    /// # Errors
    /// When the text is no YAML, with the place and what is wrong there.
    pub(super) fn read(file: &Arc<Path>, before: u32, text: &str) -> Result<Vec<Self>, Error> {
        // Many objects in one file are nothing odd; what aliases may make of a short text stays bounded.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: 64 << 20,
                max_nodes: 64 << 20,
                max_documents: 1 << 20,
                max_depth: 128,
            },
        };
        let documents = serde_saphyr::from_multiple_with_options(text, options).map(|mut documents: Vec<Self>| {
            documents.iter_mut().for_each(|document| document.move_down(before));
            documents
        });
        documents.map_err(|error| {
            let error = error.without_snippet();
            let mut message = UserMessageFormatter.format_message(error).replace(char::is_control, " ");
            if text.contains("{{") {
                message.push_str("; a template is rendered first: helm template");
            }
            match error.location() {
                Some(at) => Error::at(place(file, before + at.line() as u32, at.column() as u32), message),
                None => Error::file(file, message),
            }
        })
    }

    fn move_down(&mut self, lines: u32) {
        self.line += lines;
        match &mut self.value {
            ManifestValue::List(nodes) => nodes.iter_mut().for_each(|node| node.move_down(lines)),
            ManifestValue::Map(fields) => fields.iter_mut().for_each(|(_, node)| node.move_down(lines)),
            ManifestValue::Null
            | ManifestValue::Bool(_)
            | ManifestValue::Integer(_)
            | ManifestValue::Float(_)
            | ManifestValue::Text(_) => {}
        }
    }

    /// Whether a document holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.value, ManifestValue::Null)
    }

    /// The whole document as a field without a name.
    pub(super) fn root<'d>(&'d self, file: &'d Arc<Path>) -> ManifestField<'d> {
        ManifestField { file, node: Some(self), near: self, path: String::new() }
    }

    /// The value that was found, in words.
    fn describe(&self) -> String {
        match &self.value {
            ManifestValue::Null => "nothing".into(),
            ManifestValue::Bool(value) => format!("{value} (a boolean)"),
            ManifestValue::Integer(value) => format!("{value} (a number)"),
            ManifestValue::Float(value) => format!("{value} (a number)"),
            ManifestValue::Text(text) => format!("{text:?}"),
            ManifestValue::List(_) => "a list".into(),
            ManifestValue::Map(_) => "a mapping".into(),
        }
    }

    /// Feeds every value, but no place, to a hash: equal for equal content.
    pub(super) fn fold(&self, hash: &mut impl FnMut(&[u8])) {
        match &self.value {
            ManifestValue::Null => hash(b"~"),
            ManifestValue::Bool(value) => hash(&[u8::from(*value)]),
            ManifestValue::Integer(value) => hash(&value.to_be_bytes()),
            ManifestValue::Float(value) => hash(&value.to_bits().to_be_bytes()),
            ManifestValue::Text(text) => hash(text.as_bytes()),
            ManifestValue::List(nodes) => nodes.iter().for_each(|node| {
                hash(b"-");
                node.fold(hash);
            }),
            ManifestValue::Map(fields) => fields.iter().for_each(|(key, node)| {
                hash(key.as_bytes());
                hash(b":");
                node.fold(hash);
            }),
        }
    }
}

fn place(file: &Arc<Path>, line: u32, column: u32) -> FilePosition {
    FilePosition { file: file.clone(), line, column }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<ManifestValue>::deserialize(deserializer)?;
        let at = spanned.referenced;
        Ok(Self { line: at.line() as u32, column: at.column() as u32, value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for ManifestValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = ManifestValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a manifest")
    }

    fn visit_unit<E>(self) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Null)
    }

    fn visit_none<E>(self) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<ManifestValue, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<ManifestValue, E> {
        Ok(i64::try_from(value).map_or(ManifestValue::Float(value as f64), ManifestValue::Integer))
    }

    fn visit_i128<E>(self, value: i128) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Float(value as f64))
    }

    fn visit_u128<E>(self, value: u128) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Float(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Text(text.into()))
    }

    fn visit_bytes<E>(self, octets: &[u8]) -> Result<ManifestValue, E> {
        Ok(ManifestValue::Text(String::from_utf8_lossy(octets).into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ManifestValue, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(ManifestValue::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ManifestValue, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, node)) = entries.next_entry::<String, Node>()? {
            fields.push((key.into_boxed_str(), node));
        }
        Ok(ManifestValue::Map(fields))
    }
}

//----------- Field ----------------------------------------------------------

/// A field of an object, present or not, with its path for messages. `null` counts as absent, as in the API.
#[derive(Clone, Debug)]
pub(super) struct ManifestField<'d> {
    file: &'d Arc<Path>,
    node: Option<&'d Node>,
    near: &'d Node,
    path: String,
}

impl<'d> ManifestField<'d> {
    /// Its place; an absent field points to what should hold it.
    pub(super) fn place(&self) -> FilePosition {
        let node = self.node.unwrap_or(self.near);
        place(self.file, node.line, node.column)
    }

    /// An error at this field.
    pub(super) fn error(&self, message: impl fmt::Display) -> Error {
        let path = if self.path.is_empty() { "the document" } else { &self.path };
        Error::at(self.place(), format!("{path}: {message}"))
    }

    fn expected(&self, what: &str) -> Error {
        match self.node {
            Some(node) => self.error(format_args!("expected {what}, found {}", node.describe())),
            None => self.error(format_args!("missing; expected {what}")),
        }
    }

    /// Whether it is there.
    pub(super) fn is_present(&self) -> bool {
        self.node.is_some()
    }

    /// The node itself, for a hash of its content.
    pub(super) fn node(&self) -> Option<&'d Node> {
        self.node
    }

    /// Whether this is a mapping with such a field, in any spelling.
    pub(super) fn has_field(&self, name: &str) -> bool {
        match self.node.map(|node| &node.value) {
            Some(ManifestValue::Map(fields)) => fields.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)),
            _ => false,
        }
    }

    /// The keys of this mapping; none of anything else.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'d str> {
        let fields = match self.node.map(|node| &node.value) {
            Some(ManifestValue::Map(fields)) => fields.as_slice(),
            _ => &[],
        };
        fields.iter().map(|(key, _)| &**key)
    }

    /// A field of this mapping.
    ///
    /// # Errors
    /// When this is no mapping, or the field is there in another spelling (`clusterIp`).
    pub(super) fn get(&self, name: &str) -> Result<Self, Error> {
        let path = if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) };
        let mut field = ManifestField { file: self.file, node: None, near: self.node.unwrap_or(self.near), path };
        let Some(node) = self.node else { return Ok(field) };
        let ManifestValue::Map(fields) = &node.value else { return Err(self.expected("a mapping")) };
        for (key, node) in fields {
            if **key == *name {
                field.node = Some(node).filter(|node| !matches!(node.value, ManifestValue::Null));
            } else if key.eq_ignore_ascii_case(name) {
                let at = place(self.file, node.line, node.column);
                return Err(Error::at(at, format!("unknown field {key}: it is spelled {name}")));
            }
        }
        Ok(field)
    }

    /// Text.
    ///
    /// # Errors
    /// When it is something else; numbers want quotes.
    pub(super) fn text(&self) -> Result<Option<&'d str>, Error> {
        match self.node.map(|node| &node.value) {
            None => Ok(None),
            Some(ManifestValue::Text(text)) => Ok(Some(text)),
            Some(ManifestValue::Bool(_) | ManifestValue::Integer(_) | ManifestValue::Float(_)) => {
                Err(self.expected("text in quotes"))
            }
            Some(_) => Err(self.expected("text")),
        }
    }

    /// Text that is there and is not empty.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn required_text(&self) -> Result<&'d str, Error> {
        self.text()?.filter(|text| !text.is_empty()).ok_or_else(|| self.expected("text"))
    }

    /// A truth value; absent is false.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn boolean(&self) -> Result<Option<bool>, Error> {
        match self.node.map(|node| &node.value) {
            None => Ok(None),
            Some(ManifestValue::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.expected("true or false")),
        }
    }

    /// A whole number of a range.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn number(&self, least: i64, most: i64) -> Result<Option<i64>, Error> {
        match self.node.map(|node| &node.value) {
            None => Ok(None),
            Some(ManifestValue::Integer(value)) if (least..=most).contains(value) => Ok(Some(*value)),
            Some(_) => Err(self.expected(&format!("a whole number from {least} to {most}"))),
        }
    }

    /// A port number.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn port(&self) -> Result<Option<u16>, Error> {
        Ok(self.number(1, 65_535)?.and_then(|number| u16::try_from(number).ok()))
    }

    /// A DNS label as the API takes it for names: letters, digits and `-` inside, at most 63.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn label(&self) -> Result<Option<Label>, Error> {
        let Some(text) = self.text()?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
        let bytes = text.as_bytes();
        let fits = bytes.iter().all(|&octet| inner(octet) || octet == b'-')
            && bytes.first().is_some_and(|&octet| inner(octet))
            && bytes.last().is_some_and(|&octet| inner(octet));
        if !fits {
            return Err(self.expected("a DNS label: lower-case letters, digits and - inside"));
        }
        Label::new(bytes).map(Some).map_err(|error| self.error(format_args!("{text:?}: {error}")))
    }

    /// An IP address.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn address(&self) -> Result<Option<IpAddr>, Error> {
        let Some(text) = self.text()?.filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.expected("an IP address"))
    }

    /// The items of a list; none when it is absent.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn items(&self) -> Result<Vec<Self>, Error> {
        match self.node.map(|node| &node.value) {
            None => Ok(Vec::new()),
            Some(ManifestValue::List(nodes)) => Ok(nodes
                .iter()
                .enumerate()
                .map(|(index, node)| ManifestField {
                    file: self.file,
                    node: Some(node).filter(|node| !matches!(node.value, ManifestValue::Null)),
                    near: node,
                    path: format!("{}[{index}]", self.path),
                })
                .collect()),
            Some(_) => Err(self.expected("a list")),
        }
    }

    /// A mapping of text to text: labels, annotations, selectors.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn texts(&self) -> Result<BTreeMap<String, String>, Error> {
        let Some(node) = self.node else { return Ok(BTreeMap::new()) };
        let ManifestValue::Map(fields) = &node.value else { return Err(self.expected("a mapping of text to text")) };
        let mut texts = BTreeMap::new();
        for (key, node) in fields {
            let field =
                ManifestField { file: self.file, node: Some(node), near: node, path: format!("{}.{key}", self.path) };
            let text = match &node.value {
                ManifestValue::Null => "",
                _ => field.text()?.unwrap_or_default(),
            };
            texts.insert(String::from(&**key), text.into());
        }
        Ok(texts)
    }

    /// Text or number: `targetPort`.
    pub(super) fn is_number(&self) -> bool {
        self.node.is_some_and(|node| matches!(node.value, ManifestValue::Integer(_)))
    }
}
