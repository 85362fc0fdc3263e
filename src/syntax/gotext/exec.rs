//! Filling a template in.

use super::Data;
use super::functions::{Function, Wanted};
use super::parse::{Branch, Loop, Node, Operand, Pipe, Read};
use super::value::Value;

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
pub(super) fn fill(read: &Read, data: &dyn Data) -> Result<String, String> {
    let variables = vec![(String::new(), Value::Root)];
    let mut run = Run { read, data, variables, out: String::new(), steps: 0, depth: 0 };
    run.nodes(&read.main, &Value::Root)?;
    Ok(run.out)
}

/// The way on behind a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'r> {
    read: &'r Read,
    data: &'r dyn Data,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    depth: usize,
}

impl<'r> Run<'r> {
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        match self.steps > MOST_STEPS || self.out.len() > LONGEST {
            true => Err("a template goes on for too long".into()),
            false => Ok(()),
        }
    }

    fn nodes(&mut self, nodes: &'r [Node], dot: &Value) -> Result<Flow, String> {
        if self.depth >= DEEPEST {
            return Err(format!("more than {DEEPEST} parts lie within one another"));
        }
        self.depth += 1;
        let done = self.each(nodes, dot);
        self.depth -= 1;
        done
    }

    fn each(&mut self, nodes: &'r [Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            self.step()?;
            let seen = self.variables.len();
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::On
                }
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.show(&value)?;
                    }
                    // What an action declares stays to the end of what it stands in.
                    continue;
                }
                Node::If(branch) => self.branch(branch, dot, false)?,
                Node::With(branch) => self.branch(branch, dot, true)?,
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Template(name, pipe) => self.template(name, pipe.as_ref(), dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            self.variables.truncate(seen);
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn show(&mut self, value: &Value) -> Result<(), String> {
        if *value == Value::Root {
            return Err("`.` alone has no text".into());
        }
        self.out.push_str(&value.to_string());
        Ok(())
    }

    fn branch(&mut self, branch: &'r Branch, dot: &Value, with: bool) -> Result<Flow, String> {
        for (pipe, part) in &branch.arms {
            let value = self.pipe(pipe, dot)?;
            if value.is_true() {
                return self.nodes(part, if with { &value } else { dot });
            }
        }
        self.nodes(&branch.otherwise, dot)
    }

    fn template(&mut self, name: &str, pipe: Option<&'r Pipe>, dot: &Value) -> Result<Flow, String> {
        let nodes = self.read.named.get(name).ok_or_else(|| format!("the template `{name}` does not exist"))?;
        let dot = pipe.map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        // It sees no variables of the one that calls it.
        let variables = std::mem::replace(&mut self.variables, vec![(String::new(), dot.clone())]);
        let done = self.nodes(nodes, &dot);
        self.variables = variables;
        done.map(|_| Flow::On)
    }

    fn range(&mut self, range: &'r Loop, dot: &Value) -> Result<Flow, String> {
        let value = self.pipe(&range.pipe, dot)?;
        let seen = self.variables.len();
        let mut any = false;
        let mut each = |run: &mut Self, index: Value, element: Value| {
            any = true;
            run.step()?;
            run.turn(&range.pipe, index, &element)?;
            let flow = run.nodes(&range.turn, &element);
            run.variables.truncate(seen);
            flow
        };
        let counts = matches!(value, Value::Int(_) | Value::Uint(..));
        if counts && range.pipe.variables.len() > 1 {
            return Err("a number gives one variable".into());
        }
        match &value {
            Value::Nil => {}
            Value::List(_, list) => {
                for (index, element) in list.iter().enumerate() {
                    let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    if each(self, index, element.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(_, map) => {
                for (key, element) in map.iter() {
                    if each(self, Value::Text(key.clone()), element.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(count) => {
                for index in 0..*count {
                    if each(self, Value::Int(index), Value::Int(index))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Uint(count, size) => {
                for index in 0..*count {
                    if each(self, Value::Uint(index, *size), Value::Uint(index, *size))? == Flow::Break {
                        break;
                    }
                }
            }
            other => return Err(format!("range cannot go through {}", other.kind())),
        }
        if any { Ok(Flow::On) } else { self.nodes(&range.otherwise, dot) }
    }

    /// Sets the variables of `range` for one turn.
    fn turn(&mut self, pipe: &Pipe, index: Value, element: &Value) -> Result<(), String> {
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

    fn assign(&mut self, name: &str, value: Value) -> Result<(), String> {
        let place = self.variables.iter_mut().rev().find(|(own, _)| own == name);
        let (_, own) = place.ok_or_else(|| format!("the variable `${name}` does not exist"))?;
        *own = value;
        Ok(())
    }

    //----------- Values -----------------------------------------------------

    fn pipe(&mut self, pipe: &'r Pipe, dot: &Value) -> Result<Value, String> {
        self.step()?;
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        let value = last.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            match pipe.assigns {
                true => self.assign(name, value.clone())?,
                false => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    /// A function or field with its arguments; what comes through a pipe is the last one.
    fn command(&mut self, command: &'r [Operand], dot: &Value, piped: Option<Value>) -> Result<Value, String> {
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

    fn variable(&self, name: &str) -> Result<Value, String> {
        let found = self.variables.iter().rev().find(|(own, _)| own == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| format!("the variable `${name}` does not exist"))
    }

    fn argument(&mut self, operand: &'r Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(Value::Nil),
            Operand::Bool(truth) => Ok(Value::Bool(*truth)),
            Operand::Number(number) => number.value(),
            Operand::Text(text) => Ok(Value::Text(text.clone())),
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
        value: Value,
        path: &'r [String],
        arguments: &'r [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let Some((last, before)) = path.split_last() else { return Ok(value) };
        let value = before.iter().try_fold(value, |value, name| self.field(value, name, &[], dot, None))?;
        self.field(value, last, arguments, dot, piped)
    }

    fn field(
        &mut self,
        value: Value,
        name: &str,
        arguments: &'r [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        if value == Value::Root && self.data.is_method(name) {
            let argument = match (arguments, piped) {
                ([Operand::Text(text)], None) => Value::Text(text.clone()),
                ([operand], None) => self.argument(operand, dot)?,
                ([], Some(piped)) => piped,
                _ => return Err(format!("`.{name}` takes one argument")),
            };
            let Value::Text(argument) = argument else { return Err(format!("`.{name}` takes a text")) };
            return Ok(self.data.call(name, &argument));
        }
        let alone = arguments.is_empty() && piped.is_none();
        let found = match &value {
            // A group that took no part in a match is nothing, and so is what lies below it.
            Value::Nil => return Ok(Value::Nil),
            Value::Root => self.data.field(name),
            Value::Object(object) => object.fields.iter().find(|(own, _)| own == &name).map(|(_, value)| value.clone()),
            Value::Map(_, map) => Some(map.get(name).cloned().unwrap_or(Value::Nil)),
            _ => None,
        };
        match found {
            Some(_) if !alone => Err(format!("`.{name}` takes no argument")),
            found => found.ok_or_else(|| format!("{} has no field `{name}`", value.kind())),
        }
    }

    fn function(
        &mut self,
        function: Function,
        arguments: &'r [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let count = arguments.len() + usize::from(piped.is_some());
        if !function.arity().contains(&count) {
            return Err(format!("{function:?} does not take {count} arguments").to_lowercase());
        }
        let mut values = Vec::with_capacity(count);
        for (place, operand) in arguments.iter().enumerate() {
            let value = match (function.wanted(place), operand) {
                // Where a whole number is wanted, `10.0` is one.
                (Wanted::Int, Operand::Number(number)) => {
                    Value::Int(number.whole.ok_or_else(|| "a whole number is wanted".to_owned())?)
                }
                (_, operand) => self.argument(operand, dot)?,
            };
            // What decides `and` and `or` ends them; the arguments behind it are not looked at.
            if matches!(function, Function::And | Function::Or) && value.is_true() == (function == Function::Or) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(piped);
        for (place, value) in values.iter().enumerate() {
            let fits = match function.wanted(place) {
                Wanted::Any => *value != Value::Root,
                Wanted::Text => matches!(value, Value::Text(_)),
                Wanted::Int => matches!(value, Value::Int(_)),
            };
            if !fits {
                return Err(format!("{function:?} does not take {} there", value.kind()).to_lowercase());
            }
        }
        let value = function.call(&values)?;
        if let Value::Text(text) = &value {
            // A width may be chosen by a client as well.
            self.steps += text.len() / 64;
        }
        Ok(value)
    }
}
