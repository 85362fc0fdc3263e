//! Name: `view`
//!
//! Description: lets a server block serve only the queries for which an expression is true.
//!
//! Syntax:
//!
//! ```text
//! view NAME {
//!     expr EXPRESSION
//! }
//! ```
//!
//! Of blocks with the same zone and port, the first whose expressions are all true serves a query; a block without `view`
//! takes all, and so does a view without `expr`. Functions: `bufsize()`, `class()`, `client_ip()`, `do()`, `id()`, `name()`, `opcode()`, `port()`, `proto()`,
//! `server_ip()`, `server_port()`, `size()`, `type()`, `incidr(IP, NETWORK)`, `metadata(LABEL)`. Operators: `&&` `||` `!`
//! (also `and` `or` `not`), `==` `!=` `<` `<=` `>` `>=`, `in [..]`, `matches`, `contains`, `startsWith`, `endsWith`. `replace`,
//! `lower`, `upper`, `trim` and `len` work on texts; `any([..], P)`, `all` and `none` on lists, whose item is `#` in P (in quotes,
//! as it begins a comment otherwise).
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     view inside {
//!         expr incidr(client_ip(), '10.0.0.0/8') && type() in ['A', 'AAAA']
//!     }
//!     whoami
//! }
//! ```
//!
//! With `metadata`, the label `view/name` is the name of the view that serves.
//!
//! Metrics: none; the name is the label `view` of others.
//!
//! Ready: always.
//!
//! Differences: the expression language is the part listed above; anything else is refused when the Corefile is read. What
//! cannot be worked out, as `incidr` of a text that is no address, is unknown, and so is its opposite; an expression that is
//! unknown lets nobody in. A query that plugins could not read is FORMERR before any view is asked.

use std::sync::Arc;

use crate::chain::settings::Admits;
use crate::chain::setup::{Context, once};
use crate::chain::{Plugin, Query};
use crate::corefile::{Directive, Error};
use crate::syntax::expression::{Expression, Scope};
use crate::syntax::words;

/// The view of a server block.
#[derive(Debug)]
struct Filter {
    /// Its name, the label `view` in metrics.
    name: String,
    expressions: Vec<Expression>,
}

impl Admits for Filter {
    fn name(&self) -> &str {
        &self.name
    }

    /// Not where it is unknown whether an expression is true.
    fn admits(&self, query: &Query) -> bool {
        self.expressions.iter().all(|expression| expression.is_true(query))
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let directive = once(lines)?;
    let name = directive.one_argument("a name")?.text.clone();
    let mut expressions = Vec::new();
    for line in directive.lines() {
        if line.name.text != "expr" {
            return Err(words::unknown(line, "view", &["expr"]));
        }
        line.no_body()?;
        let words: Vec<&str> = line.arguments.iter().map(|word| word.text.as_str()).collect();
        let first = line.arguments.first().unwrap_or(&line.name);
        let text = words.join(" ");
        let read = Expression::parse(&text, Scope::default());
        expressions.push(read.map_err(|why| first.error(format!("`{text}` is no expression: {why}")))?);
    }
    context.settings.view = Some(Arc::new(Filter { name, expressions }));
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use crate::chain::testing::query;
    use crate::chain::{Client, Transport};
    use crate::wire::message::RecordType;
    use crate::wire::{Parsed, parse};

    fn holds(expression: &str) -> bool {
        let block = block(&format!("view a {{\nexpr {expression}\n}}\nwhoami")).unwrap();
        let mut asked = query("a.b.example.com.", RecordType::A);
        asked.metadata.insert("x/y".into(), "z".into());
        block.settings.view.unwrap().admits(&asked)
    }

    #[test]
    fn expressions_tell_queries_apart() {
        for (expression, truth) in [
            ("incidr(client_ip(), '127.0.0.0/24')", true),
            ("incidr(client_ip(), '192.168.0.0/16')", false),
            ("type() in ['A', 'AAAA']", true),
            ("type() not in ['A', 'AAAA']", false),
            ("name() matches '^a\\\\..*\\\\.example\\\\.com\\\\.$'", true),
            ("(type() == 'A' && name() == 'example.com.') || client_ip() == '127.0.0.1'", true),
            ("not do() and !(proto() == 'tcp')", true),
            ("bufsize() >= 512 && port() > 40000 && size() < 100", true),
            ("metadata('x/y') == 'z' && metadata('none') == ''", true),
            ("name() startsWith 'a.' && name() endsWith 'com.' && name() contains 'b'", true),
            ("class() == 'IN' && server_ip() == '127.0.0.2' && server_port() == 53", true),
            ("id() != 4711 || opcode() != 0", false),
            ("incidr('nonsense', '10.0.0.0/8')", false),
            ("\"any(['10.0.0.0/8', '127.0.0.0/8'], incidr(client_ip(), #))\"", true),
            ("\"all(['10.0.0.0/8', '127.0.0.0/8'], incidr(client_ip(), #))\"", false),
            ("\"none(['A', 'AAAA'], # == type())\"", false),
            ("replace(upper(name()), '.', '-') == 'A-B-EXAMPLE-COM-' && len(trim(' ab ')) == 2", true),
        ] {
            assert_eq!(holds(expression), truth, "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_worked_out_lets_nobody_in_and_neither_does_its_opposite() {
        let unknown = "incidr(metadata('none'), '10.0.0.0/8')";
        for expression in [
            "U",
            "!U",
            "not (!U)",
            "U || false",
            "!(U || false)",
            "U && true",
            "!(U && true)",
            "U == true",
            "U != true",
            "!(1 < 'a')",
            "!(1 == 'a')",
            "1 != 'a'",
            "!(len(name()) contains 'a')",
            "!len(name())",
            "!('a' in [metadata('none'), replace('a', 'a', U)])",
            "type() not in [lower(U)]",
            "\"none(['10.0.0.0/8', 'x'], incidr('192.0.2.1', #))\"",
            "\"all(['192.0.2.0/24', 'x'], incidr('192.0.2.1', #))\"",
            "\"!any(['10.0.0.0/8', 'x'], incidr('192.0.2.1', #))\"",
        ] {
            assert!(!holds(&expression.replace('U', unknown)), "{expression}");
        }
        for expression in [
            "U || true",
            "true || U",
            "!(U && false)",
            "!(false && U)",
            "type() in [lower(U), 'A']",
            "\"any(['x', '192.0.2.0/24'], incidr('192.0.2.1', #))\"",
            "\"!all(['x', '10.0.0.0/8'], incidr('192.0.2.1', #))\"",
            "!any([], U)",
        ] {
            assert!(holds(&expression.replace('U', unknown)), "{expression}");
        }
    }

    #[test]
    fn a_block_serves_the_questions_that_its_view_holds_for() {
        let view = "metadata\nview a {\nexpr type() == 'A' && client_ip() == '127.0.0.7'\n\
                    expr metadata('kubernetes/namespace') in ['', 'prod']\n}\nkubernetes cluster.local";
        let block = block(view).unwrap();
        let admits = |name: &str, qtype: RecordType, client: &str| {
            let octets = query(name, qtype).request.octets().to_vec();
            let Parsed::Query(question) = parse(&octets) else { panic!("no query") };
            let peer = format!("{client}:4000").parse().unwrap();
            let client = Client { peer, local: "127.0.0.1:53".parse().unwrap(), transport: Transport::Udp };
            block.admits(&question, &client)
        };
        assert!(admits("a.example.", RecordType::A, "127.0.0.7"));
        assert!(!admits("a.example.", RecordType::AAAA, "127.0.0.7"));
        assert!(!admits("a.example.", RecordType::A, "127.0.0.8"));
        assert!(admits("web.prod.svc.cluster.local.", RecordType::A, "127.0.0.7"));
        assert!(!admits("web.test.svc.cluster.local.", RecordType::A, "127.0.0.7"));
        assert!(block.fast().is_err());
    }

    #[test]
    fn what_is_no_expression_is_refused_at_its_line() {
        for expression in [
            "name(",
            "name() ==",
            "nothing()",
            "1 +",
            "'a",
            "name() matches '('",
            "type() in 'A'",
            "a b",
            "group(1) == ''",
            "any(1, true)",
        ] {
            let said = fault(&format!("view a {{\nexpr {expression}\n}}"));
            assert!(said.starts_with("Corefile:3:6:"), "{expression}: {said}");
        }
        assert!(fault("view {\nexpr true\n}").starts_with("Corefile:2:1:"));
        assert!(fault("view a {\nexpr\n}").starts_with("Corefile:3:1:"));
    }
}
