//! Go's text templates, as Corefiles have them.
//!
//! [`lex`] parts a template into tokens, [`parse`] says what it consists of, [`exec`] fills it in. All of the language is here:
//! fields, variables, pipes, `if`, `with`, `range`, templates within templates, Go's functions and CoreDNS's `parseInt`; [`printf`]
//! shows values as Go's `fmt` does. Work is bounded: parts within parts when it is read, turns of loops and length when it is filled in.
//!
//! By hand: a template must print what Go prints, to the octet and within bounds, and no crate promises either.

mod exec;
mod functions;
mod lex;
mod number;
mod parse;
mod printf;
mod value;

pub(crate) use value::{GoObject, GoValue, UintSize};

/// A template, read once and filled in for each query.
#[derive(Debug)]
pub(crate) struct Template(parse::ParsedTemplate);

/// The data that a template is filled in from.
pub(crate) trait TemplateData {
    /// A field at the top.
    fn field(&self, name: &str) -> Option<GoValue>;
    /// Whether a field at the top is called with a text.
    fn is_method(&self, name: &str) -> bool;
    /// The value of such a field.
    fn call(&self, name: &str, argument: &str) -> GoValue;
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse::read(text).map(Self)
    }

    /// Fills the template in.
    ///
    /// # Errors
    /// When a field does not exist or a function does not take its arguments.
    pub(crate) fn fill(&self, data: &dyn TemplateData) -> Result<String, String> {
        exec::fill(&self.0, data)
    }
}

#[cfg(test)]
mod tests;
