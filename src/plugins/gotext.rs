//! The part of Go's text templates that Corefiles use: fields, `index`, a few functions, `if`.

use std::collections::BTreeMap;
use std::fmt;

/// A value in a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    Nil,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// Several values by number.
    List(Vec<Self>),
    /// Several values by name.
    Map(BTreeMap<String, Self>),
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }
}

impl From<super::expression::Value> for Value {
    fn from(value: super::expression::Value) -> Self {
        use super::expression::Value as Own;
        match value {
            Own::Bool(truth) => Self::Bool(truth),
            Own::Int(number) => Self::Int(number),
            Own::Text(text) => Self::Text(text),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<no value>"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => {
                let all: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", all.join(" "))
            }
            Self::Map(map) => {
                let all: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                write!(f, "map[{}]", all.join(" "))
            }
        }
    }
}

/// A template, read once and filled in for each query.
#[derive(Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Text(String),
    Print(Expression),
    /// Conditions with their parts, then what holds when none does.
    If(Vec<(Expression, Vec<Self>)>, Vec<Self>),
}

#[derive(Debug)]
enum Expression {
    Literal(Value),
    /// `.A.B`; a lone `.` has no parts.
    Field(Vec<String>),
    Call(Function, Vec<Self>),
    /// `.Meta "label"`: a field that is called.
    Method(Vec<String>, Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Index,
    ParseInt,
    Eq,
    Ne,
    Not,
    And,
    Or,
    Len,
    Print,
    Printf,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a template is filled in from.
pub(crate) trait Data {
    /// A field at the top.
    fn field(&self, name: &str) -> Option<Value>;
    /// A field at the top that is called with an argument.
    fn call(&self, name: &str, argument: &str) -> Option<Value>;
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = split(text)?.into_iter().peekable();
        let (nodes, end) = nodes(&mut pieces, 0)?;
        match end {
            None => Ok(Self { nodes }),
            Some(word) => Err(format!("`{{{{ {word} }}}}` belongs to no `if`")),
        }
    }

    /// Fills the template in.
    ///
    /// # Errors
    /// When a field does not exist or a function does not take its arguments.
    pub(crate) fn fill(&self, data: &dyn Data) -> Result<String, String> {
        let mut text = String::new();
        write(&self.nodes, data, &mut text)?;
        Ok(text)
    }
}

fn write(nodes: &[Node], data: &dyn Data, text: &mut String) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(part) => text.push_str(part),
            Node::Print(expression) => text.push_str(&expression.value(data)?.to_string()),
            Node::If(branches, otherwise) => {
                let mut chosen = otherwise;
                for (condition, part) in branches {
                    if condition.value(data)?.is_true() {
                        chosen = part;
                        break;
                    }
                }
                write(chosen, data, text)?;
            }
        }
    }
    Ok(())
}

impl Expression {
    fn value(&self, data: &dyn Data) -> Result<Value, String> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Field(path) => field(data, path),
            Self::Method(path, arguments) => {
                let (Some(name), [argument]) = (path.first(), arguments.as_slice()) else {
                    return Err("a field takes one argument or none".into());
                };
                let argument = argument.value(data)?.to_string();
                data.call(name, &argument).ok_or_else(|| format!("`.{name}` takes no argument"))
            }
            Self::Call(function, arguments) => {
                let values = arguments.iter().map(|it| it.value(data)).collect::<Result<Vec<_>, _>>()?;
                function.call(&values)
            }
        }
    }
}

fn field(data: &dyn Data, path: &[String]) -> Result<Value, String> {
    let Some((first, rest)) = path.split_first() else { return Err("`.` alone has no text".into()) };
    let mut value = data.field(first).ok_or_else(|| format!("there is no field `.{first}`"))?;
    for part in rest {
        value = match value {
            // A group that took no part in a match is empty.
            Value::Map(mut map) => map.remove(part).unwrap_or(Value::Nil),
            _ => return Err(format!("`.{first}` has no field `{part}`")),
        };
    }
    Ok(value)
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "index" => Self::Index,
            "parseInt" => Self::ParseInt,
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "not" => Self::Not,
            "and" => Self::And,
            "or" => Self::Or,
            "len" => Self::Len,
            "print" => Self::Print,
            "printf" => Self::Printf,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn call(self, values: &[Value]) -> Result<Value, String> {
        match (self, values) {
            (Self::Index, [Value::List(list), Value::Int(at)]) => {
                let found = usize::try_from(*at).ok().and_then(|at| list.get(at));
                found.cloned().ok_or_else(|| format!("index {at} is outside of {} values", list.len()))
            }
            (Self::Index, [Value::Map(map), key]) => Ok(map.get(&key.to_string()).cloned().unwrap_or(Value::Nil)),
            (Self::ParseInt, [Value::Text(text), Value::Int(base), Value::Int(_)]) => {
                let base = u32::try_from(*base).ok().filter(|base| (2..=36).contains(base));
                let number = base.and_then(|base| i64::from_str_radix(text, base).ok());
                number.map(Value::Int).ok_or_else(|| format!("parseInt cannot read `{text}`"))
            }
            (Self::Eq, [first, others @ ..]) if !others.is_empty() => Ok(Value::Bool(others.contains(first))),
            (Self::Ne, [first, second]) => Ok(Value::Bool(first != second)),
            (Self::Not, [value]) => Ok(Value::Bool(!value.is_true())),
            (Self::And, [.., last]) => Ok(values.iter().find(|value| !value.is_true()).unwrap_or(last).clone()),
            (Self::Or, [.., last]) => Ok(values.iter().find(|value| value.is_true()).unwrap_or(last).clone()),
            (Self::Len, [Value::List(list)]) => Ok(Value::Int(list.len() as i64)),
            (Self::Len, [Value::Map(map)]) => Ok(Value::Int(map.len() as i64)),
            (Self::Len, [Value::Text(text)]) => Ok(Value::Int(text.len() as i64)),
            (Self::Print, values) => Ok(Value::Text(values.iter().map(ToString::to_string).collect())),
            (Self::Printf, [Value::Text(format), values @ ..]) => printf(format, values).map(Value::Text),
            (Self::Less, [a, b]) => Ok(Value::Bool(order(a, b)?.is_lt())),
            (Self::LessOrEqual, [a, b]) => Ok(Value::Bool(order(a, b)?.is_le())),
            (Self::Greater, [a, b]) => Ok(Value::Bool(order(a, b)?.is_gt())),
            (Self::GreaterOrEqual, [a, b]) => Ok(Value::Bool(order(a, b)?.is_ge())),
            _ => Err(format!("{self:?} does not take these arguments").to_lowercase()),
        }
    }
}

fn order(one: &Value, other: &Value) -> Result<std::cmp::Ordering, String> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => Ok(one.cmp(other)),
        (Value::Text(one), Value::Text(other)) => Ok(one.cmp(other)),
        _ => Err("only numbers and texts have an order".into()),
    }
}

/// Go's `printf` with the verbs `%s`, `%v`, `%d`, `%x`, `%q` and `%%`, and a width as in `%03d`.
fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let (mut text, mut rest, mut values) = (String::new(), format, values.iter());
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (width, verb) = after.split_at_checked(end).unwrap_or((after, ""));
        let mut behind = verb.chars();
        let verb = behind.next();
        rest = behind.as_str();
        if verb == Some('%') {
            text.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| format!("printf has no value for `%` in `{format}`"))?;
        let shown = match (verb, value) {
            (Some('s' | 'v'), value) => value.to_string(),
            (Some('d'), Value::Int(number)) => number.to_string(),
            (Some('x'), Value::Int(number)) => format!("{number:x}"),
            (Some('q'), value) => format!("{:?}", value.to_string()),
            _ => return Err(format!("printf cannot show `{value}` as `{format}` says")),
        };
        let least: usize = if width.is_empty() { 0 } else { width.parse().map_err(|_| "a width is too large")? };
        let pad = if width.starts_with('0') { '0' } else { ' ' };
        text.extend(std::iter::repeat_n(pad, least.min(255).saturating_sub(shown.chars().count())));
        text.push_str(&shown);
    }
    text.push_str(rest);
    Ok(text)
}

//----------- Reading --------------------------------------------------------

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What stands between the braces, trimmed.
    Action(String),
}

/// Splits text and actions; `{{-` and `-}}` take the white space beside them away.
fn split(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let end = action_end(after).ok_or_else(|| format!("the action `{{{{{after}` is not closed by `}}}}`"))?;
        let (mut action, behind) = (after.get(..end).unwrap_or_default(), after.get(end + 2..).unwrap_or_default());
        let mut before = if trim { before.trim_start() } else { before };
        if let Some(inner) = action.strip_prefix("- ") {
            before = before.trim_end();
            action = inner;
        }
        trim = action.ends_with(" -");
        action = action.strip_suffix(" -").unwrap_or(action).trim();
        pieces.push(Piece::Text(before.to_owned()));
        if !action.starts_with("/*") {
            pieces.push(Piece::Action(action.to_owned()));
        }
        rest = behind;
    }
    pieces.push(Piece::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(pieces)
}

/// Where the `}}` of an action stands, quotes passed over.
fn action_end(text: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None if text.get(at..).is_some_and(|rest| rest.starts_with("}}")) => return Some(at),
            None => {}
        }
    }
    None
}

type Pieces = std::iter::Peekable<std::vec::IntoIter<Piece>>;

/// Reading and filling in go one call deeper for each part within another; no honest template is as deep as this.
const DEEPEST: usize = 64;

fn deeper(depth: usize) -> Result<usize, String> {
    match depth < DEEPEST {
        true => Ok(depth + 1),
        false => Err(format!("more than {DEEPEST} parts of it lie within one another")),
    }
}

/// Reads up to the end or to an `else` or `end` of the level above, which it gives.
fn nodes(pieces: &mut Pieces, depth: usize) -> Result<(Vec<Node>, Option<String>), String> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        match action.split_whitespace().next() {
            Some("else" | "end") => return Ok((nodes, Some(action))),
            Some("if") => nodes.push(branches(action.get(2..).unwrap_or_default(), pieces, deeper(depth)?)?),
            Some(word @ ("range" | "with" | "define" | "template" | "block" | "break" | "continue")) => {
                return Err(format!("`{word}` is not supported in a template"));
            }
            _ => nodes.push(Node::Print(expression(&action)?)),
        }
    }
    Ok((nodes, None))
}

fn branches(condition: &str, pieces: &mut Pieces, depth: usize) -> Result<Node, String> {
    let mut branches = Vec::new();
    let mut condition = expression(condition)?;
    loop {
        let (part, end) = nodes(pieces, depth)?;
        branches.push((condition, part));
        match end.as_deref().map(str::trim) {
            Some("end") => return Ok(Node::If(branches, Vec::new())),
            Some("else") => {
                let (otherwise, end) = nodes(pieces, depth)?;
                return match end.as_deref() {
                    Some("end") => Ok(Node::If(branches, otherwise)),
                    _ => Err("an `if` has no `end`".into()),
                };
            }
            Some(other) => match other.strip_prefix("else").map(str::trim).and_then(|rest| rest.strip_prefix("if ")) {
                Some(next) => condition = expression(next)?,
                None => return Err(format!("`{other}` is not understood")),
            },
            None => return Err("an `if` has no `end`".into()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Pipe,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '|' => tokens.push(Token::Pipe),
            '`' => tokens.push(Token::Text(chars.by_ref().take_while(|&c| c != '`').collect())),
            '"' => {
                let mut word = String::new();
                while let Some(c) = chars.next().filter(|&c| c != '"') {
                    word.extend(if c == '\\' { chars.next() } else { Some(c) });
                }
                tokens.push(Token::Text(word));
            }
            '$' => return Err("variables are not supported in a template".into()),
            c => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|&c| !c.is_whitespace() && !matches!(c, '(' | ')' | '|' | '"')) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn expression(text: &str) -> Result<Expression, String> {
    let tokens = tokens(text)?;
    let mut rest = tokens.as_slice();
    let found = pipeline(&mut rest, 0)?;
    if rest.is_empty() { Ok(found) } else { Err(format!("`{text}` is not understood")) }
}

fn pipeline(rest: &mut &[Token], mut depth: usize) -> Result<Expression, String> {
    let mut found = command(rest, None, depth)?;
    while let Some((Token::Pipe, after)) = rest.split_first() {
        *rest = after;
        // What comes through a pipe lies within what takes it.
        depth = deeper(depth)?;
        found = command(rest, Some(found), depth)?;
    }
    Ok(found)
}

/// A function or field with its arguments; what comes through a pipe is the last one.
fn command(rest: &mut &[Token], piped: Option<Expression>, depth: usize) -> Result<Expression, String> {
    let Some((first, after)) = rest.split_first() else { return Err("an action is empty".into()) };
    if let Token::Word(word) = first
        && let Some(function) = Function::named(word)
    {
        *rest = after;
        let mut arguments = Vec::new();
        while !matches!(rest.first(), None | Some(Token::Close | Token::Pipe)) {
            arguments.push(operand(rest, depth)?);
        }
        arguments.extend(piped);
        return Ok(Expression::Call(function, arguments));
    }
    let found = operand(rest, depth)?;
    let mut arguments = Vec::new();
    while !matches!(rest.first(), None | Some(Token::Close | Token::Pipe)) {
        arguments.push(operand(rest, depth)?);
    }
    arguments.extend(piped);
    match found {
        found if arguments.is_empty() => Ok(found),
        Expression::Field(path) if path.len() == 1 && arguments.len() == 1 => Ok(Expression::Method(path, arguments)),
        _ => Err("too many words in an action".into()),
    }
}

fn operand(rest: &mut &[Token], depth: usize) -> Result<Expression, String> {
    let Some((first, after)) = rest.split_first() else { return Err("an action is empty".into()) };
    *rest = after;
    match first {
        Token::Text(text) => Ok(Expression::Literal(Value::Text(text.clone()))),
        Token::Open => {
            let found = pipeline(rest, deeper(depth)?)?;
            match rest.split_first() {
                Some((Token::Close, after)) => {
                    *rest = after;
                    Ok(found)
                }
                _ => Err("a `(` is not closed".into()),
            }
        }
        Token::Word(word) => match word.as_str() {
            "true" => Ok(Expression::Literal(Value::Bool(true))),
            "false" => Ok(Expression::Literal(Value::Bool(false))),
            "nil" => Ok(Expression::Literal(Value::Nil)),
            _ if word.starts_with('.') => {
                let parts = word.split('.').skip(1).map(str::to_owned).collect::<Vec<_>>();
                match parts.iter().any(String::is_empty) {
                    true => Err(format!("`{word}` is no field")),
                    false => Ok(Expression::Field(parts)),
                }
            }
            _ => match word.parse() {
                Ok(number) => Ok(Expression::Literal(Value::Int(number))),
                Err(_) => Err(format!("the function `{word}` is not supported in a template")),
            },
        },
        Token::Close | Token::Pipe => Err("an action ends too early".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Data for Fixed {
        fn field(&self, name: &str) -> Option<Value> {
            let text = |text: &str| Value::Text(text.into());
            Some(match name {
                "Name" => text("a.example."),
                "Match" => Value::List(vec![text("whole"), text("0a")]),
                "Group" => Value::Map([("a".to_owned(), text("7"))].into()),
                _ => return None,
            })
        }

        fn call(&self, name: &str, argument: &str) -> Option<Value> {
            (name == "Meta").then(|| Value::Text(format!("<{argument}>")))
        }
    }

    fn fill(text: &str) -> Result<String, String> {
        Template::parse(text)?.fill(&Fixed)
    }

    #[test]
    fn fields_functions_and_conditions_are_filled_in() {
        for (template, filled) in [
            ("{{ .Name }} 60 IN A 10.0.0.{{.Group.a}}", "a.example. 60 IN A 10.0.0.7"),
            ("{{ index .Match 1 }}", "0a"),
            ("{{ printf \"%s-%03d %x 100%%\" .Group.a (parseInt (index .Match 1) 16 8) 255 }}", "7-010 ff 100%"),
            ("{{ if lt (len .Name) 5 }}short{{ else if ge 2 2 }}long{{ end }}", "long"),
            ("{{ index .Group \"a\" }}", "7"),
            ("10.{{ parseInt (index .Match 1) 16 8 }}", "10.10"),
            ("{{ .Meta \"x/y\" }}", "<x/y>"),
            ("{{ if eq .Group.a \"7\" }}seven{{ else }}other{{ end }}", "seven"),
            ("{{ if not .Name }}a{{ else if ne .Name \"x\" }}b{{ end }}", "b"),
            ("a {{- \" b \" -}} c", "a b c"),
            ("x{{/* comment */}}y", "xy"),
            ("{{ .Group.none }}", "<no value>"),
            ("{{ .Name | print \"}}\" }}", "}}a.example."),
        ] {
            assert_eq!(fill(template).as_deref(), Ok(filled), "{template}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for template in [
            "{{ .Name 60 IN A 10.0.0.1",
            "{{ if .Name }}x",
            "{{ end }}",
            "{{ range .Match }}{{ end }}",
            "{{ upper .Name }}",
            "{{ $x }}",
            "{{ ( .Name }}",
            "{{ }}",
            "{{ .Name 1 2 }}",
            "{{ . }}",
        ] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
        assert!(fill("{{ .Nothing }}").is_err() && fill("{{ index .Match 5 }}").is_err());
        assert!(fill("{{ .Name.x }}").is_err() && fill("{{ parseInt .Name 16 8 }}").is_err());
    }

    #[test]
    fn what_lies_too_deep_is_refused_and_not_read_to_the_end_of_the_stack() {
        const MANY: usize = 100_000;
        let nested = |open: &str, middle: &str, close: &str, times: usize| {
            format!("{}{middle}{}", open.repeat(times), close.repeat(times))
        };
        for (open, middle, close) in
            [("{{if true}}", "a", "{{end}}"), ("{{if true}}{{else}}", "a", "{{end}}"), ("", "{{ \"a\" }}", "")]
        {
            assert!(Template::parse(&nested(open, middle, close, 30)).is_ok(), "{open}");
        }
        let inner = |times| {
            [
                nested("{{if true}}", "a", "{{end}}", times),
                nested("{{if true}}{{else}}", "a", "{{end}}", times),
                format!("{{{{ {} }}}}", nested("(", ".Name", ")", times)),
                format!("{{{{ {} }}}}", nested("print (", ".Name", ")", times)),
                format!("{{{{ .Name{} }}}}", " | print".repeat(times)),
                format!("{{{{if {}}}}}a{{{{end}}}}", nested("(", ".Name", ")", times)),
                // Each pipe lies within the next one's parentheses.
                format!("{{{{ {} }}}}", nested("(", ".Name", " | print | print)", times / 3)),
            ]
        };
        for text in inner(MANY) {
            let said = Template::parse(&text).unwrap_err();
            assert!(said.contains("64 parts"), "{said}");
        }
        for text in inner(30) {
            assert!(Template::parse(&text).unwrap().fill(&Fixed).is_ok(), "{text}");
        }
        // What stands side by side is not deep.
        let wide = format!(
            "{}{{{{if false}}}}{}{{{{end}}}}",
            "{{if true}}a{{end}}".repeat(1000),
            "{{else if false}}b".repeat(1000)
        );
        assert_eq!(Template::parse(&wide).unwrap().fill(&Fixed).unwrap(), "a".repeat(1000));
    }
}
