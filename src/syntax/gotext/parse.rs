//! The parts of a template, read from its tokens.

use std::collections::HashMap;

use super::functions::Builtin;
use super::lex::{TemplateToken, tokens};
use super::number::Number;

/// Reading and filling in go one call deeper for each part within another; no honest template is as deep as this.
const DEEPEST: usize = 64;

#[derive(Debug)]
pub(super) enum TemplateNode {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(RangeLoop),
    /// Another template by its name, and what it is filled in from.
    Template(String, Option<Pipe>),
    Break,
    Continue,
}

/// Parts, each with the value that it depends on, and what holds when none does.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) arms: Vec<(Pipe, Vec<TemplateNode>)>,
    pub(super) otherwise: Vec<TemplateNode>,
}

#[derive(Debug)]
pub(super) struct RangeLoop {
    pub(super) pipe: Pipe,
    pub(super) turn: Vec<TemplateNode>,
    pub(super) otherwise: Vec<TemplateNode>,
}

/// Commands, each of which takes the value of the one before as its last argument; its value may go to variables.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) variables: Vec<String>,
    /// The variables are there already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

#[derive(Debug)]
pub(super) enum Operand {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(String),
    /// `.A.B`.
    Field(Vec<String>),
    /// `$x.A.B`.
    Variable(String, Vec<String>),
    Function(Builtin),
    Pipe(Pipe),
    /// `(…).A.B`.
    Chain(Box<Self>, Vec<String>),
}

/// All that is read: the template itself, and those that it defines.
#[derive(Debug)]
pub(super) struct ParsedTemplate {
    pub(super) main: Vec<TemplateNode>,
    pub(super) named: HashMap<String, Vec<TemplateNode>>,
}

/// Reads a template.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(text: &str) -> Result<ParsedTemplate, String> {
    let tokens = tokens(text)?;
    let variables = vec![String::new()];
    let mut parser = TemplateParser { rest: &tokens, variables, ranges: 0, depth: 0, named: HashMap::new() };
    let (main, end) = parser.nodes(true)?;
    match end {
        End::Text => Ok(ParsedTemplate { main, named: parser.named }),
        End::Else => Err("an `else` belongs to nothing".into()),
        End::Closed => Err("an `end` belongs to nothing".into()),
    }
}

/// The word that nodes end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Text,
    Else,
    Closed,
}

/// The mark that a pipe ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Right,
    Close,
}

struct TemplateParser<'t> {
    rest: &'t [TemplateToken],
    /// The variables that can be seen here.
    variables: Vec<String>,
    /// The number of `range` around.
    ranges: usize,
    depth: usize,
    named: HashMap<String, Vec<TemplateNode>>,
}

impl<'t> TemplateParser<'t> {
    fn next(&mut self) -> Option<&'t TemplateToken> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn next_if(&mut self, wanted: &TemplateToken) -> bool {
        let is = self.rest.first() == Some(wanted);
        if is {
            self.next();
        }
        is
    }

    fn skip_space(&mut self) {
        while self.next_if(&TemplateToken::Space) {}
    }

    /// Does something one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth >= DEEPEST {
            return Err(format!("more than {DEEPEST} parts of it lie within one another"));
        }
        self.depth += 1;
        let done = read(self);
        self.depth -= 1;
        done
    }

    /// Reads up to the end or to an `else` or `end` of the level above. Behind an `else` stands what follows the word.
    fn nodes(&mut self, top: bool) -> Result<(Vec<TemplateNode>, End), String> {
        let mut nodes = Vec::new();
        while let Some(token) = self.next() {
            if let TemplateToken::Raw(text) = token {
                if !text.is_empty() {
                    nodes.push(TemplateNode::Text(text.clone()));
                }
                continue;
            }
            self.skip_space();
            let keyword = match self.rest.first() {
                Some(TemplateToken::Word(word)) => word.as_str(),
                _ => "",
            };
            let known = ["if", "with", "range", "else", "end", "template", "block", "define", "break", "continue"];
            if !known.contains(&keyword) {
                nodes.push(TemplateNode::Action(self.pipe("an action", Until::Right)?));
                continue;
            }
            self.next();
            match keyword {
                "end" => return self.closed("end").map(|()| (nodes, End::Closed)),
                "else" => return Ok((nodes, End::Else)),
                "if" | "with" | "range" => nodes.push(self.deeper(|inner| inner.branch(keyword))?),
                "template" => {
                    let name = self.name("template")?;
                    nodes.push(TemplateNode::Template(name, self.argument()?));
                }
                "block" => {
                    let name = self.name("block")?;
                    let pipe = self.pipe("block", Until::Right)?;
                    self.deeper(|inner| inner.define(name.clone()))?;
                    nodes.push(TemplateNode::Template(name, Some(pipe)));
                }
                "define" if top => {
                    let name = self.name("define")?;
                    self.closed("define")?;
                    self.deeper(|inner| inner.define(name))?;
                }
                "break" | "continue" if self.ranges > 0 => {
                    self.closed(keyword)?;
                    nodes.push(if keyword == "break" { TemplateNode::Break } else { TemplateNode::Continue });
                }
                other => return Err(format!("`{other}` cannot stand here")),
            }
        }
        Ok((nodes, End::Text))
    }

    /// Checks that nothing more stands in the action.
    fn closed(&mut self, what: &str) -> Result<(), String> {
        self.skip_space();
        if self.next_if(&TemplateToken::Right) { Ok(()) } else { Err(format!("`{what}` is followed by something")) }
    }

    fn name(&mut self, what: &str) -> Result<String, String> {
        self.skip_space();
        match self.next() {
            Some(TemplateToken::Text(name)) => Ok(name.clone()),
            _ => Err(format!("`{what}` needs a name in quotes")),
        }
    }

    fn argument(&mut self) -> Result<Option<Pipe>, String> {
        self.skip_space();
        if self.next_if(&TemplateToken::Right) {
            return Ok(None);
        }
        self.pipe("template", Until::Right).map(Some)
    }

    /// A template of its own, up to its end: it sees no variables of this one.
    fn define(&mut self, name: String) -> Result<(), String> {
        let variables = std::mem::replace(&mut self.variables, vec![String::new()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, end) = self.nodes(false)?;
        (self.variables, self.ranges) = (variables, ranges);
        if end != End::Closed {
            return Err(format!("the template `{name}` has no `end`"));
        }
        // The one that stands first and says something counts, as far as the others say nothing.
        let blank = |nodes: &[TemplateNode]| {
            nodes.iter().all(|node| matches!(node, TemplateNode::Text(text) if text.trim().is_empty()))
        };
        if !blank(&nodes) || !self.named.contains_key(&name) {
            self.named.insert(name, nodes);
        }
        Ok(())
    }

    /// `if`, `with` or `range`, up to its end.
    fn branch(&mut self, keyword: &str) -> Result<TemplateNode, String> {
        let seen = self.variables.len();
        let repeats = keyword == "range";
        let (mut arms, mut otherwise) = (Vec::new(), Vec::new());
        let end = loop {
            let pipe = self.pipe(keyword, Until::Right)?;
            self.ranges += usize::from(repeats);
            let (nodes, end) = self.nodes(false)?;
            self.ranges -= usize::from(repeats);
            arms.push((pipe, nodes));
            if end != End::Else {
                break end;
            }
            self.skip_space();
            // `else if` and `else with` go on with another arm; there is one end for all.
            if repeats || !self.next_if(&TemplateToken::Word(keyword.to_owned())) {
                self.closed("else")?;
                let (nodes, end) = self.nodes(false)?;
                otherwise = nodes;
                break end;
            }
        };
        self.variables.truncate(seen);
        if end != End::Closed {
            return Err(format!("`{keyword}` has no `end`"));
        }
        Ok(match keyword {
            "if" => TemplateNode::If(Branch { arms, otherwise }),
            "with" => TemplateNode::With(Branch { arms, otherwise }),
            _ => match arms.pop() {
                Some((pipe, turn)) => TemplateNode::Range(RangeLoop { pipe, turn, otherwise }),
                None => return Err("`range` has no part".into()),
            },
        })
    }

    /// Variables, if any, and commands, up to the end of the action or the parenthesis, which it takes.
    fn pipe(&mut self, what: &str, until: Until) -> Result<Pipe, String> {
        self.skip_space();
        let mut pipe = Pipe::default();
        self.declarations(what, &mut pipe)?;
        loop {
            self.skip_space();
            match self.rest.first() {
                Some(TemplateToken::Right) if until == Until::Right => {
                    self.next();
                    break;
                }
                Some(TemplateToken::Close) if until == Until::Close => {
                    self.next();
                    break;
                }
                _ => pipe.commands.push(self.command()?),
            }
        }
        let later = pipe.commands.get(1..).unwrap_or_default();
        if pipe.commands.is_empty() {
            return Err(format!("{what} has no value"));
        }
        let literal = |operand: &Operand| {
            matches!(operand, Operand::Bool(_) | Operand::Dot | Operand::Nil | Operand::Number(_) | Operand::Text(_))
        };
        if later.iter().any(|command| command.first().is_some_and(literal)) {
            return Err("what stands behind a `|` takes no value".into());
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, and in `range` `$i, $x :=`; nothing is taken where they are not there.
    fn declarations(&mut self, what: &str, pipe: &mut Pipe) -> Result<(), String> {
        let start = self.rest;
        let mut names = Vec::new();
        while let Some(TemplateToken::Variable(name)) = self.rest.first() {
            self.next();
            self.skip_space();
            names.push(name.clone());
            match self.next() {
                Some(token @ (TemplateToken::Declare | TemplateToken::Assign)) => {
                    pipe.assigns = *token == TemplateToken::Assign;
                    if !pipe.assigns {
                        self.variables.extend(names.iter().cloned());
                    }
                    pipe.variables = names;
                    return Ok(());
                }
                Some(TemplateToken::Comma) if what == "range" && names.len() < 2 => self.skip_space(),
                Some(TemplateToken::Comma) => return Err(format!("too many variables in {what}")),
                _ => break,
            }
        }
        if names.len() > 1 {
            return Err("`range` can set variables only".into());
        }
        match start.iter().find(|token| !matches!(token, TemplateToken::Variable(_) | TemplateToken::Space)) {
            Some(TemplateToken::Comma) => return Err("`range` can set variables only".into()),
            _ => self.rest = start,
        }
        Ok(())
    }

    /// Operands with spaces between, up to a `|`, which it takes, or the end of the pipe.
    fn command(&mut self) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            let operand = self.operand()?;
            let found = operand.is_some();
            operands.extend(operand);
            match self.rest.first() {
                Some(TemplateToken::Space) if found => {}
                Some(TemplateToken::Pipe) => {
                    self.next();
                    break;
                }
                Some(TemplateToken::Right | TemplateToken::Close) => break,
                Some(other) => return Err(format!("{other:?} cannot stand here")),
                None => return Err("an action is not closed".into()),
            }
        }
        if operands.is_empty() { Err("a command is empty".into()) } else { Ok(operands) }
    }

    /// An operand and the fields behind it.
    fn operand(&mut self) -> Result<Option<Operand>, String> {
        let operand = match self.rest.first() {
            Some(TemplateToken::Word(word)) => match word.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                name => match Builtin::named(name) {
                    Some(function) => Operand::Function(function),
                    None => return Err(format!("the function `{name}` does not exist in a template")),
                },
            },
            Some(TemplateToken::Dot) => Operand::Dot,
            Some(TemplateToken::Variable(name)) if self.variables.contains(name) => {
                Operand::Variable(name.clone(), Vec::new())
            }
            Some(TemplateToken::Variable(name)) => return Err(format!("the variable `${name}` does not exist")),
            Some(TemplateToken::Field(name)) => Operand::Field(vec![name.clone()]),
            Some(TemplateToken::Number(number)) => Operand::Number(number.clone()),
            Some(TemplateToken::Text(text)) => Operand::Text(text.clone()),
            Some(TemplateToken::Open) => {
                self.next();
                let pipe = self.deeper(|inner| inner.pipe("a parenthesis", Until::Close))?;
                return self.chain(Operand::Pipe(pipe)).map(Some);
            }
            _ => return Ok(None),
        };
        self.next();
        self.chain(operand).map(Some)
    }

    fn chain(&mut self, operand: Operand) -> Result<Operand, String> {
        let mut fields = Vec::new();
        while let Some(TemplateToken::Field(name)) = self.rest.first() {
            fields.push(name.clone());
            self.next();
        }
        Ok(match operand {
            operand if fields.is_empty() => operand,
            Operand::Field(mut path) => {
                path.append(&mut fields);
                Operand::Field(path)
            }
            Operand::Variable(name, _) => Operand::Variable(name, fields),
            Operand::Bool(_) | Operand::Text(_) | Operand::Number(_) | Operand::Nil | Operand::Dot => {
                return Err(format!("`.{}` stands behind what has no fields", fields.join(".")));
            }
            other => Operand::Chain(Box::new(other), fields),
        })
    }
}
