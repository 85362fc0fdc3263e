//! Filling a template in.

use super::TemplateData;
use super::functions::{Builtin, ParameterType};
use super::parse::{Branch, Operand, ParsedTemplate, Pipe, RangeLoop, TemplateNode};
use super::value::GoValue;

/// The most parts that are filled in, those in loops each time: a client may choose how often `range` goes round.
const MOST_STEPS: usize = 100_000;

/// The octets that a text may have: no record is as long.
const LONGEST: usize = 1 << 20;

/// The most parts that may lie within one another, those of templates that call one another too.
const DEEPEST: usize = 128;

/// Fills a template in.
///
/// # Errors
/// When a field does not exist or a function does not take its arguments.
pub(super) fn fill(read: &ParsedTemplate, data: &dyn TemplateData) -> Result<String, String> {
    let variables = vec![(String::new(), GoValue::Root)];
    let mut run = Execution { read, data, variables, out: String::new(), steps: 0, depth: 0 };
    run.nodes(&read.main, &GoValue::Root)?;
    Ok(run.out)
}

/// The way on behind a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Execution<'r> {
    read: &'r ParsedTemplate,
    data: &'r dyn TemplateData,
    variables: Vec<(String, GoValue)>,
    out: String,
    steps: usize,
    depth: usize,
}

impl<'r> Execution<'r> {
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        match self.steps > MOST_STEPS || self.out.len() > LONGEST {
            true => Err("a template goes on for too long".into()),
            false => Ok(()),
        }
    }

    fn nodes(&mut self, nodes: &'r [TemplateNode], dot: &GoValue) -> Result<Flow, String> {
        if self.depth >= DEEPEST {
            return Err(format!("more than {DEEPEST} parts lie within one another"));
        }
        self.depth += 1;
        let done = self.each(nodes, dot);
        self.depth -= 1;
        done
    }

    fn each(&mut self, nodes: &'r [TemplateNode], dot: &GoValue) -> Result<Flow, String> {
        for node in nodes {
            self.step()?;
            let seen = self.variables.len();
            let flow = match node {
                TemplateNode::Text(text) => {
                    self.out.push_str(text);
                    Flow::On
                }
                TemplateNode::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.show(&value)?;
                    }
                    // What an action declares stays to the end of what it stands in.
                    continue;
                }
                TemplateNode::If(branch) => self.branch(branch, dot, false)?,
                TemplateNode::With(branch) => self.branch(branch, dot, true)?,
                TemplateNode::Range(branch) => self.range(branch, dot)?,
                TemplateNode::Template(name, pipe) => self.template(name, pipe.as_ref(), dot)?,
                TemplateNode::Break => Flow::Break,
                TemplateNode::Continue => Flow::Continue,
            };
            self.variables.truncate(seen);
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn show(&mut self, value: &GoValue) -> Result<(), String> {
        if *value == GoValue::Root {
            return Err("`.` alone has no text".into());
        }
        self.out.push_str(&value.to_string());
        Ok(())
    }

    fn branch(&mut self, branch: &'r Branch, dot: &GoValue, with: bool) -> Result<Flow, String> {
        for (pipe, part) in &branch.arms {
            let value = self.pipe(pipe, dot)?;
            if value.is_true() {
                return self.nodes(part, if with { &value } else { dot });
            }
        }
        self.nodes(&branch.otherwise, dot)
    }

    fn template(&mut self, name: &str, pipe: Option<&'r Pipe>, dot: &GoValue) -> Result<Flow, String> {
        let nodes = self.read.named.get(name).ok_or_else(|| format!("the template `{name}` does not exist"))?;
        let dot = pipe.map_or(Ok(GoValue::Nil), |pipe| self.pipe(pipe, dot))?;
        // It sees no variables of the one that calls it.
        let variables = std::mem::replace(&mut self.variables, vec![(String::new(), dot.clone())]);
        let done = self.nodes(nodes, &dot);
        self.variables = variables;
        done.map(|_| Flow::On)
    }

    fn range(&mut self, range: &'r RangeLoop, dot: &GoValue) -> Result<Flow, String> {
        let value = self.pipe(&range.pipe, dot)?;
        let seen = self.variables.len();
        let mut any = false;
        let mut each = |run: &mut Self, index: GoValue, element: GoValue| {
            any = true;
            run.step()?;
            run.turn(&range.pipe, index, &element)?;
            let flow = run.nodes(&range.turn, &element);
            run.variables.truncate(seen);
            flow
        };
        let counts = matches!(value, GoValue::Int(_) | GoValue::Uint(..));
        if counts && range.pipe.variables.len() > 1 {
            return Err("a number gives one variable".into());
        }
        match &value {
            GoValue::Nil => {}
            GoValue::List(_, list) => {
                for (index, element) in list.iter().enumerate() {
                    let index = GoValue::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    if each(self, index, element.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            GoValue::Map(_, map) => {
                for (key, element) in map.iter() {
                    if each(self, GoValue::Text(key.clone()), element.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            GoValue::Int(count) => {
                for index in 0..*count {
                    if each(self, GoValue::Int(index), GoValue::Int(index))? == Flow::Break {
                        break;
                    }
                }
            }
            GoValue::Uint(count, size) => {
                for index in 0..*count {
                    if each(self, GoValue::Uint(index, *size), GoValue::Uint(index, *size))? == Flow::Break {
                        break;
                    }
                }
            }
            other => return Err(format!("range cannot go through {}", other.kind())),
        }
        if any { Ok(Flow::On) } else { self.nodes(&range.otherwise, dot) }
    }

    /// Sets the variables of `range` for one turn.
    fn turn(&mut self, pipe: &Pipe, index: GoValue, element: &GoValue) -> Result<(), String> {
        let values = match pipe.variables.as_slice() {
            [] => return Ok(()),
            [_] => vec![element.clone()],
            _ => vec![index, element.clone()],
        };
        for (name, value) in pipe.variables.iter().zip(values) {
            match pipe.assigns {
                true => self.assign(name, value)?,
                false => self.variables.push((name.clone(), value)),
            }
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, value: GoValue) -> Result<(), String> {
        let place = self.variables.iter_mut().rev().find(|(own, _)| own == name);
        let (_, own) = place.ok_or_else(|| format!("the variable `${name}` does not exist"))?;
        *own = value;
        Ok(())
    }

    //----------- Values -----------------------------------------------------

    fn pipe(&mut self, pipe: &'r Pipe, dot: &GoValue) -> Result<GoValue, String> {
        self.step()?;
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        let value = last.unwrap_or(GoValue::Nil);
        for name in &pipe.variables {
            match pipe.assigns {
                true => self.assign(name, value.clone())?,
                false => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    /// A function or field with its arguments; what comes through a pipe is the last one.
    fn command(&mut self, command: &'r [Operand], dot: &GoValue, piped: Option<GoValue>) -> Result<GoValue, String> {
        let Some((first, arguments)) = command.split_first() else { return Err("a command is empty".into()) };
        let alone = arguments.is_empty() && piped.is_none();
        match first {
            Operand::Field(path) => self.fields(dot.clone(), path, arguments, dot, piped),
            Operand::Chain(inner, path) => {
                let value = self.argument(inner, dot)?;
                self.fields(value, path, arguments, dot, piped)
            }
            Operand::Function(function) => self.function(*function, arguments, dot, piped),
            Operand::Variable(name, path) if !path.is_empty() => {
                let value = self.variable(name)?;
                self.fields(value, path, arguments, dot, piped)
            }
            _ if !alone => Err("only functions take arguments".into()),
            Operand::Nil => Err("nil alone is nothing".into()),
            other => self.argument(other, dot),
        }
    }

    fn variable(&self, name: &str) -> Result<GoValue, String> {
        let found = self.variables.iter().rev().find(|(own, _)| own == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| format!("the variable `${name}` does not exist"))
    }

    fn argument(&mut self, operand: &'r Operand, dot: &GoValue) -> Result<GoValue, String> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(GoValue::Nil),
            Operand::Bool(truth) => Ok(GoValue::Bool(*truth)),
            Operand::Number(number) => number.value(),
            Operand::Text(text) => Ok(GoValue::Text(text.clone())),
            Operand::Pipe(pipe) => self.pipe(pipe, dot),
            Operand::Variable(name, path) if path.is_empty() => self.variable(name),
            Operand::Field(_) | Operand::Variable(..) | Operand::Function(_) | Operand::Chain(..) => {
                self.command(std::slice::from_ref(operand), dot, None)
            }
        }
    }

    /// The fields of a value, one below the other; arguments are for the last.
    fn fields(
        &mut self,
        value: GoValue,
        path: &'r [String],
        arguments: &'r [Operand],
        dot: &GoValue,
        piped: Option<GoValue>,
    ) -> Result<GoValue, String> {
        let Some((last, before)) = path.split_last() else { return Ok(value) };
        let value = before.iter().try_fold(value, |value, name| self.field(value, name, &[], dot, None))?;
        self.field(value, last, arguments, dot, piped)
    }

    fn field(
        &mut self,
        value: GoValue,
        name: &str,
        arguments: &'r [Operand],
        dot: &GoValue,
        piped: Option<GoValue>,
    ) -> Result<GoValue, String> {
        if value == GoValue::Root && self.data.is_method(name) {
            let argument = match (arguments, piped) {
                ([Operand::Text(text)], None) => GoValue::Text(text.clone()),
                ([operand], None) => self.argument(operand, dot)?,
                ([], Some(piped)) => piped,
                _ => return Err(format!("`.{name}` takes one argument")),
            };
            let GoValue::Text(argument) = argument else { return Err(format!("`.{name}` takes a text")) };
            return Ok(self.data.call(name, &argument));
        }
        let alone = arguments.is_empty() && piped.is_none();
        let found = match &value {
            // A group that took no part in a match is nothing, and so is what lies below it.
            GoValue::Nil => return Ok(GoValue::Nil),
            GoValue::Root => self.data.field(name),
            GoValue::Object(object) => {
                object.fields.iter().find(|(own, _)| own == &name).map(|(_, value)| value.clone())
            }
            GoValue::Map(_, map) => Some(map.get(name).cloned().unwrap_or(GoValue::Nil)),
            _ => None,
        };
        match found {
            Some(_) if !alone => Err(format!("`.{name}` takes no argument")),
            found => found.ok_or_else(|| format!("{} has no field `{name}`", value.kind())),
        }
    }

    fn function(
        &mut self,
        function: Builtin,
        arguments: &'r [Operand],
        dot: &GoValue,
        piped: Option<GoValue>,
    ) -> Result<GoValue, String> {
        let count = arguments.len() + usize::from(piped.is_some());
        if !function.arity().contains(&count) {
            return Err(format!("{function:?} does not take {count} arguments").to_lowercase());
        }
        let mut values = Vec::with_capacity(count);
        for (place, operand) in arguments.iter().enumerate() {
            let value = match (function.wanted(place), operand) {
                // Where a whole number is wanted, `10.0` is one.
                (ParameterType::Int, Operand::Number(number)) => {
                    GoValue::Int(number.whole.ok_or_else(|| "a whole number is wanted".to_owned())?)
                }
                (_, operand) => self.argument(operand, dot)?,
            };
            // What decides `and` and `or` ends them; the arguments behind it are not looked at.
            if matches!(function, Builtin::And | Builtin::Or) && value.is_true() == (function == Builtin::Or) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(piped);
        for (place, value) in values.iter().enumerate() {
            let fits = match function.wanted(place) {
                ParameterType::Any => *value != GoValue::Root,
                ParameterType::Text => matches!(value, GoValue::Text(_)),
                ParameterType::Int => matches!(value, GoValue::Int(_)),
            };
            if !fits {
                return Err(format!("{function:?} does not take {} there", value.kind()).to_lowercase());
            }
        }
        let value = function.call(&values)?;
        if let GoValue::Text(text) = &value {
            // A width may be chosen by a client as well.
            self.steps += text.len() / 64;
        }
        Ok(value)
    }
}
